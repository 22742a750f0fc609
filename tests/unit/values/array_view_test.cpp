#include "values/array_view.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace arrayfs {
namespace {

using Index = std::vector<std::uint64_t>;

TEST(ArrayView, ElementsAreCountedInCOrder) {
  EXPECT_EQ(index_of(0, Index{2, 3}), (Index{0, 0}));
  EXPECT_EQ(index_of(5, Index{2, 3}), (Index{1, 2}));
  EXPECT_EQ(index_of(23, Index{2, 3, 4}), (Index{1, 2, 3}));
  EXPECT_EQ(index_of(7, Index{10}), Index{7});
  EXPECT_EQ(index_of(0, {}), Index{});
}

}  // namespace
}  // namespace arrayfs
