// Elements of an array under their C++ type, with any strides.
//
// A View borrows the memory: it is valid while the Array that gave it lives and is not appended to,
// resized or refreshed. It is a small value; copies show the same elements. Nothing here locks.
// Hand `data()` and `shape()` to xt::adapt for a C-ordered array; `extent()`, `stride()` and
// `rank()` are what code written for std::mdspan asks for.
#pragma once

#include <cassert>
#include <cerrno>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <shm/npy.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace shm {

/// NumPy's typestr of a C++ arithmetic or complex type on this machine; empty for other types.
template <typename T>
[[nodiscard]] std::string typestr_of() {
  constexpr bool kComplex = std::is_same_v<T, std::complex<float>> ||
                            std::is_same_v<T, std::complex<double>> ||
                            std::is_same_v<T, std::complex<long double>>;
  char kind = 0;
  if constexpr (std::is_same_v<T, bool>) {
    kind = 'b';
  } else if constexpr (std::is_integral_v<T>) {
    kind = std::is_signed_v<T> ? 'i' : 'u';
  } else if constexpr (std::is_floating_point_v<T>) {
    kind = 'f';
  } else if constexpr (kComplex) {
    kind = 'c';
  } else {
    return {};
  }
  return std::string(sizeof(T) == 1 ? "|" : "<") + kind + std::to_string(sizeof(T));
}

template <typename T>
class View {
 public:
  using value_type = std::remove_const_t<T>;
  using Bytes = std::conditional_t<std::is_const_v<T>, const std::byte, std::byte>;

  View() = default;
  /// Requires: `origin` and every stride are multiples of alignof(T); strides in bytes.
  View(Bytes* origin, Shape shape, std::vector<std::uint64_t> strides)
      : origin_(origin), shape_(std::move(shape)), strides_(std::move(strides)) {}

  [[nodiscard]] T* data() const { return reinterpret_cast<T*>(origin_); }
  [[nodiscard]] std::size_t rank() const { return shape_.size(); }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] std::uint64_t extent(std::size_t axis) const { return shape_[axis]; }
  /// Elements of T from one step of the axis to the next.
  /// Requires: strides_bytes()[axis] is a multiple of sizeof(T); it is, but for fields.
  [[nodiscard]] std::uint64_t stride(std::size_t axis) const { return strides_[axis] / sizeof(T); }
  [[nodiscard]] const std::vector<std::uint64_t>& strides_bytes() const { return strides_; }
  [[nodiscard]] std::uint64_t size() const {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : shape_) {
      if (extent == 0) return 0;
      count *= extent;
    }
    return count;
  }

  /// The element at one index per axis, or nullptr when there is none.
  template <typename... Index>
  [[nodiscard]] T* find(Index... index) const {
    if (sizeof...(Index) != rank()) return nullptr;
    const std::uint64_t wanted[] = {static_cast<std::uint64_t>(index)..., 0};
    std::uint64_t offset = 0;
    for (std::size_t axis = 0; axis < rank(); ++axis) {
      if (wanted[axis] >= shape_[axis]) return nullptr;
      offset += wanted[axis] * strides_[axis];
    }
    return reinterpret_cast<T*>(origin_ + offset);
  }

  /// The element at one index per axis. Requires: find() would find it; only debug builds check.
  template <typename... Index>
  [[nodiscard]] T& operator()(Index... index) const {
    assert(find(index...) != nullptr);
    std::uint64_t offset = 0;
    std::size_t axis = 0;
    ((offset += static_cast<std::uint64_t>(index) * strides_[axis++]), ...);
    return *reinterpret_cast<T*>(origin_ + offset);
  }

  /// Without gaps in memory, in C or in Fortran order.
  [[nodiscard]] bool is_contiguous() const {
    std::uint64_t c_order = sizeof(T);
    std::uint64_t fortran = sizeof(T);
    bool c_fits = true;
    bool fortran_fits = true;
    for (std::size_t i = 0; i < rank(); ++i) {
      const std::size_t back = rank() - 1 - i;
      c_fits = c_fits && (shape_[back] <= 1 || strides_[back] == c_order);
      fortran_fits = fortran_fits && (shape_[i] <= 1 || strides_[i] == fortran);
      c_order *= shape_[back];
      fortran *= shape_[i];
    }
    return size() == 0 || c_fits || fortran_fits;
  }

  /// All elements in the order of memory. Errors: EINVAL when there are gaps between them.
  [[nodiscard]] Result<std::span<T>> elements() const {
    if (!is_contiguous()) return fail(EINVAL, "the elements are not contiguous");
    return std::span<T>(data(), static_cast<std::size_t>(size()));
  }

 private:
  Bytes* origin_ = nullptr;
  Shape shape_;
  std::vector<std::uint64_t> strides_;  // bytes
};

/// A field of the structured array `layout` at `origin`.
/// Errors: ENOENT (no such field), EINVAL (another type, or not aligned for T).
template <typename T>
[[nodiscard]] Result<View<T>> field_view(const Layout& layout, std::byte* origin,
                                         std::string_view name) {
  for (const Field& field : layout.dtype.fields()) {
    if (field.name != name && (field.title.empty() || field.title != name)) continue;
    const std::string wanted = typestr_of<std::remove_const_t<T>>();
    if (field.dtype.itemsize() != sizeof(T) ||
        (!wanted.empty() && field.dtype.typestr() != wanted)) {
      return fail(EINVAL, field.name + " is " + field.dtype.name());
    }
    const std::uint64_t align = alignof(T);
    if (field.offset % align != 0 || layout.dtype.itemsize() % align != 0) {
      return fail(EINVAL, field.name + " is not aligned for its type");
    }
    Shape shape = layout.shape;
    auto strides = layout.strides();
    const Layout inner{field.dtype, field.shape, Order::kC, 0};
    const auto inner_strides = inner.strides();
    shape.insert(shape.end(), field.shape.begin(), field.shape.end());
    strides.insert(strides.end(), inner_strides.begin(), inner_strides.end());
    std::byte* first = layout.size() == 0 ? origin : origin + field.offset;
    return View<T>(first, std::move(shape), std::move(strides));
  }
  return fail(ENOENT, "no field " + std::string(name));
}

}  // namespace shm
