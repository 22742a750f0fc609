#include "replacement.hpp"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <shm/posix.hpp>

namespace arrayfs {
namespace {

using shm::Result;
using shm::posix::fail_errno;
using shm::posix::Fd;

std::string proc_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

Result<void> copy_xattrs(const std::string& from, int to) {
  std::string names(XATTR_LIST_MAX, '\0');
  const ssize_t size = listxattr(from.c_str(), names.data(), names.size());
  std::string value(XATTR_SIZE_MAX, '\0');
  for (ssize_t at = 0; at < size;) {
    const char* name = names.c_str() + at;
    const ssize_t length = getxattr(from.c_str(), name, value.data(), value.size());
    if (length >= 0 && fsetxattr(to, name, value.data(), static_cast<size_t>(length), 0) != 0) {
      return fail_errno(name);
    }
    at += static_cast<ssize_t>(std::string_view(name).size()) + 1;
  }
  return {};
}

// The empty file with everything of the old one but its bytes.
Result<void> dress(int fd, const std::string& old, const struct stat& st,
                   const std::string& prefix) {
  if (fchown(fd, st.st_uid, st.st_gid) != 0 || fchmod(fd, st.st_mode & 07777) != 0) {
    return fail_errno("new version");
  }
  if (auto copied = copy_xattrs(old, fd); !copied || prefix.empty()) {
    return copied;
  }
  const Fd reading(open(old.c_str(), O_RDONLY | O_CLOEXEC));
  if (st.st_nlink > 1) {
    fremovexattr(fd, (prefix + "array.sync").c_str());  // the other names keep the sync page
  }
  const std::string version = std::to_string(version_of(reading.get(), prefix) + 1);
  if (fsetxattr(fd, (prefix + "array.version").c_str(), version.data(), version.size(), 0) != 0) {
    return fail_errno("new version");
  }
  return {};
}

}  // namespace

std::uint64_t version_of(int fd, const std::string& xattr_prefix) {
  char text[20];
  const ssize_t size =
      fd < 0 ? -1 : fgetxattr(fd, (xattr_prefix + "array.version").c_str(), text, sizeof text);
  std::uint64_t version = 1;
  if (size > 0) {
    std::from_chars(text, text + size, version);
  }
  return version;
}

void count_version(const Store& store, int path_fd) {
  const std::string& prefix = store.xattr_prefix();
  const Fd fd(open(proc_path(path_fd).c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.valid() && !prefix.empty()) {
    const std::string version = std::to_string(version_of(fd.get(), prefix) + 1);
    fsetxattr(fd.get(), (prefix + "array.version").c_str(), version.data(), version.size(), 0);
  }
}

Result<Fd> replace_by_empty(const Store& store, int parent_fd, const std::string& name,
                            int path_fd) {
  const auto st = shm::posix::stat_at(path_fd, "", AT_EMPTY_PATH);
  if (!st) {
    return tl::unexpected(st.error());
  }
  const std::string aside = "version-" + std::to_string(st->st_ino);
  auto fd = shm::posix::open_at(store.private_fd(), aside, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!fd) {
    return fd;
  }
  auto done = dress(fd->get(), proc_path(path_fd), *st, store.xattr_prefix());
  if (done && renameat(store.private_fd(), aside.c_str(), parent_fd, name.c_str()) != 0) {
    done = fail_errno("new version");
  }
  if (!done) {
    unlinkat(store.private_fd(), aside.c_str(), 0);
    return tl::unexpected(done.error());
  }
  return fd;
}

}  // namespace arrayfs
