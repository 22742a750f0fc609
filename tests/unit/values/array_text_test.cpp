#include "values/array_text.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <numeric>
#include <shm/posix.hpp>
#include <string>
#include <vector>

namespace arrayfs {
namespace {

shm::Dtype dtype(std::string_view text) {
  return shm::Dtype::parse(text).value();
}

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

TEST(ArrayText, PrintsRowsInAlignedColumns) {
  const std::vector<std::int32_t> values = {1, 2, 3, 40, 5, -6};
  EXPECT_EQ(*array_text({dtype("<i4"), {2, 3}}, bytes_of(values)), "[[ 1  2  3]\n [40  5 -6]]");
  EXPECT_EQ(*array_text({dtype("<i4"), {2, 3}, shm::Order::kFortran}, bytes_of(values)),
            "[[ 1  3  5]\n [ 2 40 -6]]");
}

TEST(ArrayText, ChoosesOneNotationForAllFloats) {
  const std::vector<double> plain = {1, 0.1, 2.25, -0.0};
  EXPECT_EQ(*array_text({dtype("<f8"), {4}}, bytes_of(plain)), "[ 1.    0.1   2.25 -0.  ]");
  const std::vector<double> wide = {1, 0.0001, 1e8};
  EXPECT_EQ(*array_text({dtype("<f8"), {3}}, bytes_of(wide)), "[1.e+00 1.e-04 1.e+08]");
}

TEST(ArrayText, KeepsTheExactDigitsOfAHalf) {
  // The shortest digits of the largest half are 6.55e4; its value is 65504.
  const std::vector<std::uint16_t> values = {0x7BFF};
  EXPECT_EQ(*array_text({dtype("<f2"), {1}}, bytes_of(values)), "[65504.]");
  EXPECT_EQ(*array_text({dtype("<f2"), {}}, bytes_of(values)), "65500.0");
}

TEST(ArrayText, OfNoElementsIsTwoBrackets) {
  EXPECT_EQ(*array_text(shm::Layout{dtype("<f8"), {0}}, {}), "[]");
  EXPECT_EQ(*array_text(shm::Layout{dtype("<f8"), {3, 0, 2}}, {}), "[]");
}

TEST(ArrayText, CountsCodePointsForTheLineWidth) {
  const std::vector<char32_t> values(12, U'\u4e2d');
  const TextOptions options{.line_width = 10};
  EXPECT_EQ(*array_text({dtype("<U1"), {3}}, bytes_of(values), options),
            "['\u4e2d' '\u4e2d'\n '\u4e2d']");
}

TEST(ArrayText, OfASummaryReadsOnlyWhatItShows) {
  const auto page = static_cast<std::size_t>(::getpagesize());
  constexpr std::size_t kPages = 4096;
  auto mapping = shm::posix::Mapping::map(-1, 0, kPages * page, PROT_NONE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  ASSERT_TRUE(mapping);
  std::byte* const last = mapping->data() + (kPages - 1) * page;
  ASSERT_EQ(::mprotect(mapping->data(), page, PROT_READ | PROT_WRITE), 0);
  ASSERT_EQ(::mprotect(last, page, PROT_READ | PROT_WRITE), 0);
  last[page - 1] = std::byte{7};
  const std::span<const std::byte> data(mapping->data(), mapping->size());
  EXPECT_EQ(*array_text({dtype("u1"), {kPages * page}}, data), "[0 0 0 ... 0 0 7]");
}

TEST(ArrayText, RefusesObjects) {
  const std::vector<std::int64_t> pointers(2);
  const auto text = array_text({dtype("O"), {2}}, bytes_of(pointers));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, EINVAL);
}

TEST(ArrayText, RefusesDataShorterThanTheLayout) {
  const std::vector<std::int32_t> values = {1, 2};
  const auto text = array_text({dtype("<i4"), {3}}, bytes_of(values));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, EINVAL);
}

TEST(ArrayText, RefusesASummaryThatIsHuge) {
  // Six elements at each of twenty axes; all of them the same byte.
  const std::byte element{};
  const ArrayView view{dtype("u1"), shm::Shape(20, 7), std::vector<std::int64_t>(20), &element};
  const auto text = array_text(view);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, EFBIG);
}

TEST(ArrayText, RefusesEndlessBracketsOfEmptySubArrays) {
  const auto type = shm::Dtype::parse("[('a', '<i4', (1000000000, 0))]");
  ASSERT_TRUE(type);
  const std::byte element{};
  const auto text = array_text(ArrayView{*type, {1}, {0}, &element});
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, EFBIG);
}

TEST(ArrayText, RefusesOneElementBeyondTheLimit) {
  const std::string bytes(100, 'x');
  const TextOptions options{.limit_bytes = 99};
  const auto text = array_text({dtype("S100"), {}}, std::as_bytes(std::span(bytes)), options);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, EFBIG);
}

TEST(ArrayText, ShowsWhatIsNoUnicodeAsReplacement) {
  const std::vector<char32_t> values = {0x110000, 0xD800};
  EXPECT_EQ(*array_text({dtype("<U1"), {2}}, bytes_of(values)), "['\uFFFD' '\\ud800']");
  EXPECT_EQ(*array_text({dtype("<U2"), {}}, bytes_of(values)), "\uFFFD\uFFFD");
}

TEST(ArrayText, ShowsDatesWithoutAUnitAsNotATime) {
  const std::vector<std::int64_t> values = {1};
  EXPECT_EQ(*array_text({dtype("<M8"), {1}}, bytes_of(values)), "['NaT']");
}

TEST(ArrayText, PrintsByteSwappedAndUnalignedNumbers) {
  const std::array<std::byte, 5> bytes = {std::byte{9}, std::byte{1}, std::byte{2}, std::byte{0},
                                          std::byte{5}};
  const auto data = std::span<const std::byte>(bytes).subspan(1);
  EXPECT_EQ(*array_text({dtype(">u2"), {2}}, data), "[258   5]");
}

}  // namespace
}  // namespace arrayfs
