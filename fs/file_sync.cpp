// FileSystem's side of what libshm keeps about arrays: sync pages, which are nodes like any other
// but changed by libshm alone, and the control files of rings.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "fault_point.hpp"
#include "file_system.hpp"

namespace arrayfs {

using shm::fail;
using shm::Result;
using shm::posix::Fd;

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

std::string FileSystem::path_at(int parent_fd, const char* name) {
  return "/proc/self/fd/" + std::to_string(parent_fd) + "/" + name;
}

std::string FileSystem::last_sync_page(int parent_fd, const char* name,
                                       const Result<struct stat>& st) const {
  const bool last_name = st && S_ISREG(st->st_mode) && st->st_nlink == 1;
  return last_name ? sync_page_of(store_, path_at(parent_fd, name)) : std::string();
}

// Before the rename: a server that dies over it leaves no array without the page of its name.
bool FileSystem::pass_sync_page(const std::string& page, const std::pair<int, const char*>& heir,
                                const Result<struct stat>& heir_st,
                                const Result<struct stat>& replaced) {
  const bool same_owner = heir_st && replaced && heir_st->st_uid == replaced->st_uid;
  if (page.empty() || !same_owner || !S_ISREG(heir_st->st_mode)) {
    return false;
  }
  const std::string path = path_at(heir.first, heir.second);
  const std::string own = sync_page_of(store_, path);
  return own == page || (own.empty() && inherit_sync_page(store_, path, page));
}

Fd FileSystem::ring_control(NodeId node) {
  const auto array = get_attributes(node & ~kLinkFace);
  const std::string path = path_below_mount(node);
  if (!array || path.empty() || (!options_.backing && !options_.links)) {
    return {};
  }
  const auto name = path.rfind('/') + 1;
  const std::string beside = path.substr(0, name) + "." + path.substr(name) + ".ring";
  const auto control = open_name(store_.root_fd(), beside.c_str());
  const auto st = control.and_then(
      [](const Fd& fd) { return shm::posix::stat_at(fd.get(), "", AT_EMPTY_PATH); });
  constexpr mode_t kReading = 0444;
  // Anybody could have put one there, and not every reader of the array may read that.
  const bool belongs = st && st->st_uid == array->st_uid && st->st_gid == array->st_gid &&
                       (array->st_mode & kReading & ~st->st_mode) == 0;
  if (!belongs || !S_ISREG(st->st_mode)) {
    return {};
  }
  return Fd(
      ::open(("/proc/self/fd/" + std::to_string(control->get())).c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace arrayfs
