// The operations on names and directories.
#include <cerrno>
#include <cstring>
#include <vector>

#include "fuse_ops.hpp"
#include "fuse_reply.hpp"

namespace arrayfs {
namespace {

using shm::Result;

Result<Entry> find_entry(Session& session, NodeId parent, const char* name, const Caller& caller) {
  if (is_path(name)) {
    return shm::fail(EINVAL);
  }
  if (ControlTree::owns(parent)) {
    return session.control().lookup(parent, name, caller);
  }
  if (is_control_root(parent, name)) {
    return session.control().root();
  }
  return session.files().lookup(parent, name).map([&](const Entry& entry) {
    return session.files().shown_entry(entry);
  });
}

void op_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Session& session = session_of(request);
  bool replaced = false;
  answer(
      request,
      [&] {
        Result<bool> prepared = false;
        if (!ControlTree::owns(parent) && !is_path(name)) {
          prepared = session.files().prepare_second_lookup(parent, name, caller_of(request));
        }
        return prepared.and_then([&](bool now_replaced) {
          replaced = now_replaced;
          return find_entry(session, parent, name, caller_of(request));
        });
      },
      [&](const Entry& entry) {
        const bool known = reply_entry(request, entry);
        if (replaced) {
          session.forget_listing(parent);
        }
        if (replaced && !known) {
          session.forget_name(parent, name);
        }
      });
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
  if (ControlTree::owns(node) || files_of(request).is_sync_page(node)) {
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
        const bool keeps = !ControlTree::owns(node) && session_of(request).keeps_listings();
        info->cache_readdir = info->keep_cache = keeps ? 1 : 0;
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
        return read_entries(
            session, node, info->fh, static_cast<std::uint64_t>(offset),
            [&](const DirEntry& entry) {
              const std::string name(entry.name);
              fuse_entry_param param{};
              param.attr.st_ino = entry.ino;
              param.attr.st_mode = listed_mode(session, entry);
              const size_t need = fuse_add_direntry_plus(request, nullptr, 0, name.c_str(), &param,
                                                         static_cast<off_t>(entry.next_offset));
              if (need > size - used) {
                return false;
              }
              // Whoever looks at a list asks for no sync pages.
              if (!is_dots(name) && ControlTree::role(node) != Role::kSync) {
                // A name that is gone by now is listed without a node, and looked
                // up when needed.
                if (const auto found =
                        find_entry(session, node, name.c_str(), caller_of(request))) {
                  param = entry_param(session, *found);
                }
              }
              used +=
                  fuse_add_direntry_plus(request, buffer.data() + used, size - used, name.c_str(),
                                         &param, static_cast<off_t>(entry.next_offset));
              return true;
            });
      },
      [&] { fuse_reply_buf(request, buffer.data(), used); });
}

}  // namespace

void add_name_operations(fuse_lowlevel_ops& ops) {
  ops.lookup = op_lookup;
  ops.forget = op_forget;
  ops.forget_multi = op_forget_multi;
  ops.readlink = op_readlink;
  ops.mknod = op_mknod;
  ops.mkdir = op_mkdir;
  ops.unlink = op_unlink;
  ops.rmdir = op_rmdir;
  ops.symlink = op_symlink;
  ops.rename = op_rename;
  ops.link = op_link;
  ops.opendir = op_opendir;
  ops.readdir = op_readdir;
  ops.readdirplus = op_readdirplus;
  ops.releasedir = op_releasedir;
}

}  // namespace arrayfs
