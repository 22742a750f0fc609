// An array in a file: create it whole, open it, map it.
//
// Array owns one shared mapping of the data and nothing else (the descriptor is closed once
// mapped). Movable, not copyable; element access from several threads or processes is the program's
// own affair (shm/sync.hpp has what is needed for it), and so is calling append, resize and
// refresh, which move the mapping, while another thread uses this Array. Works on any directory,
// best on an arrayfs mount.
#pragma once

#include <cerrno>
#include <cstddef>
#include <shm/npy.hpp>
#include <shm/posix.hpp>
#include <shm/view.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
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
  /// As it was given to create() or open().
  [[nodiscard]] const std::string& path() const { return path_; }

  /// The elements as T; a structured dtype as a struct of the same size, whose layout is the
  /// caller's promise. Errors: EINVAL when the dtype is another, when elements are not aligned for
  /// T, or when T is not const and the array is read-only.
  template <typename T>
  [[nodiscard]] Result<View<T>> view();
  template <typename T>
  [[nodiscard]] Result<View<const T>> view() const;
  /// One field of a structured dtype, whose own shape, if any, comes after the array's.
  /// Errors: those of view(), ENOENT (no such field).
  template <typename T>
  [[nodiscard]] Result<View<T>> field(std::string_view name);

  /// Adds rows (one or more steps of the first axis), whose bytes are `rows`, and maps the longer
  /// array; views made before are invalid. Processes may append at the same time: each append is
  /// whole, and who opens or refreshes meanwhile sees the array with it or without it. A process
  /// killed here leaves the array as it was.
  /// Errors: EINVAL (no multiple of a row, 0-d, Fortran order with more than one axis, not
  /// read-write), ESTALE (the path now names another file), EOVERFLOW, ENOSPC.
  [[nodiscard]] Result<void> append(std::span<const std::byte> rows);
  /// Gives the first axis another length; new rows are zero. Errors: as append; ETXTBSY when an
  /// arrayfs mount refuses to shrink because others have the array. Elsewhere who has mapped rows
  /// that are cut off gets SIGBUS for touching them.
  [[nodiscard]] Result<void> resize(std::uint64_t length);
  /// Maps the array as long as it is now. Errors: ESTALE, those of open().
  [[nodiscard]] Result<void> refresh();

  enum class Touch { kRead, kWrite };
  /// Brings every page in, so that the first access to it takes no fault. kWrite changes no byte.
  /// Errors: EFAULT, ENOMEM, EINVAL before Linux 5.14; EINVAL for kWrite of a read-only array.
  [[nodiscard]] Result<void> prefault(Touch touch);
  /// Asks for huge pages, where the file system decides by advice. Errors: EINVAL (a kernel
  /// without them).
  [[nodiscard]] Result<void> prefer_huge_pages();
  /// Moves the pages to one NUMA node and keeps new ones there.
  /// Errors: EINVAL (no such node), ENOSYS (a kernel without NUMA), ENOMEM.
  [[nodiscard]] Result<void> place_on_node(unsigned node);

 private:
  friend class ArrayGrowth;

  Array() = default;
  static Result<Array> map_file(int fd, const std::string& path, Access access);
  [[nodiscard]] Result<posix::Fd> reopen(int flags) const;
  [[nodiscard]] Result<void> check_typed(const std::string& typestr, std::uint64_t size_bytes,
                                         std::uint64_t align, bool writes) const;

  Layout layout_;
  posix::Mapping mapping_;  ///< from the page that holds the first element; empty without elements
  Access access_ = Access::kReadOnly;
  std::string path_;
  dev_t device_ = 0;  ///< of the mapped file, with inode_: what the path named when it was opened
  ino_t inode_ = 0;
};

/// Makes the array immutable, for root too, until it is unsealed. Only an arrayfs mount can promise
/// that. Errors: EOPNOTSUPP elsewhere, EBUSY while somebody has it open or mapped for writing.
[[nodiscard]] Result<void> seal(const std::string& path);
[[nodiscard]] Result<void> unseal(const std::string& path);

// Attributes are the file's extended attributes in the namespace `user`: `units` is `user.units`,
// and on an arrayfs mount `array.dtype`, `array.version`, `array.ttl`, ... are the array's own.
/// Errors: ENODATA (no such attribute), EOPNOTSUPP (a file system without them).
[[nodiscard]] Result<std::string> attribute(const std::string& path, const std::string& name);
[[nodiscard]] Result<void> set_attribute(const std::string& path, const std::string& name,
                                         std::string_view value);
/// The names, sorted.
[[nodiscard]] Result<std::vector<std::string>> attributes(const std::string& path);

/// The root of the arrayfs mount that the path is on: the nearest directory above it that has
/// `.arrayfs/status`. Errors: ENOENT when there is none, those of realpath(3).
[[nodiscard]] Result<std::string> mount_root(const std::string& path);

template <typename T>
Result<View<T>> Array::view() {
  auto valid =
      check_typed(typestr_of<std::remove_const_t<T>>(), sizeof(T), alignof(T), !std::is_const_v<T>);
  if (!valid) return tl::unexpected(std::move(valid.error()));
  return View<T>(const_cast<std::byte*>(bytes().data()), layout_.shape, layout_.strides());
}

template <typename T>
Result<View<const T>> Array::view() const {
  auto valid = check_typed(typestr_of<std::remove_const_t<T>>(), sizeof(T), alignof(T), false);
  if (!valid) return tl::unexpected(std::move(valid.error()));
  return View<const T>(bytes().data(), layout_.shape, layout_.strides());
}

template <typename T>
Result<View<T>> Array::field(std::string_view name) {
  if (!std::is_const_v<T> && access_ == Access::kReadOnly) {
    return fail(EINVAL, path_ + ": opened read-only");
  }
  return field_view<T>(layout_, const_cast<std::byte*>(bytes().data()), name);
}

}  // namespace shm
