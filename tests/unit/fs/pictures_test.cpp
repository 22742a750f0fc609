#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "fixture.hpp"
#include "pictures/axis.hpp"
#include "pictures/canvas.hpp"
#include "pictures/colours.hpp"
#include "pictures/picture.hpp"
#include "pictures/reduction.hpp"

namespace arrayfs {
namespace {

constexpr double kMax = std::numeric_limits<double>::max();

NumberSource source_of(const std::vector<double>& values) {
  return [&values](std::uint64_t first, std::span<double> out) {
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(first), out.size(), out.begin());
    return shm::Result<void>{};
  };
}

TEST(ReductionTest, EveryNumberCountsOnce) {
  std::vector<double> values(std::size_t{7} * 11);
  std::iota(values.begin(), values.end(), 1);
  const Cells whole = must(reduce(source_of(values), 0, 7, 11, 100, 100));
  EXPECT_EQ(whole.rows, 7U);
  EXPECT_EQ(whole.means, values);
  const Cells one = must(reduce(source_of(values), 0, 7, 11, 1, 1));
  EXPECT_DOUBLE_EQ(one.means[0], 39);
  EXPECT_EQ(one.lows[0], 1);
  EXPECT_EQ(one.highs[0], 77);
  const Cells columns = must(reduce(source_of(values), 0, 7, 11, 7, 2));
  EXPECT_DOUBLE_EQ(columns.means[0], (1 + 2 + 3 + 4 + 5 + 6) / 6.0);
  EXPECT_DOUBLE_EQ(columns.means[1], (7 + 8 + 9 + 10 + 11) / 5.0);
}

TEST(ReductionTest, LongRowsAreReadInParts) {
  std::vector<double> values(100'000);
  std::iota(values.begin(), values.end(), 0);
  const Cells cells = must(reduce(source_of(values), 0, 1, values.size(), 1, 1000));
  for (std::size_t i = 0; i < 1000; ++i) {
    ASSERT_DOUBLE_EQ(cells.means[i], static_cast<double>(i) * 100 + 49.5) << i;
  }
}

TEST(ReductionTest, WhatIsNotFiniteMarksItsCell) {
  const std::vector<double> values{1, NAN, 3, INFINITY, NAN, NAN};
  const Cells cells = must(reduce(source_of(values), 0, 3, 2, 3, 1));
  EXPECT_EQ(cells.marks[0], kHasNumber | kHasNan);
  EXPECT_EQ(cells.marks[1], kHasNumber | kHasInfinity);
  EXPECT_EQ(cells.marks[2], kHasNan);
  EXPECT_EQ(cells.means[0], 1);
  EXPECT_EQ(cells.range(), std::pair(1.0, 3.0));
}

TEST(ReductionTest, AnErrorOfTheSourceIsPassedOn) {
  const NumberSource broken = [](std::uint64_t, std::span<double>) { return shm::fail(EIO); };
  EXPECT_TRUE(fails_with(reduce(broken, 0, 2, 2, 2, 2), EIO));
}

TEST(AxisTest, TicksAreRoundAndInside) {
  EXPECT_EQ(ticks(0, 1, 6), (std::vector{0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0}));
  EXPECT_EQ(ticks(5, 5, 6), (std::vector{5.0}));
  for (const auto& [low, high] : {std::pair(-3.7, 12.1), std::pair(1e-300, 2e-300),
                                  std::pair(1e15, 1e15 + 3), std::pair(-kMax, kMax)}) {
    const auto all = ticks(low, high, 6);
    EXPECT_FALSE(all.empty());
    EXPECT_LE(all.size(), 100U);
  }
  EXPECT_EQ(index_ticks(1, 5), (std::vector<std::uint64_t>{0}));
  EXPECT_EQ(index_ticks(4, 9), (std::vector<std::uint64_t>{0, 1, 2, 3}));
  EXPECT_EQ(index_ticks(1000, 5).front(), 0U);
  EXPECT_LT(index_ticks(1000, 5).back(), 1000U);
}

TEST(ColoursTest, AroundZeroTheMapDiverges) {
  EXPECT_TRUE(ColourScale::of(-1, 1).diverging);
  EXPECT_TRUE(ColourScale::of(-1, 0.9).diverging);
  EXPECT_FALSE(ColourScale::of(-1, 0.1).diverging);
  EXPECT_FALSE(ColourScale::of(0, 1).diverging);
  const Colour middle = ColourScale::of(-2, 2).colour(0);
  EXPECT_EQ(middle.red, 247);
  EXPECT_EQ(middle.green, 247);
  const Colour dark = ColourScale::of(0, kMax).colour(0);
  const Colour light = ColourScale::of(0, kMax).colour(kMax);
  EXPECT_NEAR(dark.red, 68, 4);
  EXPECT_NEAR(light.red, 253, 4);
}

TEST(CanvasTest, NothingIsDrawnOutside) {
  Canvas canvas(10, 10);
  canvas.fill(-5, -5, 100, 100, kGrey);
  canvas.line(-100, 5, 100, 5.5, kBlack);
  canvas.text(-3, 8, "outside \xc3\xa9");
  canvas.set(10, 10, kBlack);
  EXPECT_TRUE(must(canvas.png()).starts_with("\x89PNG"));
}

TEST(PictureTest, WhatIsDrawnHow) {
  const shm::Dtype number;
  const shm::Dtype byte = must(shm::Dtype::parse("uint8"));
  EXPECT_EQ(picture_form(number, {}).kind, PictureKind::kLine);
  EXPECT_EQ(picture_form(number, {5}).kind, PictureKind::kLine);
  EXPECT_EQ(picture_form(number, {5, 4, 3}).kind, PictureKind::kHeatMap);
  EXPECT_EQ(picture_form(byte, {5, 4, 3}).kind, PictureKind::kImage);
  EXPECT_EQ(picture_form(byte, {2, 5, 4, 3}).leading_axes, 1U);
  EXPECT_EQ(picture_form(byte, {4, 3}).kind, PictureKind::kHeatMap);
  EXPECT_EQ(picture_parts(number, {2, 3, 4, 5}), 6U);
}

TEST(PictureTest, OfNothingThereIsNone) {
  EXPECT_TRUE(fails_with(picture(shm::Dtype(), {0}, source_of({}), 0), EOPNOTSUPP));
  EXPECT_TRUE(fails_with(picture(shm::Dtype(), {3, 0}, source_of({}), 0), EOPNOTSUPP));
}

TEST(PictureTest, OfExtremes) {
  const std::vector<double> values{kMax, -kMax, NAN, INFINITY, 0, -0.0};
  for (const shm::Shape& shape : {shm::Shape{6}, shm::Shape{2, 3}, shm::Shape{6, 1, 1}}) {
    EXPECT_TRUE(ok(picture(shm::Dtype(), shape, source_of(values), 0)));
  }
  const std::vector<double> none(6, NAN);
  EXPECT_TRUE(ok(picture(shm::Dtype(), {6}, source_of(none), 0)));
  EXPECT_TRUE(ok(picture(shm::Dtype(), {2, 3}, source_of(none), 0)));
}

}  // namespace
}  // namespace arrayfs
