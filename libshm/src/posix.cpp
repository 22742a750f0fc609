#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <shm/posix.hpp>

namespace shm::posix {
namespace {

template <typename Call>
auto retry(Call call) {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

/// The bytes [offset, offset + size) as off_t. Errors: EOVERFLOW.
Result<off_t> checked_range(std::uint64_t offset, std::uint64_t size_bytes) {
  std::uint64_t end = 0;
  if (__builtin_add_overflow(offset, size_bytes, &end) ||
      end > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    return fail(EOVERFLOW, "file offset");
  }
  return static_cast<off_t>(offset);
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Fd::reset() {
  // Not retried: Linux frees the descriptor even when close() is interrupted.
  if (const int fd = release(); fd >= 0) ::close(fd);
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    address_ = std::exchange(other.address_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Result<Mapping> Mapping::map(int fd, std::uint64_t offset, std::size_t size_bytes, int prot,
                             int flags) {
  const auto start = checked_range(offset, size_bytes);
  if (!start) return tl::unexpected(start.error());
  void* address = ::mmap(nullptr, size_bytes, prot, flags, fd, *start);
  if (address == MAP_FAILED) return fail_errno("mmap");
  Mapping mapping;
  mapping.address_ = address;
  mapping.size_ = size_bytes;
  return mapping;
}

void Mapping::reset() {
  if (address_ != nullptr) ::munmap(address_, size_);
  address_ = nullptr;
  size_ = 0;
}

Result<Fd> open_at(int dir_fd, const std::string& path, int flags, mode_t mode) {
  const int fd = retry([&] { return ::openat(dir_fd, path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) return fail_errno(path);
  return Fd(fd);
}

Result<struct stat> stat_fd(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return fail_errno("fstat");
  return status;
}

Result<struct stat> stat_at(int dir_fd, const std::string& path, int flags) {
  struct stat status {};
  if (::fstatat(dir_fd, path.c_str(), &status, flags) != 0) return fail_errno(path);
  return status;
}

Result<std::size_t> pread_full(int fd, std::span<std::byte> buffer, std::uint64_t offset) {
  const auto start = checked_range(offset, buffer.size());
  if (!start) return tl::unexpected(start.error());
  std::size_t done = 0;
  while (done < buffer.size()) {
    const auto rest = buffer.subspan(done);
    const ssize_t count = retry(
        [&] { return ::pread(fd, rest.data(), rest.size(), *start + static_cast<off_t>(done)); });
    if (count < 0) return fail_errno("pread");
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<void> pwrite_full(int fd, std::span<const std::byte> buffer, std::uint64_t offset) {
  const auto start = checked_range(offset, buffer.size());
  if (!start) return tl::unexpected(start.error());
  std::size_t done = 0;
  while (done < buffer.size()) {
    const auto rest = buffer.subspan(done);
    const ssize_t count = retry(
        [&] { return ::pwrite(fd, rest.data(), rest.size(), *start + static_cast<off_t>(done)); });
    if (count < 0) return fail_errno("pwrite");
    if (count == 0) return fail(EIO, "pwrite");
    done += static_cast<std::size_t>(count);
  }
  return {};
}

Result<std::string> read_file(const std::string& path, std::size_t limit_bytes) {
  const auto file = open_at(AT_FDCWD, path, O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  std::string content;
  std::array<char, 16'384> chunk;
  for (;;) {
    const ssize_t count = retry([&] { return ::read(file->get(), chunk.data(), chunk.size()); });
    if (count < 0) return fail_errno(path);
    if (count == 0) return content;
    const auto size = static_cast<std::size_t>(count);
    if (size > limit_bytes - content.size()) return fail(EFBIG, path);
    content.append(chunk.data(), size);
  }
}

Result<void> allocate(int fd, std::uint64_t size_bytes) {
  const auto start = checked_range(0, size_bytes);
  if (!start) return tl::unexpected(start.error());
  int error = 0;
  do {
    error = ::posix_fallocate(fd, *start, static_cast<off_t>(size_bytes));
  } while (error == EINTR);
  if (error != 0) return fail(error, "fallocate");
  return {};
}

Result<void> rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return fail_errno(to);
  return {};
}

Result<void> rename_new(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return fail_errno(to);
  // The file system does not know the flag. link(2) never replaces either.
  if (::link(from.c_str(), to.c_str()) != 0) return fail_errno(to);
  return unlink(from);
}

Result<void> unlink(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return fail_errno(path);
  return {};
}

Result<std::uint64_t> random_bits() {
  std::uint64_t bits = 0;
  const ssize_t count = retry([&] { return ::getrandom(&bits, sizeof bits, 0); });
  if (count < 0) return fail_errno("getrandom");
  return bits;
}

std::uint64_t page_size_bytes() {
  static const auto size_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return size_bytes;
}

tl::unexpected<Error> fail_errno(std::string context) {
  return fail(errno, std::move(context));
}

}  // namespace shm::posix
