// The platform: the only place of libshm with raw system calls.
//
// Thin RAII and errno-to-Result wrappers, shared by libshm and the daemon. EINTR is retried.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <shm/error.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shm::posix {

/// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

/// Owns a memory mapping.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping() { reset(); }

  /// mmap of `size_bytes` at `offset` of fd. Requires: size_bytes > 0, offset page-aligned.
  [[nodiscard]] static Result<Mapping> map(int fd, std::uint64_t offset, std::size_t size_bytes,
                                           int prot, int flags);

  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(address_); }
  [[nodiscard]] std::size_t size() const { return size_; }
  void reset();

 private:
  void* address_ = nullptr;
  std::size_t size_ = 0;
};

/// openat(2) with O_CLOEXEC added. `dir_fd` may be AT_FDCWD.
[[nodiscard]] Result<Fd> open_at(int dir_fd, const std::string& path, int flags, mode_t mode = 0);
[[nodiscard]] Result<struct stat> stat_fd(int fd);
/// fstatat(2); AT_EMPTY_PATH with an empty path stats dir_fd itself, O_PATH descriptors included.
[[nodiscard]] Result<struct stat> stat_at(int dir_fd, const std::string& path, int flags);
/// Reads until `buffer` is full or the file ends; returns the bytes read.
[[nodiscard]] Result<std::size_t> pread_full(int fd, std::span<std::byte> buffer,
                                             std::uint64_t offset);
[[nodiscard]] Result<void> pwrite_full(int fd, std::span<const std::byte> buffer,
                                       std::uint64_t offset);
/// The whole content of a small or generated file (whose size stat does not tell).
/// Errors: EFBIG beyond `limit_bytes`.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t limit_bytes);

/// Gives the file `size_bytes`, every page of them allocated. Requires: size_bytes > 0.
/// Errors: ENOSPC, EFBIG, EOVERFLOW, those of posix_fallocate(3).
[[nodiscard]] Result<void> allocate(int fd, std::uint64_t size_bytes);
/// ftruncate(2).
[[nodiscard]] Result<void> truncate(int fd, std::uint64_t size_bytes);
/// fchmod(2).
[[nodiscard]] Result<void> set_mode(int fd, mode_t mode);
/// rename(2), replacing `to`.
[[nodiscard]] Result<void> rename(const std::string& from, const std::string& to);
/// Moves `from` to the name `to` that nothing has yet; works on file systems without
/// RENAME_NOREPLACE too. Errors: EEXIST, those of renameat2(2) and link(2).
[[nodiscard]] Result<void> rename_new(const std::string& from, const std::string& to);
[[nodiscard]] Result<void> unlink(const std::string& path);
/// Gives the open, possibly nameless file `fd` the name `to`. Errors: EEXIST, those of linkat(2).
[[nodiscard]] Result<void> link_fd(int fd, const std::string& to);
/// realpath(3): absolute, without symlinks; every part must exist.
[[nodiscard]] Result<std::string> real_path(const std::string& path);
/// 64 unpredictable bits, for names that must not collide.
[[nodiscard]] Result<std::uint64_t> random_bits();
[[nodiscard]] std::uint64_t page_size_bytes();

// Extended attributes, by name with its namespace (`user.units`).
[[nodiscard]] Result<std::string> get_xattr(const std::string& path, const std::string& name);
[[nodiscard]] Result<void> set_xattr(const std::string& path, const std::string& name,
                                     std::string_view value);
[[nodiscard]] Result<std::vector<std::string>> list_xattrs(const std::string& path);

enum class LockKind { kShared, kExclusive };
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;  ///< 0: up to the end of the file, however it grows
};
/// fcntl(2) F_OFD_SETLK: a lock of the open file description, which the kernel releases with the
/// last descriptor of it. `wait` blocks (F_OFD_SETLKW). Errors: EAGAIN when it is taken and `wait`
/// is false, EBADF when fd is not open for reading (shared) or writing (exclusive).
[[nodiscard]] Result<void> lock_range(int fd, LockKind kind, ByteRange range, bool wait);
[[nodiscard]] Result<void> unlock_range(int fd, ByteRange range);
/// The range of one lock in the way of such a lock; size_bytes as above. ENOENT when there is none.
[[nodiscard]] Result<ByteRange> find_lock(int fd, LockKind kind, ByteRange range);
/// flock(2) LOCK_EX of the open file description; works on directories. Waits.
[[nodiscard]] Result<void> lock_whole(int fd);

/// madvise(2). Requires: page-aligned beginning.
[[nodiscard]] Result<void> advise(std::span<std::byte> memory, int advice);
/// mbind(2) with MPOL_BIND to one node; moves the pages that are there. Errors: EINVAL (no such
/// node), ENOSYS (a kernel without NUMA). Requires: page-aligned beginning, node < 64.
[[nodiscard]] Result<void> bind_to_node(std::span<std::byte> memory, unsigned node);

/// futex(2) FUTEX_WAIT on a word that processes share: sleeps while `word` is `expected`, until
/// futex_wake(), a signal or the end of `timeout`. True when it was the latter.
bool futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::nanoseconds timeout);
/// Wakes up to `count` of those that wait on `word`.
void futex_wake(std::atomic<std::uint32_t>& word, int count);

/// A process of this boot and this PID namespace.
struct ProcessIdentity {
  std::uint32_t pid = 0;
  std::uint32_t start_ticks = 0;  ///< low 32 bits of field 22 of /proc/PID/stat

  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};
/// This process, right after a fork() too. Errors: ENOENT (no /proc).
[[nodiscard]] Result<ProcessIdentity> own_identity();
/// False once the process has ended, zombies included; true where it cannot be known.
[[nodiscard]] bool is_alive(ProcessIdentity process);
/// The 128 bits of /proc/sys/kernel/random/boot_id, in hexadecimal digits without dashes.
[[nodiscard]] Result<std::string> boot_id();
/// The inode number of /proc/self/ns/pid.
[[nodiscard]] Result<std::uint64_t> pid_namespace();

/// An Error from errno, with context.
[[nodiscard]] tl::unexpected<Error> fail_errno(std::string context = {});

}  // namespace shm::posix
