// Removes files whose lifetime is over.
//
// One thread that sleeps until the next deadline or the end of an owner. It removes the name in the
// store itself and then tells `removed`, on its own thread. Live mappings keep the file's pages.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <shm/posix.hpp>
#include <string>
#include <thread>

#include "lifetime.hpp"
#include "store.hpp"

namespace arrayfs {

class Reaper {
 public:
  /// What was removed: the inode of the directory, the name within it, and the file.
  struct Removal {
    std::uint64_t parent_ino;
    std::string name;
    std::uint64_t ino;
    bool last_name;
    std::uint64_t sync_page_ino;  ///< of its sync page, which went with it; 0: none
  };
  using Removed = std::function<void(const Removal&)>;

  /// Finds the limited files that are in the store already, then watches.
  Reaper(const Store& store, Removed removed);
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;
  ~Reaper();

  /// The lifetime of the file behind `path_fd` (O_PATH) was set or changed. From any thread.
  void watch(shm::posix::Fd path_fd);

 private:
  struct Watched {
    shm::posix::Fd path_fd;
    Lifetime lifetime;
    shm::posix::Fd owner;  ///< pidfd
    int link_watch = -1;   ///< of links_
  };

  void run();
  void adopt_store();
  void take_in(shm::posix::Fd path_fd);
  [[nodiscard]] int wait_for_event();
  void let_go_of_nameless();
  void forget(std::uint64_t ino);
  void reap();
  void remove(const Watched& file, const std::string& reason);

  const Store& store_;
  Removed removed_;
  shm::posix::Fd wake_;   ///< eventfd
  shm::posix::Fd links_;  ///< inotify: readable when a watched file may have lost a name
  std::mutex mutex_;
  std::vector<shm::posix::Fd> arrived_;  ///< under mutex_
  std::atomic<bool> stopping_{false};
  std::map<std::uint64_t, Watched> watched_;  ///< by inode; of the thread alone
  std::thread thread_;
};

}  // namespace arrayfs
