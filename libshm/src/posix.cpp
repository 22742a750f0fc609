#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <optional>
#include <shm/posix.hpp>

namespace shm::posix {
namespace {

constexpr std::size_t kMaxXattrBytes = 65'536;  // XATTR_SIZE_MAX, XATTR_LIST_MAX

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

Result<struct flock> lock_request(short type, ByteRange range) {
  const auto start = checked_range(range.offset, range.size_bytes);
  if (!start) return tl::unexpected(start.error());
  struct flock request {};
  request.l_type = type;
  request.l_whence = SEEK_SET;
  request.l_start = *start;
  request.l_len = static_cast<off_t>(range.size_bytes);
  return request;
}

short lock_type(LockKind kind) {
  return kind == LockKind::kShared ? F_RDLCK : F_WRLCK;
}

/// What /proc/PID/stat says of a process.
struct ProcessState {
  char state;
  std::uint64_t threads;
  std::uint32_t start_ticks;
};

std::optional<ProcessState> read_process_state(const std::string& pid) {
  const auto text = read_file("/proc/" + pid + "/stat", 4096);
  if (!text) return std::nullopt;
  // The name, in parentheses, may contain anything; field 3 comes after its last parenthesis.
  const auto name_end = text->rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= text->size()) return std::nullopt;
  ProcessState result{(*text)[name_end + 2], 0, 0};
  std::size_t begin = name_end + 2;
  for (int field = 3; field <= 22; ++field) {
    const std::size_t end = text->find(' ', begin);
    if (end == std::string::npos) return std::nullopt;
    std::uint64_t value = 0;
    std::from_chars(text->data() + begin, text->data() + end, value);
    if (field == 20) result.threads = value;
    if (field == 22) result.start_ticks = static_cast<std::uint32_t>(value);
    begin = end + 1;
  }
  return result;
}

// The identity of this process: start ticks in the high half, pid in the low one; 0: not known yet.
std::atomic<std::uint64_t> own_identity_cache{0};

void forget_own_identity() {
  own_identity_cache.store(0, std::memory_order_relaxed);
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

Result<void> truncate(int fd, std::uint64_t size_bytes) {
  const auto size = checked_range(size_bytes, 0);
  if (!size) return tl::unexpected(size.error());
  if (retry([&] { return ::ftruncate(fd, *size); }) != 0) return fail_errno("ftruncate");
  return {};
}

Result<void> set_mode(int fd, mode_t mode) {
  if (::fchmod(fd, mode) != 0) return fail_errno("fchmod");
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

Result<void> link_fd(int fd, const std::string& to) {
  const std::string from = "/proc/self/fd/" + std::to_string(fd);
  if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    return fail_errno(to);
  }
  return {};
}

Result<std::string> real_path(const std::string& path) {
  std::array<char, PATH_MAX> resolved;
  if (::realpath(path.c_str(), resolved.data()) == nullptr) return fail_errno(path);
  return std::string(resolved.data());
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

Result<std::string> get_xattr(const std::string& path, const std::string& name) {
  std::string value(kMaxXattrBytes, '\0');
  const ssize_t size = ::getxattr(path.c_str(), name.c_str(), value.data(), value.size());
  if (size < 0) return fail_errno(path + ": " + name);
  value.resize(static_cast<std::size_t>(size));
  return value;
}

Result<void> set_xattr(const std::string& path, const std::string& name, std::string_view value) {
  if (::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) != 0) {
    return fail_errno(path + ": " + name);
  }
  return {};
}

Result<std::vector<std::string>> list_xattrs(const std::string& path) {
  std::string list(kMaxXattrBytes, '\0');
  const ssize_t size = ::listxattr(path.c_str(), list.data(), list.size());
  if (size < 0) return fail_errno(path);
  std::vector<std::string> names;
  const std::string_view all(list.data(), static_cast<std::size_t>(size));
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = all.find('\0', begin);
    names.emplace_back(all.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

Result<void> lock_range(int fd, LockKind kind, ByteRange range, bool wait) {
  auto request = lock_request(lock_type(kind), range);
  if (!request) return tl::unexpected(request.error());
  const int command = wait ? F_OFD_SETLKW : F_OFD_SETLK;
  if (retry([&] { return ::fcntl(fd, command, &*request); }) == 0) return {};
  return errno == EACCES ? fail(EAGAIN, "lock") : fail_errno("lock");
}

Result<void> unlock_range(int fd, ByteRange range) {
  auto request = lock_request(F_UNLCK, range);
  if (!request) return tl::unexpected(request.error());
  if (::fcntl(fd, F_OFD_SETLK, &*request) != 0) return fail_errno("unlock");
  return {};
}

Result<ByteRange> find_lock(int fd, LockKind kind, ByteRange range) {
  auto request = lock_request(lock_type(kind), range);
  if (!request) return tl::unexpected(request.error());
  if (::fcntl(fd, F_OFD_GETLK, &*request) != 0) return fail_errno("lock");
  if (request->l_type == F_UNLCK) return fail(ENOENT, "lock");
  return ByteRange{static_cast<std::uint64_t>(request->l_start),
                   static_cast<std::uint64_t>(request->l_len)};
}

Result<void> lock_whole(int fd) {
  if (retry([&] { return ::flock(fd, LOCK_EX); }) != 0) return fail_errno("flock");
  return {};
}

Result<void> advise(std::span<std::byte> memory, int advice) {
  if (retry([&] { return ::madvise(memory.data(), memory.size(), advice); }) != 0) {
    return fail_errno("madvise");
  }
  return {};
}

Result<void> bind_to_node(std::span<std::byte> memory, unsigned node) {
  const unsigned long mask = 1UL << node;
  // The kernel takes the number of bits plus one.
  if (::syscall(SYS_mbind, memory.data(), memory.size(), MPOL_BIND, &mask, 65UL, MPOL_MF_MOVE) !=
      0) {
    return fail_errno("mbind");
  }
  return {};
}

bool futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::nanoseconds timeout) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  struct timespec limit {};
  limit.tv_sec = seconds.count();
  limit.tv_nsec = (timeout - seconds).count();
  return ::syscall(SYS_futex, &word, FUTEX_WAIT, expected, &limit, nullptr, 0) != 0 &&
         errno == ETIMEDOUT;
}

void futex_wake(std::atomic<std::uint32_t>& word, int count) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0);
}

Result<ProcessIdentity> own_identity() {
  std::uint64_t known = own_identity_cache.load(std::memory_order_relaxed);
  if (known == 0) {
    static const int registered = ::pthread_atfork(nullptr, nullptr, forget_own_identity);
    if (registered != 0) return fail(registered, "pthread_atfork");
    const auto state = read_process_state("self");
    if (!state) return fail(ENOENT, "/proc/self/stat");
    known = std::uint64_t{state->start_ticks} << 32U | static_cast<std::uint32_t>(::getpid());
    own_identity_cache.store(known, std::memory_order_relaxed);
  }
  return ProcessIdentity{static_cast<std::uint32_t>(known),
                         static_cast<std::uint32_t>(known >> 32U)};
}

bool is_alive(ProcessIdentity process) {
  if (::kill(static_cast<pid_t>(process.pid), 0) != 0 && errno == ESRCH) return false;
  const auto state = read_process_state(std::to_string(process.pid));
  // Unreadable where /proc is mounted with hidepid: then a process of that number is taken for it.
  if (!state) return ::kill(static_cast<pid_t>(process.pid), 0) == 0 || errno != ESRCH;
  if (state->start_ticks != process.start_ticks) return false;
  // A zombie whose first thread alone has ended still runs.
  const bool ended = state->state == 'Z' || state->state == 'X' || state->state == 'x';
  return !ended || state->threads > 1;
}

Result<std::string> boot_id() {
  auto text = read_file("/proc/sys/kernel/random/boot_id", 64);
  if (!text) return text;
  std::erase_if(*text, [](char c) { return c == '-' || c == '\n'; });
  if (text->size() != 32) return fail(EINVAL, "/proc/sys/kernel/random/boot_id");
  return text;
}

Result<std::uint64_t> pid_namespace() {
  const auto status = stat_at(AT_FDCWD, "/proc/self/ns/pid", 0);
  if (!status) return tl::unexpected(status.error());
  return static_cast<std::uint64_t>(status->st_ino);
}

tl::unexpected<Error> fail_errno(std::string context) {
  return fail(errno, std::move(context));
}

}  // namespace shm::posix
