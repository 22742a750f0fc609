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

shm::Result<void> Reservation::cut_back() const {
  const auto st = attributes();
  const auto keep = static_cast<off_t>(keep_bytes_);
  if (!st || st->st_size <= keep) {
    return {};
  }
  // What was written in sequence has its pages, promised or not.
  const off_t hole = lseek(fd_.get(), keep, SEEK_HOLE);
  if (ftruncate(fd_.get(), hole < 0 ? keep : hole) != 0) {
    return shm::posix::fail_errno("undoing a growth");
  }
  return {};
}

shm::Result<struct stat> Reservation::run() const {
  if (const int code = allocate(); code != 0) {
    const auto undone = cut_back();
    return shm::fail(code, undone ? std::string() : shm::to_string(undone.error()));
  }
  return attributes();
}

}  // namespace arrayfs
