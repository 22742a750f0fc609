// The .npy header: NumPy's file format 1.0, 2.0 and 3.0.
//
// Reads what NumPy writes and refuses what hostile files contain; writes exactly what NumPy
// writes. Stateless. Byte layout and a worked example: libshm/FORMAT.md.
// Source: numpy/lib/format.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <shm/dtype.hpp>
#include <shm/error.hpp>
#include <span>
#include <string>

namespace shm {

enum class Order : char { kC = 'C', kFortran = 'F' };

/// What NumPy itself accepts as header length (numpy.lib.format._MAX_HEADER_SIZE).
inline constexpr std::uint64_t kMaxHeaderBytes = 10'000;
/// numpy.lib.format.ARRAY_ALIGN: the data begins at a multiple of it.
inline constexpr std::uint64_t kArrayAlign = 64;
/// NPY_MAXDIMS of NumPy 2; more axes are refused.
inline constexpr std::size_t kMaxDims = 64;
/// Bytes that always hold a whole acceptable header (magic, length, header), a multiple of 4096.
inline constexpr std::uint64_t kMaxPrefixBytes = 12'288;

/// Type, shape, order and place of an array within its file.
struct Layout {
  Dtype dtype;
  Shape shape;  ///< outermost axis first; empty for 0-d
  Order order = Order::kC;
  std::uint64_t data_offset = 0;  ///< bytes from the start of the file

  /// Product of the extents; 1 for 0-d. Requires: a Layout made by this library.
  [[nodiscard]] std::uint64_t size() const;
  /// size() * itemsize.
  [[nodiscard]] std::uint64_t nbytes() const { return size() * dtype.itemsize(); }
  /// Bytes from one element to the next along each axis, as NumPy's ndarray.strides.
  [[nodiscard]] std::vector<std::uint64_t> strides() const;
  /// `(3, 4)`, `(5,)`, `()`.
  [[nodiscard]] std::string shape_text() const;
};

/// Checks that the shape has at most kMaxDims axes and that the count and the bytes fit int64.
/// Errors: EINVAL (too many axes), EOVERFLOW.
[[nodiscard]] Result<void> check_shape(const Dtype& dtype, const Shape& shape);

/// The layout that a .npy file begins with.
/// `prefix` is the beginning of the file, up to kMaxPrefixBytes of it; `file_size_bytes` its size.
/// Errors: EINVAL with the reason (no magic, truncated, header too long, not a Python literal,
/// wrong keys, negative shape, data beyond the end of the file, ...), EOVERFLOW. An object dtype
/// is no error here: callers look at dtype.is_object(); for it no data size is checked.
[[nodiscard]] Result<Layout> parse_npy(std::span<const std::byte> prefix,
                                       std::uint64_t file_size_bytes);

/// Same, reading at most kMaxPrefixBytes with pread. Errors: those of pread and parse_npy.
[[nodiscard]] Result<Layout> read_npy(int fd);

/// The bytes from the magic to the data, exactly as numpy.save writes them (version 1.0 where it
/// suffices), the data at the next multiple of `align` bytes.
/// Requires: align is a power of two, 64 <= align <= 8192.
/// Errors: EINVAL (align, header beyond kMaxHeaderBytes, object dtype), those of check_shape.
[[nodiscard]] Result<std::string> npy_header(const Dtype& dtype, const Shape& shape, Order order,
                                             std::uint64_t align = kArrayAlign);

/// A header that ends exactly at `data_offset`, to be written over the one of a file whose shape
/// changes and whose data stays. Errors: EOVERFLOW (no room), EINVAL (object dtype), check_shape's.
[[nodiscard]] Result<std::string> npy_header_at(const Dtype& dtype, const Shape& shape, Order order,
                                                std::uint64_t data_offset);

/// A shape from `60000,28,28`, `(3, 4)`, `5`, or `` and `()` for 0-d. Errors: EINVAL.
[[nodiscard]] Result<Shape> parse_shape(std::string_view text);

}  // namespace shm
