// The line that makes an array: `float32 60000,28,28 order=F fill=0`.
#pragma once

#include <cstddef>
#include <shm/npy.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace arrayfs {

struct Recipe {
  shm::Dtype dtype;
  shm::Shape shape;
  shm::Order order = shm::Order::kC;
  std::vector<std::byte> fill;  ///< one element; empty: zeros
};

/// Type, shape, then `order=` (C or F) and `fill=` (a value as Python writes it) in any order.
/// Brackets and quotes keep a word together. Errors: EINVAL with the reason.
[[nodiscard]] shm::Result<Recipe> parse_recipe(std::string_view line);

/// The line that makes such an array, its newline included.
[[nodiscard]] std::string recipe_of(const shm::Layout& layout);

}  // namespace arrayfs
