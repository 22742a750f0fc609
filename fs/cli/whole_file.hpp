// A file that appears under its name when it is complete, or not at all.
//
// Written beside its name and renamed at the end; removed when it is given up. Movable, for one
// thread.
#pragma once

#include <cstddef>
#include <shm/posix.hpp>
#include <span>
#include <string>

namespace arrayfs {

class WholeFile {
 public:
  /// Errors: those of open(2).
  [[nodiscard]] static shm::Result<WholeFile> create(const std::string& path);
  WholeFile(WholeFile&& other) noexcept;
  WholeFile& operator=(WholeFile&&) = delete;
  ~WholeFile();

  /// Appends. Errors: those of write(2).
  [[nodiscard]] shm::Result<void> write(std::span<const std::byte> bytes);
  /// Gives it its name, replacing what had it.
  [[nodiscard]] shm::Result<void> publish();

 private:
  WholeFile(shm::posix::Fd fd, std::string path, std::string aside)
      : fd_(std::move(fd)), path_(std::move(path)), aside_(std::move(aside)) {}

  shm::posix::Fd fd_;
  std::string path_;
  std::string aside_;
  std::uint64_t size_ = 0;
};

}  // namespace arrayfs
