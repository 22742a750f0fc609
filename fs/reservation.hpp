// Space that is promised: every page of a file that grew is allocated, or the growth fails.
//
// tmpfs grows files without allocating them and kills with SIGBUS who touches a page that cannot
// be had. A Reservation is the work of allocating what is missing; it owns its descriptor and may
// run on any thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <shm/error.hpp>
#include <shm/posix.hpp>

namespace arrayfs {

/// Whether every page of a file of this size is allocated.
[[nodiscard]] inline bool is_allocated(const struct stat& st) {
  return static_cast<std::uint64_t>(st.st_blocks) * 512 >= static_cast<std::uint64_t>(st.st_size);
}

class Reservation {
 public:
  /// Allocates the first `size_bytes` of `fd` (writable), and makes the file at least that long.
  /// `admitted` is false when the quota of the store is already known to refuse it.
  Reservation(shm::posix::Fd fd, std::uint64_t size_bytes, std::uint64_t keep_bytes, bool admitted)
      : fd_(std::move(fd)), size_bytes_(size_bytes), keep_bytes_(keep_bytes), admitted_(admitted) {}

  /// The attributes of the file afterwards. Errors: ENOSPC; then the file ends where its pages do,
  /// but not before `keep_bytes`.
  [[nodiscard]] shm::Result<struct stat> run() const;
  /// The attributes of the file as it is.
  [[nodiscard]] shm::Result<struct stat> attributes() const {
    return shm::posix::stat_fd(fd_.get());
  }

 private:
  [[nodiscard]] int allocate() const;  ///< 0 or a positive errno
  [[nodiscard]] shm::Result<void> cut_back() const;

  shm::posix::Fd fd_;
  std::uint64_t size_bytes_;
  std::uint64_t keep_bytes_;
  bool admitted_;
};

}  // namespace arrayfs
