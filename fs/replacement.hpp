// A new version of a file: an empty file with the same owner, mode and xattrs takes over its name.
//
// Readers that have the old one open or mapped keep it; its memory goes with the last of them.
#pragma once

#include <cstdint>
#include <shm/error.hpp>
#include <shm/posix.hpp>
#include <string>

#include "store.hpp"

namespace arrayfs {

struct Replacement {
  shm::posix::Fd path_fd;    ///< of the new version
  std::uint64_t parent_ino;  ///< the directory
  std::string name;          ///< and the name in it, which the new version took over
};

/// Puts an empty file in the place of the one behind `path_fd` (O_PATH) in the store. The file
/// counts its versions in the xattr `array.version`.
/// Requires: the file has one name. Errors: ETXTBSY when that name cannot be told, ENOSPC, those
/// of rename(2).
[[nodiscard]] shm::Result<Replacement> replace_by_empty(const Store& store, int path_fd);

/// Counts a version more, of a file that is overwritten in place. What cannot be counted is not.
void count_version(const Store& store, int path_fd);

/// Which version of its name a file is: 1 unless it was overwritten.
[[nodiscard]] std::uint64_t version_of(int fd, const std::string& xattr_prefix);

}  // namespace arrayfs
