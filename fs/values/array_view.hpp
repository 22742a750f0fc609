// A strided window on the elements of an array: what indexing yields and what text is made from.
//
// Owns no data: the bytes (a mapping) must outlive the view. A plain value; reading through copies
// from several threads is safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <shm/npy.hpp>
#include <span>
#include <vector>

namespace arrayfs {

struct ArrayView {
  shm::Dtype dtype;
  shm::Shape shape;                         ///< outermost axis first; empty for 0-d
  std::vector<std::int64_t> strides_bytes;  ///< one an axis, negative after `::-1`
  const std::byte* data = nullptr;          ///< the element at index 0, 0, ...

  /// Product of the extents, 1 for 0-d; UINT64_MAX where that does not fit.
  [[nodiscard]] std::uint64_t size() const;
};

/// The whole array. `data` begins at the first element (Layout::data_offset is not added).
/// Errors: EINVAL when data is shorter than the layout says.
[[nodiscard]] shm::Result<ArrayView> view_of(const shm::Layout& layout,
                                             std::span<const std::byte> data);

/// Where the element of this number, in C order, is in an array of this shape: {1, 2} for 5 in
/// (2, 3). Requires: no extent is 0.
[[nodiscard]] std::vector<std::uint64_t> index_of(std::uint64_t number,
                                                  std::span<const std::uint64_t> shape);

/// a * b, or UINT64_MAX where that does not fit.
[[nodiscard]] std::uint64_t saturating_multiply(std::uint64_t a, std::uint64_t b);

}  // namespace arrayfs
