// FileSystem's side of sync pages: they are nodes like any other, but changed by libshm alone.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "fault_point.hpp"
#include "file_system.hpp"

namespace arrayfs {

using shm::fail;
using shm::Result;

Result<Entry> FileSystem::sync_page(NodeId node) {
  if (options_.links) {
    return fail(EOPNOTSUPP, "behind a link nobody would find the page");
  }
  const auto path = proc_path(node);
  const auto array =
      path.and_then([](const std::string& at) { return shm::posix::stat_at(AT_FDCWD, at, 0); });
  if (!array) {
    return tl::unexpected(array.error());
  }
  std::string name = sync_page_of(store_, *path);
  if (name.empty() || !shm::posix::stat_at(store_.private_fd(), name, AT_SYMLINK_NOFOLLOW)) {
    if (!admit(kSyncPageFileBytes)) {
      return fail(ENOSPC, "sync page");
    }
    auto made = make_sync_page(store_, *path, name);
    if (!made) {
      return tl::unexpected(made.error());
    }
    name = std::move(*made);
    fault_point("sync page: made");
  }
  return dress_sync_page(store_, name, *path, *array)
      .and_then([&] { return enter(store_.private_fd(), name.c_str()); })
      .map([&](const Entry& entry) {
        (*inodes_.find(entry.node))->flags |= kSyncPage;
        return entry;
      });
}

bool FileSystem::is_sync_page(NodeId node) {
  const auto inode = inodes_.find(node);
  return inode && ((*inode)->flags & kSyncPage) != 0;
}

void FileSystem::drop_sync_page(const std::string& name) {
  inodes_.lost_name(remove_sync_page(store_, name));
}

std::string FileSystem::last_sync_page(int parent_fd, const char* name,
                                       const Result<struct stat>& st) const {
  const bool last_name = st && S_ISREG(st->st_mode) && st->st_nlink == 1;
  return last_name ? sync_page_of(store_, "/proc/self/fd/" + std::to_string(parent_fd) + "/" + name)
                   : std::string();
}

void FileSystem::pass_sync_page(const std::string& name, const std::pair<int, const char*>& at,
                                const struct stat& replaced) {
  const auto heir = shm::posix::stat_at(at.first, at.second, AT_SYMLINK_NOFOLLOW);
  const std::string path = "/proc/self/fd/" + std::to_string(at.first) + "/" + at.second;
  if (!name.empty() && !(heir && inherit_sync_page(store_, path, *heir, replaced, name))) {
    drop_sync_page(name);
  }
}

}  // namespace arrayfs
