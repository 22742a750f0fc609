// FileSystem's side of the event log: what happened to which file, and where that is.
#include <fcntl.h>
#include <sys/xattr.h>

#include <cerrno>
#include <charconv>

#include "file_system.hpp"

namespace arrayfs {
namespace {

// What the kernel appends to the path of a file that has lost its name.
constexpr std::string_view kRemoved = " (deleted)";

}  // namespace

std::string FileSystem::path_below_mount(NodeId node) {
  std::string path = store_path_of(node).value_or("");
  const std::string root = store_path_of(kRootNode).value_or("");
  if (path.ends_with(kRemoved)) {
    const auto st = get_attributes(node);
    path.resize(path.size() - (st && st->st_nlink == 0 ? kRemoved.size() : 0));
  }
  return path.starts_with(root + "/") ? path.substr(root.size() + 1) : std::string();
}

std::string FileSystem::path_below_mount(NodeId parent, const char* name) {
  const std::string directory = path_below_mount(parent);
  return directory.empty() ? name : directory + "/" + name;
}

void FileSystem::tell(EventKind kind, const EventSubject& subject) {
  options_.happened(events_.add(kind, subject));
}

void FileSystem::note(EventKind kind, NodeId node, pid_t pid) {
  const auto inode = inodes_.find(node);
  if (!events_.wanted() || !inode || !S_ISREG((*inode)->mode) || is_sync_page(node)) {
    return;
  }
  const auto st = get_attributes(node & ~kLinkFace);
  EventSubject subject{(*inode)->ino, st ? st->st_uid : 0, path_below_mount(node), {}, pid, 0};
  char version[20];
  const auto path = proc_path(node);
  const std::string name = store_.xattr_prefix() + "array.version";
  const ssize_t size = path ? getxattr(path->c_str(), name.c_str(), version, sizeof version) : -1;
  if (size > 0) {
    std::from_chars(version, version + size, subject.version);
  }
  tell(kind, subject);
}

void FileSystem::note_name(EventKind kind, NodeId parent, const char* name,
                           const shm::Result<struct stat>& st) {
  if (events_.wanted() && st && S_ISREG(st->st_mode)) {
    tell(kind, {st->st_ino, st->st_uid, path_below_mount(parent, name)});
  }
}

void FileSystem::note_made(NodeId parent, const char* name, pid_t pid) {
  const auto fd = inodes_.fd(parent);
  const auto st = fd ? shm::posix::stat_at(*fd, name, AT_SYMLINK_NOFOLLOW) : shm::fail(ESTALE);
  if (!events_.wanted() || !st) {
    return;
  }
  const EventSubject subject{st->st_ino, st->st_uid, path_below_mount(parent, name), {}, pid};
  tell(EventKind::kCreated, subject);
  tell(EventKind::kPublished, subject);
}

void FileSystem::note_expired(std::uint64_t ino, std::uint64_t parent_ino,
                              const std::string& name) {
  if (!events_.wanted()) {
    return;
  }
  const auto parent = inodes_.find_by_ino(parent_ino);
  const auto node = inodes_.find_by_ino(ino);
  const auto st = node ? get_attributes(*node) : shm::fail(ESTALE);
  tell(EventKind::kExpired,
       {ino, st ? st->st_uid : 0, parent ? path_below_mount(*parent, name.c_str()) : name});
}

}  // namespace arrayfs
