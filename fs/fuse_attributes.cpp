// The operations on attributes and xattrs.
#include <fcntl.h>

#include <cerrno>

#include "fuse_ops.hpp"
#include "fuse_reply.hpp"
#include "processes.hpp"

namespace arrayfs {
namespace {

using shm::Result;

void show(fuse_req_t request, const struct stat& st) {
  const struct stat shown = FileSystem::shown(st);
  fuse_reply_attr(request, &shown, kTimeoutUnderWriters);
}

// Sets a size: allocates beside the session's thread, then shows what the file has become.
void grow(fuse_req_t request, NodeId node, Reservation reservation) {
  Session* const session = &session_of(request);  // the request is over when it is answered
  answer_later(request, [=, told = session->files().events().wanted(),
                         reservation = std::move(reservation)] {
    const auto st = reservation.run();
    if (!st) {
      return refuse(request, st.error());
    }
    show(request, *st);
    if (told) {
      session->call([=] { session->files().note(EventKind::kResized, node); });
    }
  });
}

// A program that extended the file past the daemon asks for its size before it maps it. Without
// space it is shown the size that it can have: an error here, programs tend to ignore.
void fill_then_show(fuse_req_t request, NodeId node, Reservation missing) {
  answer_later(request, [=, missing = std::move(missing)] {
    auto st = missing.run();
    if (st) {
      return show(request, *st);
    }
    st = missing.attributes();
    session_of(request).call([=] {
      files_of(request).refused_space(node);
      return st ? show(request, *st) : refuse(request, st.error());
    });
  });
}

void get_attributes(fuse_req_t request, NodeId node) {
  answer(
      request,
      [&] {
        return ControlTree::owns(node) ? control_of(request).get_attributes(node)
                                       : files_of(request).get_attributes(node);
      },
      [&](const struct stat& st) {
        auto missing =
            ControlTree::owns(node) ? std::nullopt : files_of(request).missing_space(node, st);
        if (missing) {
          return fill_then_show(request, node, std::move(*missing));
        }
        reply_attr(request, node, st);
      });
}

void op_getattr(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
  const pid_t asker = caller_of(request).pid;
  if (const auto writer = files_of(request).recent_writes().writer_of(node, asker)) {
    // What it wrote may not be touched before its write(2) has returned.
    answer_later(request, [=] {
      await_system_call(*writer, RecentWrites::kMoment);
      session_of(request).call([=] { get_attributes(request, node); });
    });
    return;
  }
  get_attributes(request, node);
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
          return grow(request, node, std::move(*growth));
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

}  // namespace

void add_attribute_operations(fuse_lowlevel_ops& ops) {
  ops.getattr = op_getattr;
  ops.setattr = op_setattr;
  ops.statfs = op_statfs;
  ops.setxattr = op_setxattr;
  ops.getxattr = op_getxattr;
  ops.listxattr = op_listxattr;
  ops.removexattr = op_removexattr;
}

}  // namespace arrayfs
