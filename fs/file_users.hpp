// Who uses which files of a mount, as /proc tells: the processes that have one open or mapped, and
// those that keep a mount busy.
//
// A daemon or command of root sees every process, others see those of their user. Nothing is
// opened or asked on the mount itself, so the daemon may ask about its own files.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "processes.hpp"

namespace arrayfs {

struct FileUser {
  pid_t pid = 0;
  std::string command;
  bool writable = false;  ///< its mapping is shared and writable, or it has the file open so
};

/// Both in the order of the pids.
struct UsersOfFile {
  std::vector<FileUser> open_by;
  std::vector<FileUser> mapped_by;
};

/// The users of all files of one device. To look through every process takes milliseconds, so what
/// was seen serves for `kMaxAge`, unless changed() said meanwhile that it is out of date.
/// May be used by several threads.
class FileUsers {
 public:
  static constexpr std::chrono::milliseconds kMaxAge{50};

  /// `device` is as in /proc/PID/maps: `00:2a`.
  explicit FileUsers(std::string device) : device_(std::move(device)) {}

  /// The users of inode `ino`. A process that ends meanwhile may be missing.
  [[nodiscard]] UsersOfFile of(std::uint64_t ino);

  /// Somebody opened or closed a file.
  void changed() { ++changes_; }

 private:
  using Clock = std::chrono::steady_clock;

  const std::string device_;
  std::mutex mutex_;
  std::map<std::uint64_t, UsersOfFile> users_;  // by inode
  Clock::time_point seen_at_;
  std::uint64_t changes_seen_ = 0;
  std::atomic<std::uint64_t> changes_ = 1;
};

/// `pid 12 (python3, writes), pid 15 (bash, reads)`; `nobody` when the list is empty.
[[nodiscard]] std::string describe(const std::vector<FileUser>& users);

/// The processes that have a file, a mapping or their working directory at or below `path`.
[[nodiscard]] std::vector<Process> users_of(const std::string& path);

/// `pid 12 (python3), pid 15 (bash)`; `somebody` when the list is empty.
[[nodiscard]] std::string describe(const std::vector<Process>& processes);

/// The device of what is mounted at `mountpoint`, as in /proc/PID/maps; empty when nothing is.
[[nodiscard]] std::string device_of_mount(const std::string& mountpoint);

}  // namespace arrayfs
