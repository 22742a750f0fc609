// What a file of the store is as an array: its layout, or why it has none.
//
// A file is an array because its content is a valid .npy, or because its raw bytes were given a
// type by xattrs. Reading it costs one pread of the header at most. Stateless.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <shm/npy.hpp>
#include <shm/posix.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "lifetime.hpp"

namespace arrayfs {

/// The names in `user.array.*` that this project owns; all others below it are refused.
inline constexpr std::string_view kArrayXattr = "user.array.";

struct ArrayFile {
  shm::posix::Fd fd;  ///< O_RDONLY
  struct stat attr;
  std::optional<shm::Layout> layout;  ///< of the array that the file is
  bool typed_raw = false;             ///< the type comes from xattrs, not from a header
  std::string reason;                 ///< why there is no layout
  std::uint64_t version = 1;          ///< how often its name was given new content, from 1
  bool sealed = false;                ///< nobody may open it for writing
  Lifetime lifetime;
};

/// Looks at the regular file `fd`. `xattr_prefix` is the store's (Store::xattr_prefix).
/// Errors: those of fstat; a file that is no array is no error.
[[nodiscard]] shm::Result<ArrayFile> inspect_array(shm::posix::Fd fd,
                                                   const std::string& xattr_prefix);

/// The values of the `user.array.*` xattrs that follow from the layout, by short name (`dtype`).
/// Errors: ENODATA for a name that this file does not have.
[[nodiscard]] shm::Result<std::string> array_xattr(const ArrayFile& file, std::string_view name);

/// The short names that array_xattr() answers for this file.
[[nodiscard]] std::vector<std::string> array_xattr_names(const ArrayFile& file);

/// Gives a raw file a type (`dtype`, `shape`, `order`, `offset`) or any file a lifetime (`ttl`,
/// `owner_pid`), on its backing file. Setting what is already so is accepted.
/// Errors: EINVAL when the value does not parse or does not fit, ENOTSUP without store xattrs.
[[nodiscard]] shm::Result<void> set_array_xattr(const ArrayFile& file, std::string_view name,
                                                std::string_view value,
                                                const std::string& xattr_prefix);

/// Takes such a value back. Errors: ENODATA when it is not set, EPERM when it follows from the
/// file.
[[nodiscard]] shm::Result<void> remove_array_xattr(const ArrayFile& file, std::string_view name,
                                                   const std::string& xattr_prefix);

}  // namespace arrayfs
