// FileSystem's operations that open, make, write and release files.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "act_as.hpp"
#include "fault_point.hpp"
#include "file_system.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;
using shm::posix::Fd;

bool is_writable(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY;
}

}  // namespace

Result<Fd> FileSystem::reopen(NodeId node, int flags) {
  // The kernel opens all others itself; opening a FIFO here would wait for its other end.
  const auto inode = inodes_.find(node);
  if (inode && (flags & O_PATH) == 0 && !S_ISREG((*inode)->mode) && !S_ISDIR((*inode)->mode)) {
    return fail(ENXIO);
  }
  return proc_path(node).and_then([&](const std::string& path) {
    return shm::posix::open_at(AT_FDCWD, path, flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW));
  });
}

Result<Fd> FileSystem::job_fd(NodeId node, std::uint64_t handle, int access) {
  if (options_.backing) {
    return reopen(node, access);
  }
  Fd copy(fcntl(data_fd(handle), F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) {
    return fail(errno);
  }
  return copy;
}

Result<std::int32_t> FileSystem::backing_id(NodeId node) {
  const auto fd = inodes_.fd(node);
  const auto inode = inodes_.find(node);
  if (!fd || !inode) {
    return fail(ESTALE);
  }
  if ((*inode)->backing_id == 0) {
    // Kept until FORGET: an inode that is open cannot change its backing id.
    state_.pending_backing = static_cast<std::uint32_t>(node & kSlotMask);
    auto id = options_.backing->acquire(*fd);
    fault_point("backing: registered");
    if (!id) {
      return id;
    }
    inodes_.set_backing(**inode, *id);
    state_.last_backing_id = *id;
    state_.pending_backing = 0;
  }
  return (*inode)->backing_id;
}

Result<void> FileSystem::prepare_writing(NodeId node, int flags, const Caller& caller) {
  auto ready = check_writable(node);
  if (ready && (flags & O_TRUNC) != 0 && is_sync_page(node)) {
    return fail(EPERM);
  }
  if (ready && (flags & O_TRUNC) != 0) {
    ready = make_room_for_overwrite(node, caller);
  }
  if (ready && caller.uid != 0) {
    // The kernel leaves it to us to drop suid and sgid, and writes go past us: so it is done now.
    if (auto dropped = drop_privileges(node); !dropped) {
      return tl::unexpected(dropped.error());
    }
  }
  return ready;
}

Result<OpenFile> FileSystem::open(NodeId node, int flags, const Caller& caller) {
  if ((flags & O_TRUNC) == 0) {
    second_lookups_.done(caller.pid);  // an earlier open of the thread ended without one
  }
  if (is_writable(flags) || (flags & O_TRUNC) != 0) {
    if (auto ready = prepare_writing(node, flags, caller); !ready) {
      return tl::unexpected(ready.error());
    }
  }
  OpenFile file;
  if (options_.backing) {
    const auto id = backing_id(node);
    if (!id) {
      return tl::unexpected(id.error());
    }
    if ((flags & O_TRUNC) != 0) {
      if (auto emptied = reopen(node, O_WRONLY | O_TRUNC); !emptied) {
        return tl::unexpected(emptied.error());
      }
    }
    file.backing_id = *id;
  } else {
    // Where to append, the kernel knows: it may be told to stop appending.
    auto fd = reopen(node, flags & ~(O_DIRECT | O_APPEND));
    if (!fd) {
      return tl::unexpected(fd.error());
    }
    const auto handle = keep(std::move(*fd), FdUse::kFile);
    if (!handle) {
      return tl::unexpected(handle.error());
    }
    file.handle = *handle;
  }
  fault_point("open: before counting");
  inodes_.opened(node, is_writable(flags));
  users_->changed();
  fault_point("open: counted");
  note(EventKind::kOpened, node, caller.pid);
  return file;
}

Result<std::pair<Entry, OpenFile>> FileSystem::create_file(NodeId parent, const char* name,
                                                           mode_t mode, int flags,
                                                           const Caller& caller) {
  second_lookups_.done(caller.pid);
  const auto parent_fd = inodes_.fd(parent);
  if (!parent_fd) {
    return tl::unexpected(parent_fd.error());
  }
  journal_->intend({0, ino_of(*parent_fd, name)});
  fault_point("create: before");
  Fd fd;
  {
    const ActAs as(caller);
    const int own_flags = flags & ~(O_DIRECT | O_TRUNC | O_APPEND | O_CREAT | O_EXCL);
    auto made = shm::posix::open_at(*parent_fd, name, own_flags | O_CREAT | O_EXCL, mode);
    if (!made && made.error().code == EEXIST && made_before()) {
      made = shm::posix::open_at(*parent_fd, name, own_flags | O_NOFOLLOW);
    }
    if (!made) {
      // The caller's kernel believed the name to be free.
      const int code = made.error().code;
      return code == EEXIST && (flags & O_EXCL) == 0 ? open_created(*parent_fd, name, flags, caller)
                                                     : fail(code);
    }
    fd = std::move(*made);
  }
  fault_point("create: made");
  auto entry = enter(*parent_fd, name);
  if (!entry) {
    return tl::unexpected(entry.error());
  }
  OpenFile file;
  if (options_.backing) {
    const auto id = backing_id(entry->node);
    if (!id) {
      inodes_.forget(entry->node, 1);
      return tl::unexpected(id.error());
    }
    file.backing_id = *id;
  } else {
    const auto handle = keep(std::move(fd), FdUse::kFile);
    if (!handle) {
      inodes_.forget(entry->node, 1);
      return tl::unexpected(handle.error());
    }
    file.handle = *handle;
  }
  inodes_.opened(entry->node, is_writable(flags));
  users_->changed();
  fault_point("create: counted");
  note(EventKind::kCreated, entry->node, caller.pid);
  note(EventKind::kOpened, entry->node, caller.pid);
  return std::pair(*entry, file);
}

// Somebody else made the name a moment ago. The kernel would look again when told ESTALE, but only
// once; and it has not checked whether the caller may open what is there.
Result<std::pair<Entry, OpenFile>> FileSystem::open_created(int parent_fd, const char* name,
                                                            int flags, const Caller& caller) {
  auto entry = enter(parent_fd, name);
  if (!entry) {
    return fail(entry.error().code == ENOENT ? ESTALE : entry.error().code);
  }
  const mode_t wanted = ((flags & O_ACCMODE) != O_WRONLY ? S_IRUSR : 0) |
                        (is_writable(flags) || (flags & O_TRUNC) != 0 ? S_IWUSR : 0);
  if (!surely_may(caller, entry->attr, wanted) || !S_ISREG(entry->attr.st_mode) ||
      kept_for_another(entry->node, caller)) {
    inodes_.forget(entry->node, 1);
    return fail(ESTALE);
  }
  if ((flags & O_TRUNC) != 0 && is_used_array(entry->node)) {
    const auto path_fd = open_name(parent_fd, name);
    const auto replaced =
        path_fd.and_then([&](const Fd& fd) { return replace(parent_fd, name, fd.get()); });
    inodes_.forget(entry->node, 1);
    entry = replaced.and_then([&](std::uint64_t) { return enter(parent_fd, name); });
    if (!entry) {
      return tl::unexpected(entry.error());
    }
  }
  auto file = open(entry->node, flags & ~(O_CREAT | O_EXCL), caller);
  if (!file) {
    inodes_.forget(entry->node, 1);
    return tl::unexpected(file.error());
  }
  return std::pair(*entry, *file);
}

Result<std::size_t> FileSystem::write(std::uint64_t handle, std::span<const char> bytes,
                                      std::uint64_t offset) {
  const int fd = data_fd(handle);
  if (options_.capacity_bytes != 0) {
    const auto st = shm::posix::stat_fd(fd);
    const std::uint64_t end = offset + bytes.size();
    const std::uint64_t size = st ? static_cast<std::uint64_t>(st->st_size) : 0;
    const std::uint64_t into_hole = st && is_allocated(*st) ? 0 : bytes.size();
    if (!admit(end > size ? std::min<std::uint64_t>(end - size, bytes.size()) : into_hole)) {
      return fail(ENOSPC);
    }
  }
  const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  if (written < 0) {
    return fail(errno);
  }
  return static_cast<std::size_t>(written);
}

void FileSystem::release(NodeId node, std::uint64_t handle, int flags) {
  fault_point("release: before");
  note(is_writable(flags) ? EventKind::kPublished : EventKind::kReleased, node);
  if (!options_.backing) {
    kept_->drop(handle);
  }
  inodes_.released(node, is_writable(flags));
  users_->changed();
  fault_point("release: counted");
}

}  // namespace arrayfs
