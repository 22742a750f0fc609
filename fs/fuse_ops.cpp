#include "fuse_ops.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

#include "session.hpp"

namespace arrayfs {
namespace {

using shm::Error;
using shm::Result;
using shm::posix::Fd;

// Names and attributes change through this mount alone, so the kernel may keep them. A writer
// may make the daemon allocate what was a hole, which the kernel does not see.
constexpr double kTimeout = 3600;
constexpr double kTimeoutUnderWriters = 1;

Session& session_of(fuse_req_t request) {
  return *static_cast<Session*>(fuse_req_userdata(request));
}
FileSystem& files_of(fuse_req_t request) {
  return session_of(request).files();
}
ControlTree& control_of(fuse_req_t request) {
  return session_of(request).control();
}

Caller caller_of(fuse_req_t request) {
  const fuse_ctx& context = *fuse_req_ctx(request);
  return {context.uid, context.gid, context.pid, context.umask};
}

void refuse(fuse_req_t request, const Error& error) {
  if (!error.context.empty()) {
    spdlog::debug("refused: {}", shm::to_string(error));
  }
  fuse_reply_err(request, error.code);
}

// The one place where exceptions, which only libraries throw, become errnos.
template <typename Body>
void guarded(fuse_req_t request, Body&& body) {
  try {
    body();
  } catch (const std::bad_alloc&) {
    fuse_reply_err(request, ENOMEM);
  } catch (const std::exception& error) {
    spdlog::error("unexpected: {}", error.what());
    fuse_reply_err(request, EIO);
  }
}

// Runs `operation` and gives its value to `reply`, or its error to the caller.
template <typename Operation, typename Reply>
void answer(fuse_req_t request, Operation&& operation, Reply&& reply) {
  guarded(request, [&] {
    auto result = operation();
    if (!result) {
      return refuse(request, result.error());
    }
    if constexpr (std::is_void_v<typename decltype(result)::value_type>) {
      reply();
    } else {
      reply(*result);
    }
  });
}

template <typename Operation>
void answer_done(fuse_req_t request, Operation&& operation) {
  answer(request, operation, [&] { fuse_reply_err(request, 0); });
}

// Runs `operation` on an executor thread; it must own what it uses and reply itself.
template <typename Operation>
void answer_later(fuse_req_t request, Operation&& operation) {
  session_of(request).executor().run(
      Executor::Job([request, operation = std::forward<Operation>(operation)]() mutable {
        guarded(request, [&] { operation(); });
      }));
}

double attr_timeout(Session& session, NodeId node) {
  if (ControlTree::owns(node) || session.files().links()) {
    return 0;
  }
  const auto inode = session.files().find(node);
  const bool quiet = inode && (*inode)->writers == 0 && session.files().store().is_private();
  return quiet ? kTimeout : kTimeoutUnderWriters;
}

fuse_entry_param entry_param(Session& session, const Entry& entry) {
  fuse_entry_param param{};
  param.ino = entry.node;
  param.generation = entry.generation;
  param.attr = entry.attr;
  // The control tree is generated afresh, and on the link plane a file becomes an array without
  // the daemon's doing: nothing of them is kept.
  const bool fleeting = ControlTree::owns(entry.node) || session.files().links();
  param.entry_timeout = fleeting ? 0 : kTimeout;
  param.attr_timeout = attr_timeout(session, entry.node);
  return param;
}

void forget(Session& session, NodeId node, std::uint64_t count) {
  if (ControlTree::owns(node)) {
    session.control().forget(node, count);
  } else {
    session.files().forget(node, count);
  }
}

void reply_entry(fuse_req_t request, const Entry& entry) {
  const fuse_entry_param param = entry_param(session_of(request), entry);
  if (fuse_reply_entry(request, &param) == -ENOENT) {
    forget(session_of(request), entry.node, 1);  // the caller was interrupted
  }
}

void reply_attr(fuse_req_t request, NodeId node, const struct stat& st) {
  fuse_reply_attr(request, &st, attr_timeout(session_of(request), node));
}

// ---- names

bool is_control_root(NodeId parent, const char* name) {
  return parent == kRootNode && std::strcmp(name, ControlTree::kName) == 0;
}

// What the store would take for a path: the kernel sends no such name.
bool is_path(const char* name) {
  return std::strchr(name, '/') != nullptr;
}

Result<Entry> find_entry(Session& session, NodeId parent, const char* name) {
  if (is_path(name)) {
    return shm::fail(EINVAL);
  }
  if (ControlTree::owns(parent)) {
    return session.control().lookup(parent, name);
  }
  if (is_control_root(parent, name)) {
    return session.control().root();
  }
  return session.files().lookup(parent, name).map([&](const Entry& entry) {
    return session.files().shown_entry(entry);
  });
}

void op_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  answer(
      request, [&] { return find_entry(session_of(request), parent, name); },
      [&](const Entry& entry) { reply_entry(request, entry); });
}

void op_forget(fuse_req_t request, fuse_ino_t node, std::uint64_t count) {
  forget(session_of(request), node, count);
  fuse_reply_none(request);
}

void op_forget_multi(fuse_req_t request, size_t count, fuse_forget_data* forgets) {
  for (size_t i = 0; i < count; ++i) {
    forget(session_of(request), forgets[i].ino, forgets[i].nlookup);
  }
  fuse_reply_none(request);
}

// Generated names can be neither made, nor removed, nor taken by files.
bool refuse_name(fuse_req_t request, NodeId parent, const char* name) {
  if (ControlTree::owns(parent) || is_control_root(parent, name)) {
    fuse_reply_err(request, EPERM);
    return true;
  }
  if (is_path(name)) {
    fuse_reply_err(request, EINVAL);
    return true;
  }
  return false;
}

template <typename Make>
void make(fuse_req_t request, NodeId parent, const char* name, Make&& operation) {
  if (!refuse_name(request, parent, name)) {
    answer(request, operation, [&](const Entry& entry) { reply_entry(request, entry); });
  }
}

void op_mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  make(request, parent, name,
       [&] { return files_of(request).make_node(parent, name, mode, device, caller_of(request)); });
}

void op_mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  make(request, parent, name,
       [&] { return files_of(request).make_directory(parent, name, mode, caller_of(request)); });
}

void op_symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  make(request, parent, name,
       [&] { return files_of(request).make_symlink(parent, name, target, caller_of(request)); });
}

void op_link(fuse_req_t request, fuse_ino_t node, fuse_ino_t parent, const char* name) {
  if (ControlTree::owns(node)) {
    fuse_reply_err(request, EPERM);
    return;
  }
  make(request, parent, name, [&] { return files_of(request).link(node, parent, name); });
}

void op_unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  if (!refuse_name(request, parent, name)) {
    answer_done(request, [&] { return files_of(request).unlink(parent, name); });
  }
}

void op_rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  if (!refuse_name(request, parent, name)) {
    answer_done(request, [&] { return files_of(request).remove_directory(parent, name); });
  }
}

void op_rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
               const char* new_name, unsigned flags) {
  if (!refuse_name(request, parent, name) && !refuse_name(request, new_parent, new_name)) {
    answer_done(request, [&] {
      return files_of(request).rename(parent, name, new_parent, new_name, flags);
    });
  }
}

void op_readlink(fuse_req_t request, fuse_ino_t node) {
  answer(
      request,
      [&] {
        return ControlTree::owns(node) ? control_of(request).read_link(node)
                                       : files_of(request).read_link(node);
      },
      [&](const std::string& target) { fuse_reply_readlink(request, target.c_str()); });
}

// ---- directories

void op_opendir(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
  answer(
      request,
      [&] {
        return ControlTree::owns(node) ? control_of(request).open_directory(node)
                                       : files_of(request).open_directory(node);
      },
      [&](std::uint64_t handle) {
        info->fh = handle;
        if (fuse_reply_open(request, info) == -ENOENT && !ControlTree::owns(node)) {
          files_of(request).release_directory(handle);
        }
      });
}

void op_releasedir(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
  if (ControlTree::owns(node)) {
    control_of(request).release_directory(node, info->fh);
  } else {
    files_of(request).release_directory(info->fh);
  }
  fuse_reply_err(request, 0);
}

bool is_dots(std::string_view name) {
  return name == "." || name == "..";
}

// Whether a regular file is shown as a link, its name does not tell: then the type is unknown.
mode_t listed_mode(Session& session, const DirEntry& entry) {
  const bool maybe_link = entry.type == DT_REG && session.files().links();
  return maybe_link ? 0 : static_cast<mode_t>(DTTOIF(entry.type));
}

// The control tree's root among the entries of the mount's root directory, after the last of them.
constexpr std::uint64_t kControlEntryOffset = 1ULL << 62;

Result<void> read_entries(Session& session, NodeId node, std::uint64_t handle, std::uint64_t offset,
                          const std::function<bool(const DirEntry&)>& emit) {
  if (ControlTree::owns(node)) {
    return session.control().read_directory(node, handle, offset, emit);
  }
  if (offset == kControlEntryOffset) {
    return {};
  }
  if (node != kRootNode) {
    return session.files().read_directory(handle, offset, emit);
  }
  bool full = false;
  auto read = session.files().read_directory(handle, offset, [&](const DirEntry& entry) {
    if (entry.name == ControlTree::kName) {
      return true;  // the private directory of a store that was given by --store
    }
    full = !emit(entry);
    return !full;
  });
  if (read && !full && session.show_control()) {
    emit({ControlTree::kName, kControlEntryOffset, kControlEntryOffset, DT_DIR});
  }
  return read;
}

// More than the kernel asks for at once; a size of 4 GiB is no reason to have them.
constexpr size_t kMaxReplyBytes = 1U << 20;

void op_readdir(fuse_req_t request, fuse_ino_t node, size_t wanted, off_t offset,
                fuse_file_info* info) {
  const size_t size = std::min(wanted, kMaxReplyBytes);
  std::vector<char> buffer(size);
  size_t used = 0;
  answer(
      request,
      [&] {
        return read_entries(session_of(request), node, info->fh, static_cast<std::uint64_t>(offset),
                            [&](const DirEntry& entry) {
                              struct stat st {};
                              st.st_ino = entry.ino;
                              st.st_mode = listed_mode(session_of(request), entry);
                              const std::string name(entry.name);
                              const size_t need = fuse_add_direntry(
                                  request, buffer.data() + used, size - used, name.c_str(), &st,
                                  static_cast<off_t>(entry.next_offset));
                              if (need > size - used) {
                                return false;
                              }
                              used += need;
                              return true;
                            });
      },
      [&] { fuse_reply_buf(request, buffer.data(), used); });
}

void op_readdirplus(fuse_req_t request, fuse_ino_t node, size_t wanted, off_t offset,
                    fuse_file_info* info) {
  const size_t size = std::min(wanted, kMaxReplyBytes);
  Session& session = session_of(request);
  std::vector<char> buffer(size);
  size_t used = 0;
  answer(
      request,
      [&] {
        return read_entries(session, node, info->fh, static_cast<std::uint64_t>(offset),
                            [&](const DirEntry& entry) {
                              const std::string name(entry.name);
                              fuse_entry_param param{};
                              param.attr.st_ino = entry.ino;
                              param.attr.st_mode = listed_mode(session, entry);
                              const size_t need =
                                  fuse_add_direntry_plus(request, nullptr, 0, name.c_str(), &param,
                                                         static_cast<off_t>(entry.next_offset));
                              if (need > size - used) {
                                return false;
                              }
                              if (!is_dots(name)) {
                                // A name that is gone by now is listed without a node, and looked
                                // up when needed.
                                if (const auto found = find_entry(session, node, name.c_str())) {
                                  param = entry_param(session, *found);
                                }
                              }
                              used += fuse_add_direntry_plus(request, buffer.data() + used,
                                                             size - used, name.c_str(), &param,
                                                             static_cast<off_t>(entry.next_offset));
                              return true;
                            });
      },
      [&] { fuse_reply_buf(request, buffer.data(), used); });
}

// ---- attributes

// Allocates beside the session's thread, then shows what the file has become.
void reserve_then_show(fuse_req_t request, Reservation reservation,
                       Reservation::OnFailure on_failure) {
  answer_later(request, [=, reservation = std::move(reservation)] {
    const auto st = reservation.run(on_failure);
    if (!st) {
      return refuse(request, st.error());
    }
    const struct stat shown = FileSystem::shown(*st);
    fuse_reply_attr(request, &shown, kTimeoutUnderWriters);
  });
}

void op_getattr(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
  answer(
      request,
      [&] {
        return ControlTree::owns(node) ? control_of(request).get_attributes(node)
                                       : files_of(request).get_attributes(node);
      },
      [&](const struct stat& st) {
        // A program that extended the file past the daemon asks for its size before it maps it.
        auto missing =
            ControlTree::owns(node) ? std::nullopt : files_of(request).missing_space(node, st);
        if (missing) {
          return reserve_then_show(request, std::move(*missing), Reservation::OnFailure::kLeave);
        }
        reply_attr(request, node, st);
      });
}

AttrChange attr_change(const struct stat& st, int to_set) {
  AttrChange change;
  const auto time = [&](int set, int now, const timespec& given) -> std::optional<timespec> {
    if ((to_set & now) != 0) {
      return timespec{0, UTIME_NOW};
    }
    return (to_set & set) != 0 ? std::optional(given) : std::nullopt;
  };
  if ((to_set & FUSE_SET_ATTR_MODE) != 0) {
    change.mode = st.st_mode;
  }
  if ((to_set & FUSE_SET_ATTR_UID) != 0) {
    change.uid = st.st_uid;
  }
  if ((to_set & FUSE_SET_ATTR_GID) != 0) {
    change.gid = st.st_gid;
  }
  if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
    change.size = static_cast<std::uint64_t>(st.st_size);
  }
  change.atime = time(FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, st.st_atim);
  change.mtime = time(FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, st.st_mtim);
  // FATTR_KILL_SUIDGID of HANDLE_KILLPRIV_V2; libfuse 3.14 passes the bit through.
  change.drop_privileges = (to_set & FUSE_SET_ATTR_KILL_SUID) != 0;
  return change;
}

void op_setattr(fuse_req_t request, fuse_ino_t node, struct stat* attr, int to_set,
                fuse_file_info* info) {
  if (ControlTree::owns(node)) {
    fuse_reply_err(request, EPERM);
    return;
  }
  const std::optional<std::uint64_t> handle =
      info != nullptr ? std::optional<std::uint64_t>(info->fh) : std::nullopt;
  AttrChange change = attr_change(*attr, to_set);
  answer(
      request,
      [&]() -> Result<std::optional<Reservation>> {
        return change.size ? files_of(request).growth(node, *change.size) : std::nullopt;
      },
      [&](std::optional<Reservation>& growth) {
        if (growth) {
          change.size.reset();  // the allocation sets it
        }
        const auto st = files_of(request).set_attributes(node, change, handle);
        if (!st) {
          return refuse(request, st.error());
        }
        if (growth) {
          return reserve_then_show(request, std::move(*growth), Reservation::OnFailure::kCutBack);
        }
        reply_attr(request, node, *st);
      });
}

// Size 0 asks how long the value is.
void reply_xattr(fuse_req_t request, const std::string& value, size_t size) {
  if (size == 0) {
    fuse_reply_xattr(request, value.size());
  } else if (value.size() > size) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, value.data(), value.size());
  }
}

void op_getxattr(fuse_req_t request, fuse_ino_t node, const char* name, size_t size) {
  answer(
      request,
      [&] {
        return ControlTree::owns(node) ? control_of(request).get_xattr(node, name)
                                       : files_of(request).get_xattr(node, name);
      },
      [&](const std::string& value) { reply_xattr(request, value, size); });
}

void op_listxattr(fuse_req_t request, fuse_ino_t node, size_t size) {
  answer(
      request,
      [&] {
        return ControlTree::owns(node) ? Result<std::string>("")
                                       : files_of(request).list_xattrs(node, caller_of(request));
      },
      [&](const std::string& names) { reply_xattr(request, names, size); });
}

void op_setxattr(fuse_req_t request, fuse_ino_t node, const char* name, const char* value,
                 size_t size, int flags) {
  if (ControlTree::owns(node)) {
    fuse_reply_err(request, EPERM);
    return;
  }
  answer_done(request, [&] {
    return files_of(request).set_xattr(node, name, {value, size}, flags);
  });
}

void op_removexattr(fuse_req_t request, fuse_ino_t node, const char* name) {
  if (ControlTree::owns(node)) {
    fuse_reply_err(request, EPERM);
    return;
  }
  answer_done(request, [&] { return files_of(request).remove_xattr(node, name); });
}

void op_statfs(fuse_req_t request, fuse_ino_t) {
  answer(
      request, [&] { return files_of(request).statistics(); },
      [&](const struct statvfs& usage) { fuse_reply_statfs(request, &usage); });
}

// ---- files

// The handle of a view that is open.
OpenView* view_of(const fuse_file_info& info) {
  return reinterpret_cast<OpenView*>(info.fh);  // NOLINT(performance-no-int-to-ptr)
}

void open_view(fuse_req_t request, NodeId node, const fuse_file_info& info) {
  auto opening = control_of(request).open(node, info.flags);
  if (!opening) {
    return refuse(request, opening.error());
  }
  answer_later(request, [request, info = info, opening = std::move(*opening)]() mutable {
    auto opened = std::move(opening).run();
    if (!opened) {
      return refuse(request, opened.error());
    }
    info.fh = reinterpret_cast<std::uint64_t>(opened->get());
    info.direct_io = 1;  // the size is not known before it is read
    info.noflush = 1;
    if (fuse_reply_open(request, &info) != -ENOENT) {
      static_cast<void>(opened->release());  // until op_release
    }
  });
}

// Data changes through this mount alone, so the kernel may keep it, but where links lead past it. A
// writer's close() is told, so that it can fail when the space for what was written past the daemon
// is not there.
void serve_as(Session& session, fuse_file_info& info) {
  info.keep_cache = session.files().links() ? 0 : 1;
  info.noflush = (info.flags & O_ACCMODE) == O_RDONLY ? 1 : 0;
}

void op_open(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
  if (ControlTree::owns(node)) {
    guarded(request, [&] { open_view(request, node, *info); });
    return;
  }
  answer(
      request, [&] { return files_of(request).open(node, info->flags, caller_of(request)); },
      [&](const OpenFile& file) {
        info->fh = file.handle;
        serve_as(session_of(request), *info);
        if (KernelProtocol::reply_open(request, *info, file.backing_id) == -ENOENT) {
          files_of(request).release(node, file.handle, info->flags);
        }
      });
}

void op_create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
               fuse_file_info* info) {
  if (refuse_name(request, parent, name)) {
    return;
  }
  answer(
      request,
      [&] {
        return files_of(request).create_file(parent, name, mode, info->flags, caller_of(request));
      },
      [&](const std::pair<Entry, OpenFile>& made) {
        const auto& [entry, file] = made;
        info->fh = file.handle;
        serve_as(session_of(request), *info);
        if (KernelProtocol::reply_create(request, entry_param(session_of(request), entry), *info,
                                         file.backing_id) == -ENOENT) {
          files_of(request).release(entry.node, file.handle, info->flags);
          files_of(request).forget(entry.node, 1);
        }
      });
}

void op_flush(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
  if (ControlTree::owns(node)) {
    fuse_reply_err(request, 0);
    return;
  }
  answer(
      request, [&] { return files_of(request).get_attributes(node); },
      [&](const struct stat& st) {
        auto missing = files_of(request).missing_space(node, st);
        if (!missing) {
          fuse_reply_err(request, 0);
          return;
        }
        answer_later(request, [request, missing = std::move(*missing)] {
          const auto done = missing.run(Reservation::OnFailure::kCutBack);
          fuse_reply_err(request, done ? 0 : done.error().code);
        });
      });
}

void op_release(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
  if (ControlTree::owns(node)) {
    delete view_of(*info);
  } else {
    files_of(request).release(node, info->fh, info->flags);
  }
  fuse_reply_err(request, 0);
}

void op_read(fuse_req_t request, fuse_ino_t node, size_t wanted, off_t offset,
             fuse_file_info* info) {
  const size_t size = std::min(wanted, kMaxReplyBytes);
  if (ControlTree::owns(node)) {
    OpenView* view = view_of(*info);
    answer_later(request, [=] {
      std::vector<char> buffer(size);
      const auto got = view->read(static_cast<std::uint64_t>(offset), buffer);
      if (!got) {
        return refuse(request, got.error());
      }
      fuse_reply_buf(request, buffer.data(), *got);
    });
    return;
  }
  fuse_bufvec data = FUSE_BUFVEC_INIT(size);
  data.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
  data.buf[0].fd = FileSystem::data_fd(info->fh);
  data.buf[0].pos = offset;
  fuse_reply_data(request, &data, FUSE_BUF_SPLICE_MOVE);
}

// As write_buf and not as write, whose size libfuse does not compare with that of the message.
// Without FUSE_CAP_SPLICE_READ the bytes lie in memory, in one piece.
void op_write(fuse_req_t request, fuse_ino_t node, fuse_bufvec* data, off_t offset,
              fuse_file_info* info) {
  if (ControlTree::owns(node)) {
    fuse_reply_err(request, EBADF);
    return;
  }
  const std::span bytes(static_cast<const char*>(data->buf[0].mem), data->buf[0].size);
  answer(
      request,
      [&] {
        auto written = files_of(request).write(info->fh, bytes, static_cast<std::uint64_t>(offset));
        if (written && caller_of(request).uid != 0) {
          // The daemon's own right to write such a file is not the caller's.
          AttrChange change;
          change.drop_privileges = true;
          static_cast<void>(files_of(request).set_attributes(node, change, std::nullopt));
        }
        return written;
      },
      [&](size_t written) { fuse_reply_write(request, written); });
}

Result<Fd> job_fd(fuse_req_t request, NodeId node, const fuse_file_info& info, int access) {
  if (ControlTree::owns(node)) {
    return shm::fail(EOPNOTSUPP);
  }
  return files_of(request).job_fd(node, info.fh, access);
}

void op_fallocate(fuse_req_t request, fuse_ino_t node, int mode, off_t offset, off_t length,
                  fuse_file_info* info) {
  guarded(request, [&] {
    auto fd = job_fd(request, node, *info, O_RDWR);
    if (!fd) {
      return refuse(request, fd.error());
    }
    if ((mode & FALLOC_FL_PUNCH_HOLE) != 0) {
      files_of(request).want_holes(node);
    } else if (!files_of(request).admit(static_cast<std::uint64_t>(length))) {
      return refuse(request, {ENOSPC, {}});
    }
    answer_later(request, [=, fd = std::move(*fd)] {
      const int result = fallocate(fd.get(), mode, offset, length);
      fuse_reply_err(request, result == 0 ? 0 : errno);
    });
  });
}

void op_lseek(fuse_req_t request, fuse_ino_t node, off_t offset, int whence, fuse_file_info* info) {
  answer(
      request, [&] { return job_fd(request, node, *info, O_RDONLY); },
      [&](const Fd& fd) {
        const off_t found = lseek(fd.get(), offset, whence);
        if (found < 0) {
          fuse_reply_err(request, errno);
        } else {
          fuse_reply_lseek(request, found);
        }
      });
}

void op_fsync(fuse_req_t request, fuse_ino_t node, int data_only, fuse_file_info* info) {
  guarded(request, [&] {
    auto fd = job_fd(request, node, *info, O_RDONLY);
    if (!fd) {
      return refuse(request, fd.error());
    }
    answer_later(request, [=, fd = std::move(*fd)] {
      const int result = data_only != 0 ? fdatasync(fd.get()) : fsync(fd.get());
      fuse_reply_err(request, result == 0 ? 0 : errno);
    });
  });
}

void op_fsyncdir(fuse_req_t request, fuse_ino_t node, int, fuse_file_info* info) {
  const bool failed = !ControlTree::owns(node) && fsync(static_cast<int>(info->fh)) != 0;
  fuse_reply_err(request, failed ? errno : 0);
}

void op_copy_file_range(fuse_req_t request, fuse_ino_t from, off_t from_offset,
                        fuse_file_info* from_info, fuse_ino_t to, off_t to_offset,
                        fuse_file_info* to_info, size_t size, int flags) {
  guarded(request, [&] {
    auto source = job_fd(request, from, *from_info, O_RDONLY);
    auto target = job_fd(request, to, *to_info, O_RDWR);
    if (!source || !target) {
      return refuse(request, source ? target.error() : source.error());
    }
    const auto there = shm::posix::stat_fd(source->get());
    if (!there || !files_of(request).admit(
                      std::min<std::uint64_t>(size, static_cast<std::uint64_t>(there->st_size)))) {
      return refuse(request, {ENOSPC, {}});
    }
    answer_later(request, [=, source = std::move(*source), target = std::move(*target)] {
      off64_t in = from_offset;
      off64_t out = to_offset;
      const ssize_t copied = copy_file_range(source.get(), &in, target.get(), &out, size,
                                             static_cast<unsigned>(flags));
      if (copied < 0) {
        fuse_reply_err(request, errno);
      } else {
        fuse_reply_write(request, static_cast<size_t>(copied));
      }
    });
  });
}

// CPython's open() asks every file whether it is a terminal.
void op_ioctl(fuse_req_t request, fuse_ino_t, unsigned, void*, fuse_file_info*, unsigned,
              const void*, size_t, size_t) {
  fuse_reply_err(request, ENOTTY);
}

void op_init(void* userdata, fuse_conn_info* connection) {
  const auto want = [&](unsigned capability) {
    connection->want |= connection->capable & capability;
  };
  want(FUSE_CAP_POSIX_ACL);
  want(FUSE_CAP_DONT_MASK);  // a default ACL takes the place of the umask, which only the store
                             // knows
  if (!static_cast<Session*>(userdata)->shows_links()) {
    want(FUSE_CAP_CACHE_SYMLINKS);  // links to the store follow renames, others never change
  }
  want(FUSE_CAP_EXPLICIT_INVAL_DATA);
  want(FUSE_CAP_SPLICE_MOVE);
  connection->want &= ~(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE |
                        FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_SPLICE_READ);
  connection->time_gran = 1;
}

}  // namespace

const fuse_lowlevel_ops& fuse_operations() {
  static const fuse_lowlevel_ops operations = [] {
    fuse_lowlevel_ops ops{};
    ops.init = op_init;
    ops.lookup = op_lookup;
    ops.forget = op_forget;
    ops.forget_multi = op_forget_multi;
    ops.getattr = op_getattr;
    ops.setattr = op_setattr;
    ops.readlink = op_readlink;
    ops.mknod = op_mknod;
    ops.mkdir = op_mkdir;
    ops.unlink = op_unlink;
    ops.rmdir = op_rmdir;
    ops.symlink = op_symlink;
    ops.rename = op_rename;
    ops.link = op_link;
    ops.open = op_open;
    ops.create = op_create;
    ops.read = op_read;
    ops.write_buf = op_write;
    ops.flush = op_flush;
    ops.release = op_release;
    ops.fsync = op_fsync;
    ops.opendir = op_opendir;
    ops.readdir = op_readdir;
    ops.readdirplus = op_readdirplus;
    ops.releasedir = op_releasedir;
    ops.fsyncdir = op_fsyncdir;
    ops.statfs = op_statfs;
    ops.setxattr = op_setxattr;
    ops.getxattr = op_getxattr;
    ops.listxattr = op_listxattr;
    ops.removexattr = op_removexattr;
    ops.ioctl = op_ioctl;
    ops.fallocate = op_fallocate;
    ops.lseek = op_lseek;
    ops.copy_file_range = op_copy_file_range;
    return ops;
  }();
  return operations;
}

}  // namespace arrayfs
