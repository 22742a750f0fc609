#include "values/slice.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <numeric>
#include <string>
#include <vector>

#include "values/array_text.hpp"

namespace arrayfs {
namespace {

class Slice : public ::testing::Test {
 protected:
  Slice() { std::iota(values_.begin(), values_.end(), 0); }

  [[nodiscard]] ArrayView view() const {
    const shm::Layout layout{shm::Dtype::parse("<i4").value(), {3, 4}};
    return view_of(layout, std::as_bytes(std::span(values_))).value();
  }
  [[nodiscard]] std::string text(std::string_view index) const {
    const auto part = slice(view(), index);
    return part ? array_text(*part).value() : part.error().context;
  }
  [[nodiscard]] int code(std::string_view index) const {
    const auto part = slice(view(), index);
    return part ? 0 : part.error().code;
  }

  std::vector<std::int32_t> values_ = std::vector<std::int32_t>(12);
};

TEST_F(Slice, TakesAnIndexWithOrWithoutBrackets) {
  EXPECT_EQ(text("1"), "[4 5 6 7]");
  EXPECT_EQ(text("[1]"), "[4 5 6 7]");
  EXPECT_EQ(text(" [ -1 , +2 ] "), "10");
  EXPECT_EQ(text("1,"), "[4 5 6 7]");
  EXPECT_EQ(text("[1][2]"), "6");
  EXPECT_EQ(text("[1][1:][0]"), "5");
}

TEST_F(Slice, TakesEverythingFromAnEmptyText) {
  EXPECT_EQ(text(""), text("..."));
  EXPECT_EQ(text("  "), text(":, :"));
}

TEST_F(Slice, TakesRanges) {
  EXPECT_EQ(text("0:10, ::2"), "[[ 0  2]\n [ 4  6]\n [ 8 10]]");
  EXPECT_EQ(text("::-2, -1"), "[11  3]");
  EXPECT_EQ(text("None:None:None, 0"), "[0 4 8]");
  EXPECT_EQ(text("5:"), "[]");
  EXPECT_EQ(text("99999999999999999999:"), "[]");
  EXPECT_EQ(text("-99999999999999999999::9223372036854775807"), "[[0 1 2 3]]");
  EXPECT_EQ(text("::-9223372036854775808, 0"), "[8]");
}

TEST_F(Slice, TakesEllipsisAndNewAxis) {
  EXPECT_EQ(text("..., 0"), "[0 4 8]");
  EXPECT_EQ(text("0, Ellipsis"), "[0 1 2 3]");
  const auto part = slice(view(), "None, ..., newaxis");
  ASSERT_TRUE(part);
  EXPECT_EQ(part->shape, (shm::Shape{1, 3, 4, 1}));
}

TEST_F(Slice, TakesFieldsWithTheirSubArrays) {
  const shm::Layout layout{shm::Dtype::parse("[('a', '<i4'), ('p]', '<i4', (2,))]").value(), {4}};
  const ArrayView whole = view_of(layout, std::as_bytes(std::span(values_))).value();
  EXPECT_EQ(*array_text(*slice(whole, "['a']")), "[0 3 6 9]");
  EXPECT_EQ(*array_text(*slice(whole, "\"a\"")), "[0 3 6 9]");
  EXPECT_EQ(*array_text(*slice(whole, "['p]'][1:3]")), "[[4 5]\n [7 8]]");
  EXPECT_EQ(*array_text(*slice(whole, "[-1]['p]'][1]")), "11");
  EXPECT_EQ(slice(whole, "['b']").error().context, "no field of name b");
  EXPECT_EQ(slice(whole, "['a]").error().code, EINVAL);
}

TEST_F(Slice, OfAnArrayWithoutElementsPointsNowhere) {
  const ArrayView empty = view_of({shm::Dtype(), {0, 5}}, {}).value();
  const auto part = slice(empty, "[:, 3]");
  ASSERT_TRUE(part);
  EXPECT_EQ(part->data, nullptr);
  EXPECT_EQ(part->shape, shm::Shape{0});
}

TEST_F(Slice, RefusesWhatIsOutOfBounds) {
  EXPECT_EQ(text("3"), "index 3 is out of bounds for axis 0 with size 3");
  EXPECT_EQ(text("0, -5"), "index -5 is out of bounds for axis 1 with size 4");
  EXPECT_EQ(code("3"), ERANGE);
  EXPECT_EQ(code("99999999999999999999"), ERANGE);
}

TEST_F(Slice, RefusesWhatIsNoBasicIndex) {
  EXPECT_EQ(text("0, 0, 0"),
            "too many indices for array: array is 2-dimensional, but 3 were indexed");
  EXPECT_EQ(text("..., ..."), "an index can only have a single ellipsis ('...')");
  EXPECT_EQ(text("::0"), "slice step cannot be zero");
  for (const char* index :
       {"x",   "1.5", "[[0, 1]]", "True", "['a']", "'a', 0", "1:2:3:4", "1:x",  "+-1",
        "0x1", ",",   "0,,1",     "[",    "[]",    "[0",     "[0]]",    "[0]x", "]",
        "['a", "--1", "1 2",      "[0][", "['\\",  "NaN",    "0;1"}) {
    EXPECT_EQ(code(index), EINVAL) << index;
  }
}

TEST_F(Slice, RefusesTooManyAxes) {
  std::string index = "None";
  for (std::size_t axis = 1; axis < shm::kMaxDims; ++axis) {
    index += ", None";
  }
  EXPECT_EQ(code(index), EINVAL);
}

}  // namespace
}  // namespace arrayfs
