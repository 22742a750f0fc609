// Files that a worker has open, and arrays that it has mapped.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "contents.hpp"

namespace stress {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  int close_now() { return close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

/// An array that this process has mapped, and what it saw there first.
class HeldArray {
 public:
  /// `mapping` is `bytes` long, holds a whole array and becomes its own. The words of a `whole`
  /// array do not change.
  HeldArray(Fd fd, void* mapping, size_t bytes, std::string path, bool whole);

  /// May be closed while the mapping is used.
  [[nodiscard]] Fd& fd() { return fd_; }
  [[nodiscard]] bool whole() const { return whole_; }
  [[nodiscard]] std::uint64_t count() const { return (bytes() - kHeaderBytes) / 8; }
  /// The index of a word that is not what it must be.
  [[nodiscard]] std::optional<std::uint64_t> find_wrong() const;
  /// Requires: mapped for writing.
  void store(std::uint64_t index, std::uint64_t value) const;
  /// False, and errno, when msync() fails.
  [[nodiscard]] bool sync() const;

 private:
  struct Unmap {
    size_t bytes;
    void operator()(void* mapping) const { munmap(mapping, bytes); }
  };

  [[nodiscard]] size_t bytes() const { return mapping_.get_deleter().bytes; }
  [[nodiscard]] std::uint64_t* words() const { return mapping_.get() + kHeaderBytes / 8; }
  void expect_bus_errors() const;

  Fd fd_;
  std::unique_ptr<std::uint64_t[], Unmap> mapping_;
  std::string path_;
  bool whole_;
  std::uint32_t seed_;
};

/// A SIGBUS is to name the file and the place in it.
void explain_bus_errors();

}  // namespace stress
