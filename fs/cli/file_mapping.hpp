// A file mapped for reading whose pages may go meanwhile: another process makes it smaller, or
// there is no memory left for its holes.
//
// What is gone reads as zeros instead of ending the process by SIGBUS, and check() tells of it to
// who asks when he has read. One thread maps and unmaps, any may read. The handler of SIGBUS stays
// for the life of the process; faults elsewhere end it as before.
#pragma once

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <shm/posix.hpp>
#include <span>
#include <string>

namespace arrayfs {

class FileMapping {
 public:
  /// `size_bytes` from `offset` on; keeps `fd`. Requires: size_bytes > 0, offset page-aligned.
  /// Errors: those of mmap(2).
  [[nodiscard]] static shm::Result<std::shared_ptr<const FileMapping>> map(shm::posix::Fd fd,
                                                                           std::uint64_t offset,
                                                                           std::size_t size_bytes);
  FileMapping(const FileMapping&) = delete;
  FileMapping& operator=(const FileMapping&) = delete;
  ~FileMapping();

  [[nodiscard]] std::span<const std::byte> bytes() const;
  /// Whether all that was read so far were bytes of the file, which the error calls `path`.
  /// Errors: EIO with the reason.
  [[nodiscard]] shm::Result<void> check(const std::string& path) const;

 private:
  struct Range;
  static void on_bus_error(int signal, siginfo_t* info, void* context);
  static std::atomic<Range*> all_mapped_;  ///< a list, for the handler

  FileMapping(shm::posix::Fd fd, std::uint64_t end_bytes, std::unique_ptr<Range> range);

  shm::posix::Fd fd_;
  std::uint64_t end_bytes_;  ///< of the file, at least
  std::unique_ptr<Range> range_;
};

}  // namespace arrayfs
