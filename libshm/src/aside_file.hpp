// A file that is made beside the place where it will be, and appears there when it is whole.
//
// Owns the file under a hidden temporary name until publish(); removed otherwise. A process killed
// before that leaves the temporary name behind.
#pragma once

#include <fcntl.h>

#include <cerrno>
#include <shm/posix.hpp>
#include <string>
#include <tuple>
#include <utility>

namespace shm {

class AsideFile {
 public:
  static Result<AsideFile> create(const std::string& path, mode_t mode) {
    const auto slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "" : path.substr(0, slash + 1);
    for (;;) {
      const auto bits = posix::random_bits();
      if (!bits) return tl::unexpected(bits.error());
      std::string name = directory + ".arrayfs-" + std::to_string(*bits);
      auto fd = posix::open_at(AT_FDCWD, name, O_RDWR | O_CREAT | O_EXCL, mode);
      if (fd) return AsideFile(std::move(*fd), std::move(name));
      if (fd.error().code != EEXIST) return fail(fd.error().code);
    }
  }

  AsideFile(AsideFile&& other) noexcept
      : fd_(std::move(other.fd_)), name_(std::exchange(other.name_, {})) {}
  AsideFile& operator=(AsideFile&&) = delete;
  ~AsideFile() {
    // Best effort: the failure that brought us here is the one to report.
    if (!name_.empty()) std::ignore = posix::unlink(name_);
  }

  [[nodiscard]] int fd() const { return fd_.get(); }

  Result<void> publish(const std::string& path, bool replace) {
    auto moved = replace ? posix::rename(name_, path) : posix::rename_new(name_, path);
    if (moved) name_.clear();
    return moved;
  }

 private:
  AsideFile(posix::Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  posix::Fd fd_;
  std::string name_;
};

}  // namespace shm
