// The sync pages of a store's arrays (libshm/FORMAT.md): files of 4 KiB in its private directory.
//
// A page is named by a random number, which the array's file bears in the xattr `array.sync`. So it
// stays with the array under every name, and a next version that takes over the xattrs takes over
// the page. Stateless; for any thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <shm/error.hpp>
#include <string>

#include "store.hpp"

namespace arrayfs {

inline constexpr std::uint64_t kSyncPageFileBytes = 4096;

/// The name, in the private directory, of the page of the file at `path`; empty while it has none.
[[nodiscard]] std::string sync_page_of(const Store& store, const std::string& path);

/// Makes a page of zeros for the file at `path`, of which `name` is the one before it: the same
/// when that is only missing. Returns its name. Errors: EOPNOTSUPP for a store without xattrs,
/// ENOSPC, those of setxattr(2).
[[nodiscard]] shm::Result<std::string> make_sync_page(const Store& store, const std::string& path,
                                                      const std::string& name);

/// Gives the page the owner, the permissions and the ACL of its array.
[[nodiscard]] shm::Result<void> dress_sync_page(const Store& store, const std::string& name,
                                                const std::string& array_path,
                                                const struct stat& array);

/// The file at `path`, which has no page, takes over this one. False: it could not.
[[nodiscard]] bool inherit_sync_page(const Store& store, const std::string& path,
                                     const std::string& name);
void disinherit_sync_page(const Store& store, const std::string& path);

/// Takes the page out of the store; who has it mapped keeps it. Returns its inode number, 0 when
/// there was none.
std::uint64_t remove_sync_page(const Store& store, const std::string& name);

/// Removes the pages whose arrays are gone. Requires: nobody else changes the store.
void remove_orphaned_sync_pages(const Store& store);

}  // namespace arrayfs
