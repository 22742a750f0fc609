#include "reservation.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace arrayfs {

int Reservation::allocate() const {
  if (!admitted_) {
    return ENOSPC;
  }
  // Only what is missing is allocated, and of a failure nothing stays behind.
  while (fallocate(fd_.get(), 0, 0, static_cast<off_t>(size_bytes_)) != 0) {
    if (errno == EOPNOTSUPP) {
      // The store's file system cannot promise space; growing is all there is.
      const auto st = shm::posix::stat_fd(fd_.get());
      const bool shorter = st && static_cast<std::uint64_t>(st->st_size) < size_bytes_;
      return shorter && ftruncate(fd_.get(), static_cast<off_t>(size_bytes_)) != 0 ? errno : 0;
    }
    if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

shm::Result<struct stat> Reservation::run(OnFailure on_failure) const {
  const int code = allocate();
  auto st = shm::posix::stat_fd(fd_.get());
  if (code == 0) {
    return st;
  }
  const bool grown = st && static_cast<std::uint64_t>(st->st_size) > keep_bytes_;
  if (on_failure == OnFailure::kCutBack && grown &&
      ftruncate(fd_.get(), static_cast<off_t>(keep_bytes_)) != 0) {
    return shm::posix::fail_errno("undoing a growth");
  }
  return shm::fail(code);
}

}  // namespace arrayfs
