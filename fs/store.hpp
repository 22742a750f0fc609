// The store: the directory whose files are the arrays' memory.
//
// For root a private tmpfs at /run/arrayfs/NAME (mode 0700, nosuid, nodev, noexec, huge pages); for
// an ordinary user a private directory /dev/shm/arrayfs-UID/NAME; or any directory (`--store`).
// Below it are `arrays`, the root of what the mount shows, and `private`, where files are made
// before they get their name. The store outlives the daemon: open() adopts what it finds. One
// daemon at a time holds it (flock). Immutable after open(), usable from any thread.
#pragma once

#include <sys/statvfs.h>

#include <array>
#include <cstdint>
#include <shm/error.hpp>
#include <shm/posix.hpp>
#include <string>

#include "mount_config.hpp"

namespace arrayfs {

class Store {
 public:
  /// Makes or adopts the store that `config` names and locks it.
  /// Errors: EBUSY when another daemon holds it, EPERM, those of mount(2) and mkdir(2).
  [[nodiscard]] static shm::Result<Store> open(const MountConfig& config);

  /// The store behind the descriptors() of another program's, which holds the lock with them.
  [[nodiscard]] static shm::Result<Store> adopt(const MountConfig& config,
                                                std::array<int, 3> descriptors);
  /// Nothing: what is assigned to a store that is to let go of its lock.
  [[nodiscard]] static Store none() { return {}; }
  /// What the store is reached by: its directory, which holds the lock, the root of the arrays, and
  /// the private directory.
  [[nodiscard]] std::array<int, 3> descriptors() const {
    return {base_.get(), root_.get(), private_.get()};
  }

  /// Frees the arrays of the store that `config` names: unmounts the tmpfs or removes the
  /// directory. Of a `--store` directory only what is private is. Live mappings keep their pages.
  /// Errors: EBUSY when a daemon holds it, ENOENT when there is none.
  [[nodiscard]] static shm::Result<void> discard(const MountConfig& config);

  /// Where open() would put the store.
  [[nodiscard]] static std::string directory(const MountConfig& config);

  [[nodiscard]] int root_fd() const { return root_.get(); }
  [[nodiscard]] int private_fd() const { return private_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// `private tmpfs, huge=within_size`, `directory /data on ext4`, ...
  [[nodiscard]] const std::string& description() const { return description_; }
  /// Prefix of this project's own xattrs on the backing files: `user.` where the store has user
  /// xattrs, `trusted.` where only those exist (tmpfs before Linux 6.6), empty where neither.
  [[nodiscard]] const std::string& xattr_prefix() const { return xattr_prefix_; }
  /// Whether the store's file system limits it by itself: a private tmpfs, or a given directory.
  [[nodiscard]] bool has_size() const { return has_size_; }
  /// Whether nobody but this mount changes the files: not so for a given directory.
  [[nodiscard]] bool is_private() const { return is_private_; }
  [[nodiscard]] bool adopted() const { return adopted_; }
  /// What backing files may be stacked on: 1, or 2 when the store lies on overlayfs.
  [[nodiscard]] std::uint32_t stack_depth() const { return stack_depth_; }

  [[nodiscard]] shm::Result<struct statvfs> usage() const;

 private:
  Store() = default;
  void describe(const MountConfig& config);

  shm::posix::Fd base_;  ///< holds the lock
  shm::posix::Fd root_;
  shm::posix::Fd private_;
  std::string path_;
  std::string description_;
  std::string xattr_prefix_;
  bool adopted_ = false;
  bool has_size_ = true;
  bool is_private_ = true;
  std::uint32_t stack_depth_ = 1;
};

}  // namespace arrayfs
