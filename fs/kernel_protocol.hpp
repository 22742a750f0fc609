// The FUSE device below libfuse: what Linux speaks and libfuse 3.14 does not.
//
// Owns the negotiation of FUSE passthrough (the INIT reply is amended on its way out) and the
// registration of backing files. Every workaround names the kernel that needs it and when it can
// go. Used by the session's thread alone; lives as long as the session.
#pragma once

#include <fuse_lowlevel.h>

#include <cstddef>
#include <cstdint>
#include <shm/error.hpp>
#include <string>

namespace arrayfs {

class KernelProtocol {
 public:
  /// What may be asked of the kernel at INIT.
  struct Wishes {
    bool passthrough = true;
    /// 1 lets overlayfs sit above the mount; 2 also admits a store on overlayfs.
    std::uint32_t max_stack_depth = 1;
  };

  explicit KernelProtocol(Wishes wishes) : wishes_(wishes) {}

  /// Puts this object between `session` and its device.
  /// Requires: `session` is mounted (or has a descriptor), and session_protocol() finds this object
  /// from the session's userdata.
  [[nodiscard]] shm::Result<void> attach(fuse_session* session, int device_fd);

  /// True once INIT went by and the kernel agreed to passthrough.
  [[nodiscard]] bool passthrough() const { return passthrough_; }
  /// Why passthrough() is false, for `status` and the log.
  [[nodiscard]] const std::string& refusal() const { return refusal_; }
  [[nodiscard]] std::uint32_t kernel_minor() const { return kernel_minor_; }

  /// Registers `fd` (O_PATH will do) as what the kernel reads, writes and maps for an inode.
  /// Returns the backing id, above 0. One id an inode at a time: a second gives EIO at open.
  /// Errors: EPERM without CAP_SYS_ADMIN, ELOOP when the store is itself stacked too deep.
  [[nodiscard]] shm::Result<std::int32_t> register_backing(int fd) const;
  void unregister_backing(std::int32_t backing_id) const;

  /// Replies to OPEN; with a backing id the kernel serves the file itself. Returns 0, or -ENOENT
  /// when the caller was interrupted: then no RELEASE follows.
  static int reply_open(fuse_req_t request, const fuse_file_info& file, std::int32_t backing_id);
  /// Replies to CREATE likewise.
  static int reply_create(fuse_req_t request, const fuse_entry_param& entry,
                          const fuse_file_info& file, std::int32_t backing_id);

 private:
  static ssize_t read_device(int fd, void* buffer, size_t size, void* userdata);
  static ssize_t write_device(int fd, iovec* iov, int count, void* userdata);
  void see_request(const std::byte* bytes, size_t size);
  void amend_init_reply(iovec* iov, int count);

  Wishes wishes_;
  int device_fd_ = -1;
  std::uint64_t init_unique_ = 0;    ///< of the INIT request under way; 0 when none is
  std::uint64_t offered_flags_ = 0;  ///< what the kernel offered at INIT
  std::uint32_t kernel_minor_ = 0;
  bool passthrough_ = false;
  std::string refusal_ = "the kernel was not asked yet";
};

/// The protocol object within the userdata of a session; defined beside the session.
[[nodiscard]] KernelProtocol& session_protocol(void* userdata);

}  // namespace arrayfs
