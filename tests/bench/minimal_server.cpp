// What FUSE itself costs: the smallest server that shows the files of one directory with
// passthrough.
//
//   minimal_server DIRECTORY MOUNT_POINT    serves until it is unmounted
//
// One thread, one system call a request, no promise of arrayfs's: nothing is checked, journalled,
// reserved or survived. Only files, no subdirectories. What the kernel is told to keep, it keeps as
// long as arrayfs lets it.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <shm/posix.hpp>
#include <string>
#include <unordered_map>

#include "kernel_protocol.hpp"

namespace arrayfs {
namespace {

using shm::posix::Fd;

constexpr double kTimeout = 3600;

struct Node {
  Fd path_fd;
  std::int32_t backing_id = 0;
  std::uint64_t lookups = 0;
};

class MinimalServer {
 public:
  explicit MinimalServer(const char* directory)
      : directory_(::open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}
  MinimalServer(const MinimalServer&) = delete;
  MinimalServer& operator=(const MinimalServer&) = delete;

  KernelProtocol& protocol() { return protocol_; }
  [[nodiscard]] int directory() const { return directory_.get(); }
  [[nodiscard]] bool valid() const { return directory_.valid(); }

  /// What O_PATH and fstat(2) need; the directory itself for the root.
  [[nodiscard]] int path_fd(fuse_ino_t ino) const {
    return ino == FUSE_ROOT_ID ? directory() : nodes_.at(ino).path_fd.get();
  }

  /// Fills `entry` for a name and counts the lookup. Returns 0 or an errno.
  int look_up(const char* name, fuse_entry_param& entry) {
    Fd path_fd(openat(directory(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!path_fd.valid() || fstat(path_fd.get(), &entry.attr) != 0) return errno;
    entry.ino = entry.attr.st_ino + FUSE_ROOT_ID;  // tmpfs counts from 1
    entry.attr_timeout = kTimeout;
    entry.entry_timeout = kTimeout;
    Node& node = nodes_[entry.ino];
    if (!node.path_fd.valid()) node.path_fd = std::move(path_fd);
    ++node.lookups;
    return 0;
  }

  void forget(fuse_ino_t ino, std::uint64_t count) {
    const auto found = nodes_.find(ino);
    if (found == nodes_.end() || (found->second.lookups -= count) > 0) return;
    if (found->second.backing_id > 0) protocol_.unregister_backing(found->second.backing_id);
    nodes_.erase(found);
  }

  /// The one backing id of a file, 0 when the kernel refuses.
  std::int32_t backing(fuse_ino_t ino) {
    Node& node = nodes_.at(ino);
    if (node.backing_id == 0)
      node.backing_id = protocol_.register_backing(node.path_fd.get()).value_or(0);
    return node.backing_id;
  }

 private:
  // KernelProtocol keeps INIT here for a successor, which this server never has.
  static State& state() {
    static State state;
    return state;
  }

  Fd directory_;
  KernelProtocol protocol_{{}, state()};
  std::unordered_map<fuse_ino_t, Node> nodes_;
};

MinimalServer& server_of(fuse_req_t request) {
  return *static_cast<MinimalServer*>(fuse_req_userdata(request));
}

void op_lookup(fuse_req_t request, fuse_ino_t, const char* name) {
  fuse_entry_param entry{};
  const int error = server_of(request).look_up(name, entry);
  error == 0 ? fuse_reply_entry(request, &entry) : fuse_reply_err(request, error);
}

void op_forget(fuse_req_t request, fuse_ino_t ino, std::uint64_t count) {
  server_of(request).forget(ino, count);
  fuse_reply_none(request);
}

void op_getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info*) {
  struct stat attributes {};
  if (fstat(server_of(request).path_fd(ino), &attributes) != 0) {
    fuse_reply_err(request, errno);
  } else {
    fuse_reply_attr(request, &attributes, kTimeout);
  }
}

void op_open(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
  const std::int32_t backing_id = server_of(request).backing(ino);
  if (backing_id == 0) {
    fuse_reply_err(request, EIO);
  } else {
    KernelProtocol::reply_open(request, *info, backing_id);
  }
}

void op_create(fuse_req_t request, fuse_ino_t, const char* name, mode_t mode,
               fuse_file_info* info) {
  MinimalServer& server = server_of(request);
  const Fd made(openat(server.directory(), name, info->flags | O_CREAT | O_CLOEXEC, mode));
  fuse_entry_param entry{};
  const int error = made.valid() ? server.look_up(name, entry) : errno;
  if (error != 0) {
    fuse_reply_err(request, error);
  } else {
    KernelProtocol::reply_create(request, entry, *info, server.backing(entry.ino));
  }
}

void op_release(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
  fuse_reply_err(request, 0);
}

void op_unlink(fuse_req_t request, fuse_ino_t, const char* name) {
  fuse_reply_err(request, unlinkat(server_of(request).directory(), name, 0) == 0 ? 0 : errno);
}

void op_rename(fuse_req_t request, fuse_ino_t, const char* name, fuse_ino_t, const char* new_name,
               unsigned flags) {
  const int directory = server_of(request).directory();
  fuse_reply_err(request, renameat2(directory, name, directory, new_name, flags) == 0 ? 0 : errno);
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

void op_readdir(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info*) {
  const std::unique_ptr<DIR, CloseDirectory> directory(
      fdopendir(openat(server_of(request).directory(), ".", O_RDONLY | O_CLOEXEC)));
  if (directory && offset != 0) seekdir(directory.get(), offset);
  std::string listing(size, '\0');
  size_t used = 0;
  while (const dirent* found = directory ? readdir(directory.get()) : nullptr) {
    struct stat kind {};
    kind.st_ino = found->d_ino;
    kind.st_mode = DTTOIF(found->d_type);
    const size_t wanted = fuse_add_direntry(request, listing.data() + used, size - used,
                                            found->d_name, &kind, found->d_off);
    if (wanted > size - used) break;
    used += wanted;
  }
  fuse_reply_buf(request, listing.data(), used);
}

fuse_lowlevel_ops operations() {
  fuse_lowlevel_ops ops{};
  ops.lookup = op_lookup;
  ops.forget = op_forget;
  ops.getattr = op_getattr;
  ops.open = op_open;
  ops.create = op_create;
  ops.release = op_release;
  ops.unlink = op_unlink;
  ops.rename = op_rename;
  ops.readdir = op_readdir;
  return ops;
}

int serve(const char* directory, const char* mount_point) {
  MinimalServer server(directory);
  if (!server.valid()) {
    std::perror(directory);
    return 1;
  }
  std::string program = "minimal_server";
  std::string option = "-oallow_other,default_permissions,fsname=minimal";
  char* words[] = {program.data(), option.data()};
  fuse_args arguments = FUSE_ARGS_INIT(2, words);
  const fuse_lowlevel_ops ops = operations();
  const std::unique_ptr<fuse_session, decltype(&fuse_session_destroy)> session(
      fuse_session_new(&arguments, &ops, sizeof ops, &server), &fuse_session_destroy);
  if (!session || fuse_session_mount(session.get(), mount_point) != 0) return 1;
  if (!server.protocol().attach(session.get(), fuse_session_fd(session.get()))) return 1;
  const int result = fuse_session_loop(session.get());
  fuse_session_unmount(session.get());
  return result == 0 ? 0 : 1;
}

}  // namespace

KernelProtocol& session_protocol(void* userdata) {
  return static_cast<MinimalServer*>(userdata)->protocol();
}

}  // namespace arrayfs

int main(int count, char** arguments) {
  if (count != 3) {
    std::fputs("usage: minimal_server DIRECTORY MOUNT_POINT\n", stderr);
    return 2;
  }
  umask(0);
  return arrayfs::serve(arguments[1], arguments[2]);
}
