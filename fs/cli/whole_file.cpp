#include "whole_file.hpp"

#include <fcntl.h>

#include <utility>

namespace arrayfs {

using shm::Result;

Result<WholeFile> WholeFile::create(const std::string& path) {
  const auto bits = shm::posix::random_bits();
  if (!bits) {
    return tl::unexpected(bits.error());
  }
  const auto slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  std::string aside = directory + ".arrayfs-" + std::to_string(*bits);
  auto fd = shm::posix::open_at(AT_FDCWD, aside, O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (!fd) {
    return shm::fail(fd.error().code, path);
  }
  return WholeFile(std::move(*fd), path, std::move(aside));
}

WholeFile::WholeFile(WholeFile&& other) noexcept
    : fd_(std::move(other.fd_)),
      path_(std::move(other.path_)),
      aside_(std::exchange(other.aside_, {})),
      size_(other.size_) {}

WholeFile::~WholeFile() {
  if (!aside_.empty()) {
    static_cast<void>(shm::posix::unlink(aside_));
  }
}

Result<void> WholeFile::write(std::span<const std::byte> bytes) {
  auto written = shm::posix::pwrite_full(fd_.get(), bytes, size_);
  if (!written) {
    return shm::fail(written.error().code, path_);
  }
  size_ += bytes.size();
  return {};
}

Result<void> WholeFile::publish() {
  auto renamed = shm::posix::rename(aside_, path_);
  if (renamed) {
    aside_.clear();
  }
  return renamed;
}

}  // namespace arrayfs
