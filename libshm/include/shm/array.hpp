// An array in a file: create it whole, open it, map it.
//
// Array owns one shared mapping of the data and nothing else (the descriptor is closed once
// mapped). Movable, not copyable; the layout is immutable; element access from several threads or
// processes is the program's own affair. Works on any directory, best on an arrayfs mount.
#pragma once

#include <cstddef>
#include <shm/npy.hpp>
#include <shm/posix.hpp>
#include <span>
#include <string>
#include <vector>

namespace shm {

enum class Access { kReadOnly, kReadWrite, kCopyOnWrite };

struct CreateOptions {
  Order order = Order::kC;
  std::uint64_t align = kArrayAlign;  ///< bytes, see npy_header
  bool replace = false;               ///< otherwise EEXIST when the path exists
  unsigned mode = 0666;               ///< before the umask
  /// One element's bytes, repeated over the array; empty for zeros.
  std::vector<std::byte> fill = {};
  /// All bytes of the array, in its order, instead of `fill`; borrowed during create().
  std::span<const std::byte> contents = {};
};

class Array {
 public:
  /// Makes the file `path`, whole and allocated, and maps it read-write. The name appears only
  /// when the array is complete: written aside in the same directory, then renamed.
  /// Errors: EEXIST, ENOSPC, EINVAL and EOVERFLOW (type, shape, fill), those of open(2).
  [[nodiscard]] static Result<Array> create(const std::string& path, const Dtype& dtype,
                                            const Shape& shape, const CreateOptions& options = {});

  /// Maps an existing .npy file. Errors: those of open(2) and parse_npy; EINVAL for object arrays.
  [[nodiscard]] static Result<Array> open(const std::string& path,
                                          Access access = Access::kReadOnly);

  [[nodiscard]] const Layout& layout() const { return layout_; }
  [[nodiscard]] std::span<const std::byte> bytes() const;
  /// Requires: not opened with Access::kReadOnly.
  [[nodiscard]] std::span<std::byte> mutable_bytes();

 private:
  Array() = default;

  Layout layout_;
  posix::Mapping mapping_;  ///< from the page that holds the first element; empty without elements
  Access access_ = Access::kReadOnly;
};

}  // namespace shm
