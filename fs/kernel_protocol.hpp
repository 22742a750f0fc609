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
#include <span>
#include <string>

#include "state_memory.hpp"

namespace arrayfs {

class KernelProtocol {
 public:
  /// What may be asked of the kernel at INIT.
  struct Wishes {
    bool passthrough = true;
    /// 1 lets overlayfs sit above the mount; 2 also admits a store on overlayfs.
    std::uint32_t max_stack_depth = 1;
  };

  /// `state` keeps what was negotiated for the servers that come after this one.
  KernelProtocol(Wishes wishes, State& state) : wishes_(wishes), state_(state) {}

  /// Puts this object between `session` and its device.
  /// Requires: `session` is mounted (or has a descriptor), and session_protocol() finds this object
  /// from the session's userdata.
  [[nodiscard]] shm::Result<void> attach(fuse_session* session, int device_fd);

  /// True once INIT went by and the kernel agreed to passthrough.
  [[nodiscard]] bool passthrough() const { return passthrough_; }
  /// Why passthrough() is false, for `status` and the log.
  [[nodiscard]] const std::string& refusal() const { return refusal_; }
  [[nodiscard]] std::uint32_t kernel_minor() const { return kernel_minor_; }

  /// Whether a server before this one has spoken with the kernel already; its INIT is played back.
  [[nodiscard]] bool is_successor() const { return state_.init_answered != 0; }
  /// Makes the kernel send again what was read and never answered.
  [[nodiscard]] shm::Result<void> request_resend() const;

  /// Wakes who polls the open file of this handle of the kernel's; it polls again.
  void notify_poll(std::uint64_t poll_handle) const;
  /// That handle, while a POLL request is handled.
  [[nodiscard]] std::uint64_t poll_handle() const { return poll_handle_; }

  /// The number of the request that was read last.
  [[nodiscard]] std::uint64_t unique() const { return unique_; }
  /// A request of which nothing is known but its bytes.
  struct Header {
    std::uint64_t unique = 0;
    bool resent = false;   ///< it was read before and not answered
    bool forgets = false;  ///< FORGET: it has no answer, and is never sent again
    bool answered = true;  ///< whether the kernel waits for a reply
  };
  [[nodiscard]] static Header header_of(std::span<const std::byte> request);
  /// The message at the start of `memory`; empty when it is done.
  [[nodiscard]] static std::span<const std::byte> message_in(std::span<const std::byte> memory);
  static void mark_done(std::span<std::byte> request);
  /// Takes notice of a request that was read past this object.
  void see(std::span<const std::byte> request) { see_request(request.data(), request.size()); }
  /// Answers a request with an error without handling it.
  void refuse(std::uint64_t unique, int error) const;

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

  static constexpr std::uint64_t kHasResend = 1ULL << 39;

  Wishes wishes_;
  State& state_;
  int device_fd_ = -1;
  bool playing_back_ = false;  ///< the INIT request of the state was read, its reply goes nowhere
  std::uint64_t unique_ = 0;
  std::uint64_t poll_handle_ = 0;
  std::uint64_t init_unique_ = 0;    ///< of the INIT request under way; 0 when none is
  std::uint64_t offered_flags_ = 0;  ///< what the kernel offered at INIT
  std::uint32_t kernel_minor_ = 0;
  bool passthrough_ = false;
  std::string refusal_ = "the kernel was not asked yet";
};

/// The protocol object within the userdata of a session; defined beside the session.
[[nodiscard]] KernelProtocol& session_protocol(void* userdata);

}  // namespace arrayfs
