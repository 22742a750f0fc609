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

/// Puts an empty file in the place of `name` in the directory `parent_fd` of the store; `path_fd`
/// (O_PATH) is the file that has the name now. Other names of that file keep it. The file counts
/// its versions in the xattr `array.version`. Returns the new version, O_WRONLY.
/// Errors: ENOSPC, those of rename(2).
[[nodiscard]] shm::Result<shm::posix::Fd> replace_by_empty(const Store& store, int parent_fd,
                                                           const std::string& name, int path_fd);

/// Counts a version more, of a file that is overwritten in place. What cannot be counted is not.
void count_version(const Store& store, int path_fd);

/// Which version of its name a file is: 1 unless it was overwritten.
[[nodiscard]] std::uint64_t version_of(int fd, const std::string& xattr_prefix);

}  // namespace arrayfs
