// What the tests of the daemon's code share: a store that goes away, array files, results.
//
// No test here mounts anything by FUSE. As root each TestStore is a tmpfs of its own; whatever a
// test leaves mounted fails the run.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "file_system.hpp"
#include "mount_config.hpp"
#include "store.hpp"

namespace arrayfs {

template <typename T>
testing::AssertionResult ok(const shm::Result<T>& result) {
  return result ? testing::AssertionSuccess()
                : testing::AssertionFailure() << shm::to_string(result.error());
}

template <typename T>
testing::AssertionResult fails_with(const shm::Result<T>& result, int code) {
  if (result) {
    return testing::AssertionFailure() << "succeeded";
  }
  return result.error().code == code
             ? testing::AssertionSuccess()
             : testing::AssertionFailure() << shm::to_string(result.error());
}

/// The value; a test in which there is none ends here.
template <typename T>
T must(shm::Result<T> result) {
  if (!result) {
    throw std::runtime_error(shm::to_string(result.error()));
  }
  if constexpr (!std::is_void_v<T>) {
    return std::move(*result);
  }
}

inline constexpr std::uint64_t kMiB = 1U << 20;
inline constexpr NodeId kUnknownNode = 999'999;  ///< no test has so many

/// A configuration with a name that nobody else has, and a mount point where nothing is ever
/// mounted.
MountConfig unique_config(std::uint64_t capacity_bytes = 64 * kMiB);

/// A store of its own, discarded at the end.
class TestStore {
 public:
  explicit TestStore(std::uint64_t capacity_bytes = 64 * kMiB)
      : TestStore(unique_config(capacity_bytes)) {}
  explicit TestStore(MountConfig config);
  TestStore(const TestStore&) = delete;
  TestStore& operator=(const TestStore&) = delete;
  ~TestStore();

  [[nodiscard]] const Store& get() const { return *store_; }
  [[nodiscard]] const MountConfig& config() const { return config_; }
  /// Lets go of the lock, as a daemon that ends does.
  void close() { store_.reset(); }
  void reopen() { store_.emplace(must(Store::open(config_))); }

  void write(const std::string& name, std::string_view bytes, mode_t mode = 0644) const;
  [[nodiscard]] std::string read(const std::string& name) const;
  [[nodiscard]] bool exists(const std::string& name) const;
  [[nodiscard]] shm::posix::Fd open(const std::string& name, int flags) const;
  [[nodiscard]] struct stat stat(const std::string& name) const;
  /// Of the store, as /proc/PID/maps shows it.
  [[nodiscard]] std::string device() const;

 private:
  MountConfig config_;
  std::optional<Store> store_;
};

/// A .npy file as NumPy writes it, its data zeros or `data`.
std::string npy_bytes(const std::string& dtype, const shm::Shape& shape, std::string_view data = {},
                      shm::Order order = shm::Order::kC);

/// Makes a whole array file and reports no data: the file is sparse.
void make_sparse_array(int dir_fd, const std::string& name, const std::string& dtype,
                       const shm::Shape& shape);

/// A new directory that is removed with all that it contains.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A child that does nothing until it is ended.
class IdleProcess {
 public:
  IdleProcess();
  IdleProcess(const IdleProcess&) = delete;
  IdleProcess& operator=(const IdleProcess&) = delete;
  ~IdleProcess() { end(); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Kills and reaps it.
  void end();

 private:
  pid_t pid_;
};

/// Descriptors that this process has open.
std::size_t open_descriptors();
bool is_root();

#define SKIP_UNLESS_ROOT(why)                \
  if (!is_root()) {                          \
    GTEST_SKIP() << "needs root: " << (why); \
  }                                          \
  static_assert(true, "ends with a semicolon")

}  // namespace arrayfs
