#include "reservation.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace arrayfs {

shm::Result<struct stat> Reservation::run(OnFailure on_failure) const {
  const int fd = fd_.get();
  int result = 0;
  do {
    // Only what is missing is allocated, and of a failure nothing stays behind.
    result = fallocate(fd, 0, 0, static_cast<off_t>(size_bytes_));
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno == EOPNOTSUPP) {
    // The store's file system cannot promise space; growing is all there is.
    const auto st = shm::posix::stat_fd(fd);
    const bool shorter = st && static_cast<std::uint64_t>(st->st_size) < size_bytes_;
    result = shorter ? ftruncate(fd, static_cast<off_t>(size_bytes_)) : 0;
  }
  if (result != 0) {
    const int code = errno;
    const auto st = shm::posix::stat_fd(fd);
    if (on_failure == OnFailure::kCutBack && st &&
        static_cast<std::uint64_t>(st->st_size) > keep_bytes_ &&
        ftruncate(fd, static_cast<off_t>(keep_bytes_)) != 0) {
      return shm::posix::fail_errno("undoing a growth");
    }
    return shm::fail(code);
  }
  return shm::posix::stat_fd(fd);
}

}  // namespace arrayfs
