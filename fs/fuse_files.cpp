// The operations on open files and views.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

#include "fault_point.hpp"
#include "fuse_live.hpp"
#include "fuse_ops.hpp"
#include "fuse_reply.hpp"

namespace arrayfs {
namespace {

using shm::Result;
using shm::posix::Fd;

template <typename Operation>
void answer_view(fuse_req_t request, bool slow, Operation&& operation) {
  if (slow) {
    answer_slowly(request, std::forward<Operation>(operation));
  } else {
    answer_later(request, std::forward<Operation>(operation));
  }
}

// Makes the view of a node, on an executor thread where that takes time, and hands it to `done`
// there.
template <typename Done>
void make_view(fuse_req_t request, NodeId node, int flags, Done&& done) {
  auto opening = control_of(request).open(node, flags, caller_of(request));
  if (!opening) {
    return refuse(request, opening.error());
  }
  const bool slow = opening->is_slow();
  const bool immediate = opening->is_immediate();
  auto make = [request, opening = std::move(*opening), done = std::forward<Done>(done)]() mutable {
    auto opened = std::move(opening).run();
    if (!opened) {
      return refuse(request, opened.error());
    }
    done(std::shared_ptr<OpenView>(std::move(*opened)));
  };
  if (immediate) {
    return guarded(request, make);
  }
  answer_view(request, slow, std::move(make));
}

void open_view(fuse_req_t request, NodeId node, const fuse_file_info& info) {
  make_view(request, node, info.flags,
            [request, info = info](const std::shared_ptr<OpenView>& view) mutable {
              info.direct_io = 1;  // the size is not known before it is read
              info.noflush = 1;
              OpenViews& views = session_of(request).views();
              info.fh = views.add(view);
              if (fuse_reply_open(request, &info) == -ENOENT) {
                views.remove(info.fh);
              }
            });
}

void read_from_view(fuse_req_t request, OpenView& view, size_t size, off_t offset) {
  fault_point("view: read");
  if (const auto text = view.text()) {
    const auto piece = text->substr(std::min(static_cast<size_t>(offset), text->size()), size);
    fuse_reply_buf(request, piece.data(), piece.size());
    return;
  }
  std::vector<char> buffer(size);
  const auto got = view.read(static_cast<std::uint64_t>(offset), buffer);
  if (!got) {
    return refuse(request, got.error());
  }
  fuse_reply_buf(request, buffer.data(), *got);
}

void read_view(fuse_req_t request, NodeId node, std::uint64_t handle, size_t size, off_t offset) {
  if (const auto view = session_of(request).views().find(handle)) {
    if (view->text()) {
      read_from_view(request, *view, size, offset);
    } else {
      answer_view(request, view->is_slow(), [=] { read_from_view(request, *view, size, offset); });
    }
    return;
  }
  // It was opened by a server that died.
  make_view(request, node, O_RDONLY, [=](const std::shared_ptr<OpenView>& view) {
    session_of(request).views().put(handle, view);
    read_from_view(request, *view, size, offset);
  });
}

// Data changes through this mount alone, so the kernel may keep it, but where links lead past it. A
// writer's close() is told, so that it can fail when the space for what was written past the daemon
// is not there.
void serve_as(Session& session, fuse_file_info& info) {
  info.keep_cache = session.files().links() ? 0 : 1;
  info.noflush = (info.flags & O_ACCMODE) == O_RDONLY ? 1 : 0;
}

void open_file(fuse_req_t request, std::uint64_t unique, fuse_ino_t node, fuse_file_info info) {
  const Caller caller = caller_of(request);
  if (files_of(request).kept_for_another(node, caller)) {
    // Whom it is kept for is between its lookup and its open: that takes a moment, if it lives.
    constexpr std::chrono::microseconds kMoment(200);
    answer_later(request, [=] {
      std::this_thread::sleep_for(kMoment);
      session_of(request).call_for(unique, [=] { open_file(request, unique, node, info); });
    });
    return;
  }
  answer(
      request, [&] { return files_of(request).open(node, info.flags, caller); },
      [&](const OpenFile& file) {
        info.fh = file.handle;
        serve_as(session_of(request), info);
        if (KernelProtocol::reply_open(request, info, file.backing_id) == -ENOENT) {
          files_of(request).release(node, file.handle, info.flags);
        }
      });
}

void op_open(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
  const bool makes =
      ControlTree::role(node) == Role::kMake && (info->flags & O_ACCMODE) != O_RDONLY;
  if (ControlTree::is_live(node) || makes) {
    guarded(request, [&] { open_live(request, node, *info); });
  } else if (ControlTree::owns(node)) {
    guarded(request, [&] { open_view(request, node, *info); });
  } else {
    open_file(request, session_of(request).protocol().unique(), node, *info);
  }
}

void op_create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
               fuse_file_info* info) {
  if (ControlTree::role(parent) == Role::kMake && !is_path(name)) {
    guarded(request, [&] { create_live(request, parent, name, *info); });
    return;
  }
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
  if (files_of(request).take_refusal(node)) {
    fuse_reply_err(request, ENOSPC);
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
          const auto done = missing.run();
          fuse_reply_err(request, done ? 0 : done.error().code);
        });
      });
}

void op_release(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
  if (ControlTree::is_live(node)) {
    release_live(request, node, info->fh);
  } else if (ControlTree::owns(node)) {
    session_of(request).views().remove(info->fh);
  } else {
    files_of(request).release(node, info->fh, info->flags);
  }
  fuse_reply_err(request, 0);
}

void op_read(fuse_req_t request, fuse_ino_t node, size_t wanted, off_t offset,
             fuse_file_info* info) {
  const size_t size = std::min(wanted, kMaxReplyBytes);
  if (ControlTree::is_live(node)) {
    guarded(request, [&] { read_live(request, node, info->fh, size, offset); });
    return;
  }
  if (ControlTree::owns(node)) {
    guarded(request, [&] { read_view(request, node, info->fh, size, offset); });
    return;
  }
  fuse_bufvec data{};
  data.count = 1;
  data.buf[0].size = size;
  data.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
  data.buf[0].fd = files_of(request).data_fd(info->fh);
  data.buf[0].pos = offset;
  fuse_reply_data(request, &data, FUSE_BUF_SPLICE_MOVE);
}

// As write_buf and not as write, whose size libfuse does not compare with that of the message.
// Without FUSE_CAP_SPLICE_READ the bytes lie in memory, in one piece.
void op_write(fuse_req_t request, fuse_ino_t node, fuse_bufvec* data, off_t offset,
              fuse_file_info* info) {
  const std::span bytes(static_cast<const char*>(data->buf[0].mem), data->buf[0].size);
  if (ControlTree::is_live(node)) {
    guarded(request, [&] {
      write_live(request, node, info->fh, std::string_view(bytes.data(), bytes.size()));
    });
    return;
  }
  if (ControlTree::owns(node)) {
    fuse_reply_err(request, EBADF);
    return;
  }
  answer(
      request,
      [&] {
        files_of(request).recent_writes().add(node, caller_of(request).pid);
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
  const bool failed =
      !ControlTree::owns(node) && fsync(files_of(request).kept_fds().get(info->fh)) != 0;
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

void op_poll(fuse_req_t request, fuse_ino_t node, fuse_file_info* info, fuse_pollhandle* handle) {
  const bool tell_later = handle != nullptr;
  if (handle != nullptr) {
    fuse_pollhandle_destroy(handle);  // its number is all that is needed
  }
  if (ControlTree::is_live(node)) {
    guarded(request, [&] { poll_live(request, node, info->fh, tell_later); });
  } else {
    fuse_reply_poll(request, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
  }
}

}  // namespace

void add_file_operations(fuse_lowlevel_ops& ops) {
  ops.open = op_open;
  ops.create = op_create;
  ops.read = op_read;
  ops.write_buf = op_write;
  ops.flush = op_flush;
  ops.release = op_release;
  ops.fsync = op_fsync;
  ops.fsyncdir = op_fsyncdir;
  ops.ioctl = op_ioctl;
  ops.poll = op_poll;
  ops.fallocate = op_fallocate;
  ops.lseek = op_lseek;
  ops.copy_file_range = op_copy_file_range;
}

}  // namespace arrayfs
