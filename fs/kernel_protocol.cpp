#include "kernel_protocol.hpp"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <shm/posix.hpp>

#include "fault_point.hpp"
#include "journal.hpp"

namespace arrayfs {
namespace {

using shm::posix::fail_errno;

// linux/fuse.h of Debian 12 stops at protocol 7.38; passthrough came with 7.40 (Linux 6.9). Where
// libfuse >= 3.17 is the oldest that is built with, its own API replaces everything named here.
constexpr std::uint64_t kPassthroughFlag = 1ULL << 37;
constexpr std::uint32_t kOpenPassthrough = 1U << 7;

struct BackingMap {
  std::int32_t fd;
  std::uint32_t flags;
  std::uint64_t padding;
};
#define ARRAYFS_BACKING_OPEN _IOW(229, 1, BackingMap)
#define ARRAYFS_BACKING_CLOSE _IOW(229, 2, std::uint32_t)

// fuse_init_out as of 7.40, where a word of `unused` became max_stack_depth.
struct InitOut {
  fuse_out_header header;
  std::uint32_t major;
  std::uint32_t minor;
  std::uint32_t max_readahead;
  std::uint32_t flags;
  std::uint16_t max_background;
  std::uint16_t congestion_threshold;
  std::uint32_t max_write;
  std::uint32_t time_gran;
  std::uint16_t max_pages;
  std::uint16_t map_alignment;
  std::uint32_t flags2;
  std::uint32_t max_stack_depth;
  std::uint32_t unused[6];
};
static_assert(sizeof(InitOut) == sizeof(fuse_out_header) + sizeof(fuse_init_out));

fuse_open_out open_out(const fuse_file_info& file, std::int32_t backing_id) {
  fuse_open_out out{};
  out.fh = file.fh;
  if (backing_id > 0) {
    out.open_flags = kOpenPassthrough | (file.noflush ? FOPEN_NOFLUSH : 0U);
    std::memcpy(&out.padding, &backing_id, sizeof backing_id);
    return out;
  }
  if (file.direct_io) {
    out.open_flags |= FOPEN_DIRECT_IO;
  }
  if (file.keep_cache) {
    out.open_flags |= FOPEN_KEEP_CACHE;
  }
  if (file.noflush) {
    out.open_flags |= FOPEN_NOFLUSH;
  }
  if (file.nonseekable) {
    out.open_flags |= FOPEN_NONSEEKABLE;
  }
  return out;
}

// Timeouts of an entry as seconds and nanoseconds.
void set_timeout(double seconds, std::uint64_t& whole, std::uint32_t& nanos) {
  whole = static_cast<std::uint64_t>(seconds);
  nanos = static_cast<std::uint32_t>((seconds - static_cast<double>(whole)) * 1e9);
}

fuse_attr wire_attr(const struct stat& attr) {
  fuse_attr out{};
  out.ino = attr.st_ino;
  out.size = static_cast<std::uint64_t>(attr.st_size);
  out.blocks = static_cast<std::uint64_t>(attr.st_blocks);
  out.atime = static_cast<std::uint64_t>(attr.st_atim.tv_sec);
  out.mtime = static_cast<std::uint64_t>(attr.st_mtim.tv_sec);
  out.ctime = static_cast<std::uint64_t>(attr.st_ctim.tv_sec);
  out.atimensec = static_cast<std::uint32_t>(attr.st_atim.tv_nsec);
  out.mtimensec = static_cast<std::uint32_t>(attr.st_mtim.tv_nsec);
  out.ctimensec = static_cast<std::uint32_t>(attr.st_ctim.tv_nsec);
  out.mode = attr.st_mode;
  out.nlink = static_cast<std::uint32_t>(attr.st_nlink);
  out.uid = attr.st_uid;
  out.gid = attr.st_gid;
  out.rdev = static_cast<std::uint32_t>(attr.st_rdev);
  out.blksize = static_cast<std::uint32_t>(attr.st_blksize);
  return out;
}

}  // namespace

shm::Result<void> KernelProtocol::attach(fuse_session* session, int device_fd) {
  device_fd_ = device_fd;
  fuse_custom_io io{};
  io.read = &KernelProtocol::read_device;
  io.writev = &KernelProtocol::write_device;
  if (const int error = fuse_session_custom_io(session, &io, device_fd); error != 0) {
    return shm::fail(error < 0 ? -error : EINVAL, "fuse_session_custom_io");
  }
  return {};
}

ssize_t KernelProtocol::read_device(int fd, void* buffer, size_t size, void* userdata) {
  KernelProtocol& self = session_protocol(userdata);
  if (self.is_successor() && self.kernel_minor_ == 0) {
    // The kernel says INIT once; libfuse wants to hear it from every server.
    const size_t init_bytes = std::min<size_t>(size, self.state_.init_bytes);
    std::memcpy(buffer, self.state_.init, init_bytes);
    self.playing_back_ = true;
    self.see_request(static_cast<const std::byte*>(buffer), init_bytes);
    return static_cast<ssize_t>(init_bytes);
  }
  const ssize_t got = ::read(fd, buffer, size);
  if (got == 0) {  // a socket that was hung up; the device never ends so
    errno = ENODEV;
    return -1;
  }
  if (got > 0) {
    self.see_request(static_cast<const std::byte*>(buffer), static_cast<size_t>(got));
  }
  return got;
}

ssize_t KernelProtocol::write_device(int fd, iovec* iov, int count, void* userdata) {
  KernelProtocol& self = session_protocol(userdata);
  if (self.init_unique_ != 0) {
    self.amend_init_reply(iov, count);
    if (self.playing_back_) {
      self.playing_back_ = false;
      ssize_t size = 0;
      for (int i = 0; i < count; ++i) {
        size += static_cast<ssize_t>(iov[i].iov_len);
      }
      return size;
    }
    const ssize_t written = ::writev(fd, iov, count);
    self.state_.can_resend = (self.offered_flags_ & kHasResend) != 0 ? 1 : 0;
    self.state_.init_answered = written > 0 ? 1 : 0;
    return written;
  }
  fault_point("reply: before");
  const ssize_t written = ::writev(fd, iov, count);
  fault_point("reply: sent");
  return written;
}

KernelProtocol::Header KernelProtocol::header_of(std::span<const std::byte> request) {
  fuse_in_header header{};
  std::memcpy(&header, request.data(), std::min(request.size(), sizeof header));
  const bool forgets = header.opcode == FUSE_FORGET || header.opcode == FUSE_BATCH_FORGET;
  return {header.unique, (header.unique & kResentBit) != 0, forgets,
          !forgets && header.opcode != FUSE_INTERRUPT};
}

std::span<const std::byte> KernelProtocol::message_in(std::span<const std::byte> memory) {
  fuse_in_header header{};
  std::memcpy(&header, memory.data(), std::min(memory.size(), sizeof header));
  return header.len <= memory.size() ? memory.first(header.len) : memory.first(0);
}

void KernelProtocol::mark_done(std::span<std::byte> request) {
  std::memset(request.data(), 0, std::min(request.size(), sizeof(fuse_in_header::len)));
}

shm::Result<void> KernelProtocol::request_resend() const {
  constexpr int kNotifyResend = 7;  // FUSE_NOTIFY_RESEND, Linux 6.9
  fuse_out_header notification{};
  notification.len = sizeof notification;
  notification.error = kNotifyResend;
  if (::write(device_fd_, &notification, sizeof notification) != sizeof notification) {
    return fail_errno("FUSE_NOTIFY_RESEND");
  }
  return {};
}

void KernelProtocol::notify_poll(std::uint64_t poll_handle) const {
  struct {
    fuse_out_header header;
    fuse_notify_poll_wakeup_out wakeup;
  } out{};
  out.header.len = sizeof out;
  out.header.error = FUSE_NOTIFY_POLL;
  out.wakeup.kh = poll_handle;
  static_cast<void>(!::write(device_fd_, &out, sizeof out));  // who polled may be gone
}

void KernelProtocol::refuse(std::uint64_t unique, int error) const {
  fuse_out_header reply{};
  reply.len = sizeof reply;
  reply.error = -error;
  reply.unique = unique;
  static_cast<void>(!::write(device_fd_, &reply, sizeof reply));
}

void KernelProtocol::see_request(const std::byte* bytes, size_t size) {
  if (size < sizeof(fuse_in_header)) {
    return;
  }
  fuse_in_header header;
  std::memcpy(&header, bytes, sizeof header);
  unique_ = header.unique;
  if (header.opcode == FUSE_POLL && size >= sizeof header + sizeof(fuse_poll_in)) {
    fuse_poll_in poll{};
    std::memcpy(&poll, bytes + sizeof header, sizeof poll);
    poll_handle_ = poll.kh;
  }
  if (header.opcode != FUSE_INIT || kernel_minor_ != 0) {  // the first alone counts
    return;
  }
  if (!playing_back_) {
    state_.init_bytes = static_cast<std::uint32_t>(std::min(size, sizeof state_.init));
    std::memcpy(state_.init, bytes, state_.init_bytes);
  }
  fuse_init_in init{};
  std::memcpy(&init, bytes + sizeof header, std::min(size - sizeof header, sizeof init));
  init_unique_ = header.unique;
  kernel_minor_ = init.minor;
  offered_flags_ = init.flags;
  if ((init.flags & FUSE_INIT_EXT) != 0) {
    offered_flags_ |= static_cast<std::uint64_t>(init.flags2) << 32;
  }
  offered_flags_ = offered_by_kernel(offered_flags_);
}

void KernelProtocol::amend_init_reply(iovec* iov, int count) {
  fuse_out_header header;
  if (count != 2 || iov[0].iov_len != sizeof header) {
    return;
  }
  std::memcpy(&header, iov[0].iov_base, sizeof header);
  if (header.unique != init_unique_ || header.error != 0 ||
      iov[1].iov_len != sizeof(InitOut) - sizeof header) {
    return;
  }
  init_unique_ = 0;
  InitOut out;
  std::memcpy(&out.header + 1, iov[1].iov_base, iov[1].iov_len);

  // Without it every write asks the daemon for security.capability (Linux >= 5.11, not in libfuse
  // 3.14). The daemon's part of the bargain, dropping suid and capabilities, is in setattr.
  out.flags |= static_cast<std::uint32_t>(offered_flags_) & FUSE_HANDLE_KILLPRIV_V2;

  if (!wishes_.passthrough) {
    refusal_ = "not asked for";
  } else if ((offered_flags_ & kPassthroughFlag) == 0) {
    refusal_ = "this kernel does not offer FUSE passthrough (Linux 6.9 or later does)";
  } else if (geteuid() != 0) {
    refusal_ = "FUSE passthrough needs CAP_SYS_ADMIN; the daemon runs as an ordinary user";
  } else {
    out.flags |= FUSE_INIT_EXT;
    out.flags2 |= static_cast<std::uint32_t>(kPassthroughFlag >> 32);
    out.max_stack_depth = wishes_.max_stack_depth;
    passthrough_ = true;
    refusal_.clear();
  }
  std::memcpy(iov[1].iov_base, &out.header + 1, iov[1].iov_len);
}

shm::Result<std::int32_t> KernelProtocol::register_backing(int fd) const {
  BackingMap map{};
  map.fd = fd;
  const int id = ioctl(device_fd_, ARRAYFS_BACKING_OPEN, &map);
  if (id <= 0) {
    return fail_errno("FUSE_DEV_IOC_BACKING_OPEN");
  }
  return id;
}

void KernelProtocol::unregister_backing(std::int32_t backing_id) const {
  const auto id = static_cast<std::uint32_t>(backing_id);
  ioctl(device_fd_, ARRAYFS_BACKING_CLOSE, &id);
}

int KernelProtocol::reply_open(fuse_req_t request, const fuse_file_info& file,
                               std::int32_t backing_id) {
  const fuse_open_out out = open_out(file, backing_id);
  return fuse_reply_buf(request, reinterpret_cast<const char*>(&out), sizeof out);
}

int KernelProtocol::reply_create(fuse_req_t request, const fuse_entry_param& entry,
                                 const fuse_file_info& file, std::int32_t backing_id) {
  struct {
    fuse_entry_out entry;
    fuse_open_out open;
  } out{};
  out.entry.nodeid = entry.ino;
  out.entry.generation = entry.generation;
  set_timeout(entry.entry_timeout, out.entry.entry_valid, out.entry.entry_valid_nsec);
  set_timeout(entry.attr_timeout, out.entry.attr_valid, out.entry.attr_valid_nsec);
  out.entry.attr = wire_attr(entry.attr);
  out.open = open_out(file, backing_id);
  return fuse_reply_buf(request, reinterpret_cast<const char*>(&out), sizeof out);
}

}  // namespace arrayfs
