// The platform: the only place of libshm with raw system calls.
//
// Thin RAII and errno-to-Result wrappers, shared by libshm and the daemon. EINTR is retried.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <shm/error.hpp>
#include <span>
#include <string>
#include <utility>

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
/// rename(2), replacing `to`.
[[nodiscard]] Result<void> rename(const std::string& from, const std::string& to);
/// Moves `from` to the name `to` that nothing has yet; works on file systems without
/// RENAME_NOREPLACE too. Errors: EEXIST, those of renameat2(2) and link(2).
[[nodiscard]] Result<void> rename_new(const std::string& from, const std::string& to);
[[nodiscard]] Result<void> unlink(const std::string& path);
/// 64 unpredictable bits, for names that must not collide.
[[nodiscard]] Result<std::uint64_t> random_bits();
[[nodiscard]] std::uint64_t page_size_bytes();

/// An Error from errno, with context.
[[nodiscard]] tl::unexpected<Error> fail_errno(std::string context = {});

}  // namespace shm::posix
