#include "values/array_view.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>

namespace arrayfs {

std::uint64_t saturating_multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<std::uint64_t>::max()
                                                : product;
}

std::uint64_t ArrayView::size() const {
  // An extent of 0 wins over a product that does not fit.
  if (std::find(shape.begin(), shape.end(), 0U) != shape.end()) {
    return 0;
  }
  std::uint64_t count = 1;
  for (const std::uint64_t extent : shape) {
    count = saturating_multiply(count, extent);
  }
  return count;
}

shm::Result<ArrayView> view_of(const shm::Layout& layout, std::span<const std::byte> data) {
  if (data.size() < layout.nbytes()) {
    return shm::fail(EINVAL, "the data is shorter than the array");
  }
  ArrayView view{layout.dtype, layout.shape, {}, data.data()};
  for (const std::uint64_t stride : layout.strides()) {
    view.strides_bytes.push_back(static_cast<std::int64_t>(stride));
  }
  return view;
}

std::vector<std::uint64_t> index_of(std::uint64_t number, std::span<const std::uint64_t> shape) {
  std::vector<std::uint64_t> index(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    index[axis] = number % shape[axis];
    number /= shape[axis];
  }
  return index;
}

}  // namespace arrayfs
