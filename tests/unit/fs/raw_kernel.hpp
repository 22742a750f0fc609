// The kernel's side of the FUSE device, spoken by a test: requests as bytes, replies as bytes.
//
// A RawKernel holds one end of a SOCK_SEQPACKET pair; a Session serves the other on a thread of its
// own. Requests are made by hand so that they may also be wrong. Used by one thread.
#pragma once

#include <linux/fuse.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <thread>

#include "fixture.hpp"

namespace arrayfs {

inline constexpr std::uint64_t kRoot = FUSE_ROOT_ID;

/// The bytes of structs, and of strings with the NUL that ends a name on the wire.
template <typename... Parts>
std::string wire(const Parts&... parts) {
  std::string bytes;
  const auto add = [&bytes](const auto& part) {
    using Part = std::decay_t<decltype(part)>;
    if constexpr (std::is_convertible_v<Part, std::string_view>) {
      bytes.append(std::string_view(part)).push_back('\0');
    } else {
      bytes.append(reinterpret_cast<const char*>(&part), sizeof part);
    }
  };
  (add(parts), ...);
  return bytes;
}

struct Reply {
  int error = 0;     ///< positive errno
  std::string body;  ///< after the header

  template <typename T>
  [[nodiscard]] T as(std::size_t at = 0) const {
    T value{};
    if (body.size() < at + sizeof value) {
      ADD_FAILURE() << "the reply has " << body.size() << " bytes, error " << error;
      return value;
    }
    std::memcpy(&value, body.data() + at, sizeof value);
    return value;
  }
};

/// Who makes a request.
struct Requester {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

class RawKernel {
 public:
  /// Flags as Linux 6.18 offers them.
  static constexpr std::uint64_t kOffer =
      FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK |
      FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE | FUSE_SPLICE_READ | FUSE_FLOCK_LOCKS |
      FUSE_HAS_IOCTL_DIR | FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
      FUSE_ASYNC_DIO | FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS |
      FUSE_HANDLE_KILLPRIV | FUSE_POSIX_ACL | FUSE_ABORT_ERROR | FUSE_MAX_PAGES |
      FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA |
      FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT | (1ULL << 37);

  explicit RawKernel(const MountConfig& config = unique_config(), std::uint64_t offer = kOffer);
  RawKernel(const RawKernel&) = delete;
  RawKernel& operator=(const RawKernel&) = delete;
  ~RawKernel();

  [[nodiscard]] const fuse_init_out& negotiated() const { return negotiated_; }

  /// Sends a request and waits for its reply.
  Reply call(std::uint32_t opcode, std::uint64_t node, std::string_view body, Requester who = {});
  /// Sends a request and does not wait; returns its number.
  std::uint64_t send(std::uint32_t opcode, std::uint64_t node, std::string_view body,
                     Requester who = {});
  Reply wait_for(std::uint64_t unique);
  /// Sends bytes as they are.
  void send_raw(std::string_view bytes) const;
  static fuse_in_header header(std::uint32_t opcode, std::uint64_t node, std::size_t body_size,
                               std::uint64_t unique, Requester who = {});
  /// The body of the first notification of this code; waits until there is one.
  std::string wait_for_notification(int code);

  // Requests on names.
  Reply lookup(std::uint64_t parent, std::string_view name) {
    return call(FUSE_LOOKUP, parent, wire(name));
  }
  /// The node of a path of names that are there.
  std::uint64_t walk(const std::string& path);
  void forget(std::uint64_t node, std::uint64_t count = 1);
  Reply mkdir(std::uint64_t parent, std::string_view name, std::uint32_t mode = 0755,
              std::uint32_t umask = 0) {
    return call(FUSE_MKDIR, parent, wire(fuse_mkdir_in{mode, umask}, name));
  }
  Reply mknod(std::uint64_t parent, std::string_view name, std::uint32_t mode) {
    return call(FUSE_MKNOD, parent, wire(fuse_mknod_in{mode, 0, 0, 0}, name));
  }
  Reply symlink(std::uint64_t parent, std::string_view name, std::string_view target) {
    return call(FUSE_SYMLINK, parent, wire(name, target));
  }
  Reply readlink(std::uint64_t node) { return call(FUSE_READLINK, node, ""); }
  Reply link(std::uint64_t node, std::uint64_t parent, std::string_view name) {
    return call(FUSE_LINK, parent, wire(fuse_link_in{node}, name));
  }
  Reply unlink(std::uint64_t parent, std::string_view name) {
    return call(FUSE_UNLINK, parent, wire(name));
  }
  Reply rmdir(std::uint64_t parent, std::string_view name) {
    return call(FUSE_RMDIR, parent, wire(name));
  }
  Reply rename(std::uint64_t parent, std::string_view name, std::uint64_t new_parent,
               std::string_view new_name, std::uint32_t flags = 0);

  // Requests on directories.
  Reply opendir(std::uint64_t node) { return call(FUSE_OPENDIR, node, wire(fuse_open_in{})); }
  Reply readdir(std::uint64_t node, std::uint64_t handle, std::uint32_t size,
                std::uint64_t offset = 0);
  Reply readdirplus(std::uint64_t node, std::uint64_t handle, std::uint32_t size,
                    std::uint64_t offset = 0);
  Reply releasedir(std::uint64_t node, std::uint64_t handle);

  // Requests on attributes.
  Reply getattr(std::uint64_t node) { return call(FUSE_GETATTR, node, wire(fuse_getattr_in{})); }
  Reply setattr(std::uint64_t node, const fuse_setattr_in& in) {
    return call(FUSE_SETATTR, node, wire(in));
  }
  Reply getxattr(std::uint64_t node, std::string_view name, std::uint32_t size = 4096) {
    return call(FUSE_GETXATTR, node, wire(fuse_getxattr_in{size, 0}, name));
  }
  Reply listxattr(std::uint64_t node, std::uint32_t size = 4096) {
    return call(FUSE_LISTXATTR, node, wire(fuse_getxattr_in{size, 0}));
  }
  Reply setxattr(std::uint64_t node, std::string_view name, std::string_view value,
                 std::uint32_t flags = 0);
  Reply removexattr(std::uint64_t node, std::string_view name) {
    return call(FUSE_REMOVEXATTR, node, wire(name));
  }

  // Requests on files.
  Reply create(std::uint64_t parent, std::string_view name, int flags, std::uint32_t mode = 0644,
               Requester who = {});
  Reply open(std::uint64_t node, int flags);
  Reply write(std::uint64_t node, std::uint64_t handle, std::uint64_t offset,
              std::string_view bytes, Requester who = {});
  Reply read(std::uint64_t node, std::uint64_t handle, std::uint64_t offset, std::uint32_t size);
  Reply fallocate(std::uint64_t node, std::uint64_t handle, std::uint64_t offset,
                  std::uint64_t length, std::uint32_t mode = 0) {
    return call(FUSE_FALLOCATE, node, wire(fuse_fallocate_in{handle, offset, length, mode, 0}));
  }
  Reply release(std::uint64_t node, std::uint64_t handle, int flags);

  /// The whole text of a generated file, opened, read and released.
  std::string view(const std::string& path);
  /// A number of `status`.
  std::uint64_t status(const std::string& key);

  /// Hangs up and waits for the session's end.
  shm::Result<void> finish();
  /// The store, once the session has ended.
  [[nodiscard]] MountConfig& config() { return config_; }

 private:
  MountConfig config_;
  shm::posix::Fd socket_;
  std::thread server_;
  shm::Result<void> served_;
  fuse_init_out negotiated_{};
  std::uint64_t last_unique_ = 0;
  std::map<std::uint64_t, Reply> early_;
  std::multimap<int, std::string> notifications_;

  void receive();
};

}  // namespace arrayfs
