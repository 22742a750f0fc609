// FileSystem's operations on attributes and xattrs.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "fault_point.hpp"
#include "file_system.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

// Names below the store's own prefix are ours: they are never passed through.
bool is_reserved(const std::string& name, const std::string& prefix) {
  return name.starts_with(kArrayXattr) || (!prefix.empty() && name.starts_with(prefix + "array."));
}

}  // namespace

struct stat FileSystem::shown(struct stat st) {
  // tmpfs with huge pages reports 2 MiB blocks: buffered readers would read as much for a header.
  st.st_blksize = 4096;
  return st;
}

Result<struct stat> FileSystem::get_attributes(NodeId node) {
  auto st = inodes_.fd(node).and_then(
      [](int fd) { return shm::posix::stat_at(fd, "", AT_EMPTY_PATH).map(shown); });
  if (st && (node & kLinkFace) != 0) {
    const auto target = store_path_of(node);
    st->st_mode = S_IFLNK | 0777;
    st->st_size = target ? static_cast<off_t>(target->size()) : 0;
    st->st_blocks = 0;
  }
  return st;
}

Result<void> FileSystem::resize(NodeId node, std::uint64_t size,
                                std::optional<std::uint64_t> handle) {
  if (auto writable = check_writable(node); !writable) {
    return writable;
  }
  if (auto allowed = check_shrink(node, size, handle.has_value()); !allowed) {
    return allowed;
  }
  const auto bytes = static_cast<off_t>(size);
  if (handle && !options_.backing) {
    return ftruncate(data_fd(*handle), bytes) == 0 ? Result<void>{} : fail(errno);
  }
  return proc_path(node).and_then([&](const std::string& path) -> Result<void> {
    if (truncate(path.c_str(), bytes) != 0) {
      return fail(errno);
    }
    return {};
  });
}

Result<struct stat> FileSystem::set_attributes(NodeId node, const AttrChange& change,
                                               std::optional<std::uint64_t> handle) {
  const auto fd = inodes_.fd(node);
  const auto path = proc_path(node);
  if (!fd || !path) {
    return fail(ESTALE);
  }
  if (is_sync_page(node) && (change.mode || change.uid || change.gid || change.size)) {
    return fail(EPERM, "a sync page is as its array is");
  }
  if (change.uid || change.gid) {
    if (fchownat(*fd, "", change.uid.value_or(-1U), change.gid.value_or(-1U),
                 AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) {
      return fail(errno);
    }
  }
  fault_point("setattr: owner set");
  if (change.mode && chmod(path->c_str(), *change.mode & 07777) != 0) {
    return fail(errno);
  }
  if (change.size) {
    if (auto resized = resize(node, *change.size, handle); !resized) {
      return tl::unexpected(resized.error());
    }
    note(EventKind::kResized, node);
  }
  fault_point("setattr: size set");
  if (change.atime || change.mtime) {
    const timespec keep{0, UTIME_OMIT};
    const timespec times[2] = {change.atime.value_or(keep), change.mtime.value_or(keep)};
    if (utimensat(*fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) {
      return fail(errno);
    }
  }
  return change.drop_privileges && !change.mode ? drop_privileges(node) : get_attributes(node);
}

// As the kernel does on a write: suid always, sgid where the group may execute.
Result<struct stat> FileSystem::drop_privileges(NodeId node) {
  auto st = get_attributes(node);
  if (!st || !S_ISREG(st->st_mode) || (st->st_mode & (S_ISUID | S_ISGID)) == 0) {
    return st;
  }
  mode_t mode = st->st_mode & 07777 & ~static_cast<mode_t>(S_ISUID);
  if ((mode & S_IXGRP) != 0) {
    mode &= ~static_cast<mode_t>(S_ISGID);
  }
  const auto path = proc_path(node);
  if (!path || chmod(path->c_str(), mode) != 0) {
    return fail(path ? errno : ESTALE);
  }
  removexattr(path->c_str(), "security.capability");
  return get_attributes(node);
}

Result<std::string> FileSystem::get_xattr(NodeId node, const std::string& name) {
  if (is_reserved(name, store_.xattr_prefix())) {
    if (!name.starts_with(kArrayXattr)) {
      return fail(ENODATA);
    }
    return inspect(node).and_then([&](const ArrayFile& file) {
      return array_xattr(file, std::string_view(name).substr(kArrayXattr.size()));
    });
  }
  return proc_path(node).and_then([&](const std::string& path) -> Result<std::string> {
    std::string value(256, '\0');
    ssize_t size = getxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (size < 0 && errno == ERANGE) {
      value.resize(XATTR_SIZE_MAX);
      size = getxattr(path.c_str(), name.c_str(), value.data(), value.size());
    }
    if (size < 0) {
      // Where SELinux runs, the kernel does not ask for its labels here. Of a file system that has
      // none, ls and cp ask once and not for every file.
      return fail(errno == ENODATA && name == "security.selinux" ? EOPNOTSUPP : errno);
    }
    value.resize(static_cast<size_t>(size));
    return value;
  });
}

Result<std::string> FileSystem::list_xattrs(NodeId node, const Caller& caller) {
  const auto path = proc_path(node);
  if (!path) {
    return tl::unexpected(path.error());
  }
  std::string stored(XATTR_LIST_MAX, '\0');
  const ssize_t size = listxattr(path->c_str(), stored.data(), stored.size());
  if (size < 0 && errno != ENOTSUP) {
    return fail(errno);
  }
  stored.resize(size < 0 ? 0 : static_cast<size_t>(size));

  std::string names;
  for (size_t at = 0; at < stored.size();) {
    const std::string name(stored.c_str() + at);
    const bool hidden = name.starts_with("trusted.") && caller.uid != 0;
    if (!hidden && !is_reserved(name, store_.xattr_prefix())) {
      names.append(name).push_back('\0');
    }
    at += name.size() + 1;
  }
  if (const auto file = inspect(node)) {
    for (const std::string& name : array_xattr_names(*file)) {
      names.append(kArrayXattr).append(name).push_back('\0');
    }
  }
  return names;
}

Result<void> FileSystem::set_xattr(NodeId node, const std::string& name, std::string_view value,
                                   int flags) {
  if (is_sync_page(node)) {
    return fail(EPERM);
  }
  if (is_reserved(name, store_.xattr_prefix())) {
    if (!name.starts_with(kArrayXattr)) {
      return fail(EPERM);
    }
    const auto file = inspect(node);
    if (!file) {
      return fail(file.error().code == ENODATA ? EPERM : file.error().code);
    }
    return set_own_xattr(node, *file, std::string_view(name).substr(kArrayXattr.size()), value);
  }
  return proc_path(node).and_then([&](const std::string& path) -> Result<void> {
    if ((flags & XATTR_CREATE) != 0) {
      journal_->intend({0, getxattr(path.c_str(), name.c_str(), nullptr, 0) >= 0 ? 1U : 0U});
    }
    if (setxattr(path.c_str(), name.c_str(), value.data(), value.size(), flags) != 0 &&
        !(errno == EEXIST && made_before())) {
      return fail(errno);
    }
    fault_point("setxattr: set");
    return {};
  });
}

Result<void> FileSystem::set_own_xattr(NodeId node, const ArrayFile& file, std::string_view name,
                                       std::string_view value) {
  if (name == "sealed") {
    if (value != "0" && value != "1") {
      return fail(EINVAL, "sealed: give 1 or 0");
    }
    return set_sealed(node, file, value == "1");
  }
  auto set = set_array_xattr(file, name, value, store_.xattr_prefix());
  if (set && (name == "ttl" || name == "owner_pid")) {
    if (auto fd = reopen(node, O_PATH)) {
      options_.lifetime_set(std::move(*fd));
    }
  }
  return set;
}

Result<void> FileSystem::remove_xattr(NodeId node, const std::string& name) {
  journal_->intend({get_xattr(node, name) ? 1U : 0U, 0});
  auto removed = remove_stored_xattr(node, name);
  fault_point("removexattr: removed");
  const bool earlier = !removed && removed.error().code == ENODATA && removed_before();
  return earlier ? Result<void>{} : removed;
}

Result<void> FileSystem::remove_stored_xattr(NodeId node, const std::string& name) {
  if (is_sync_page(node)) {
    return fail(EPERM);
  }
  if (is_reserved(name, store_.xattr_prefix())) {
    if (!name.starts_with(kArrayXattr)) {
      return fail(ENODATA);
    }
    return inspect(node).and_then([&](const ArrayFile& file) {
      const std::string_view own = std::string_view(name).substr(kArrayXattr.size());
      if (own == "sealed" && file.sealed) {
        return set_sealed(node, file, false);
      }
      return remove_array_xattr(file, own, store_.xattr_prefix());
    });
  }
  return proc_path(node).and_then([&](const std::string& path) -> Result<void> {
    if (removexattr(path.c_str(), name.c_str()) != 0) {
      return fail(errno);
    }
    return {};
  });
}

}  // namespace arrayfs
