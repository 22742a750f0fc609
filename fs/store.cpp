#include "store.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "sync_pages.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;
using shm::posix::fail_errno;
using shm::posix::Fd;

constexpr char kRootBase[] = "/run/arrayfs";
constexpr char kArraysDir[] = "arrays";
constexpr char kPrivateDir[] = "private";
constexpr char kDirectoryPrivate[] = ".arrayfs";  // hidden by the control tree of that name

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

// Makes `path` or takes it as it is, provided that it is ours and nobody else can enter it.
Result<void> make_private_directory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno("store " + path);
  }
  const auto st = shm::posix::stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
  if (!st) {
    return tl::unexpected(st.error());
  }
  if (!S_ISDIR(st->st_mode) || st->st_uid != geteuid() || (st->st_mode & 077) != 0) {
    return fail(EPERM, "store " + path + ": must be a directory of uid " +
                           std::to_string(geteuid()) + " with mode 0700; move it away");
  }
  return {};
}

bool is_mounted_tmpfs(const std::string& path, const std::string& parent) {
  struct statfs fs {};
  struct stat st {};
  struct stat above {};
  return statfs(path.c_str(), &fs) == 0 && fs.f_type == TMPFS_MAGIC &&
         stat(path.c_str(), &st) == 0 && stat(parent.c_str(), &above) == 0 &&
         st.st_dev != above.st_dev;
}

// The directory of the store and the one that holds all stores, which goes with the last of them:
// it may do so between the two steps.
Result<void> make_store_directory(const std::string& path) {
  Result<void> made;
  do {
    made = make_private_directory(parent_of(path)).and_then([&] {
      return make_private_directory(path);
    });
  } while (!made && made.error().code == ENOENT);
  return made;
}

constexpr unsigned long kTmpfsFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

// A daemon that was killed holds its lock until the last of its threads is gone.
bool lock_store(int base) {
  constexpr int kTries = 100;
  constexpr timespec kPause{0, 10'000'000};
  for (int i = 0; i < kTries; ++i) {
    if (flock(base, LOCK_EX | LOCK_NB) == 0) {
      return true;
    }
    nanosleep(&kPause, nullptr);
  }
  return false;
}

std::string size_option(const MountConfig& config) {
  return "size=" + std::to_string(config.capacity_bytes);
}

Result<void> mount_private_tmpfs(const std::string& path, const MountConfig& config) {
  std::string options = "mode=0700,inode64," + size_option(config);
  const std::string huge = options + ",huge=" + config.huge;
  if (mount("arrayfs-store", path.c_str(), "tmpfs", kTmpfsFlags, huge.c_str()) == 0) {
    return {};
  }
  // A kernel without transparent huge pages knows no huge=; one before 5.9 no inode64.
  options = "mode=0700," + size_option(config);
  if (errno != EINVAL ||
      mount("arrayfs-store", path.c_str(), "tmpfs", kTmpfsFlags, options.c_str()) != 0) {
    auto failed = fail_errno("store " + path + ": cannot mount a tmpfs");
    rmdir(path.c_str());
    return failed;
  }
  return {};
}

// Gives the tmpfs of an earlier daemon the size asked for.
Result<void> resize_private_tmpfs(const std::string& path, const MountConfig& config) {
  if (mount("arrayfs-store", path.c_str(), "tmpfs", MS_REMOUNT | kTmpfsFlags,
            size_option(config).c_str()) != 0) {
    return fail_errno("store " + path +
                      ": cannot shrink below what its arrays use; give a larger --size");
  }
  return {};
}

Result<Fd> open_subdirectory(int base, const char* name, mode_t mode) {
  // The root directory's mode is set after mkdir, which would apply the umask.
  const bool made = mkdirat(base, name, 0700) == 0;
  if (!made && errno != EEXIST) {
    return fail_errno(std::string("store: mkdir ") + name);
  }
  auto fd = shm::posix::open_at(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (fd && made && fchmod(fd->get(), mode) != 0) {
    return fail_errno(std::string("store: chmod ") + name);
  }
  return fd;
}

// The mode is in force for nobody else before the owner is.
Result<void> give_to(const RootOwner& owner, mode_t mode, int root) {
  if (fchmod(root, 0) != 0 || fchown(root, owner.uid.value_or(-1U), owner.gid.value_or(-1U)) != 0 ||
      fchmod(root, mode) != 0) {
    return fail_errno("store: --owner");
  }
  return {};
}

std::string huge_page_option(const std::string& path) {
  const std::unique_ptr<FILE, decltype(&endmntent)> table(setmntent("/proc/self/mounts", "r"),
                                                          &endmntent);
  std::string value = "never";
  mntent entry{};
  char buffer[8192];
  while (table && getmntent_r(table.get(), &entry, buffer, sizeof buffer) != nullptr) {
    const char* option = path == entry.mnt_dir ? hasmntopt(&entry, "huge") : nullptr;
    if (option != nullptr) {
      const std::string_view rest = option + std::strlen("huge=");
      value = rest.substr(0, rest.find(','));
    }
  }
  return value;
}

std::string probe_xattr_prefix(int private_fd) {
  for (const char* prefix : {"user.", "trusted."}) {
    const std::string name = std::string(prefix) + "array.probe";
    if (fsetxattr(private_fd, name.c_str(), "1", 1, 0) == 0) {
      fremovexattr(private_fd, name.c_str());
      return prefix;
    }
  }
  return {};
}

}  // namespace

std::string Store::directory(const MountConfig& config) {
  if (!config.store_dir.empty()) {
    return config.store_dir;
  }
  if (geteuid() == 0) {
    return std::string(kRootBase) + "/" + config.name;
  }
  return "/dev/shm/arrayfs-" + std::to_string(geteuid()) + "/" + config.name;
}

Result<Store> Store::open(const MountConfig& config) {
  Store store;
  store.path_ = directory(config);
  const bool given = !config.store_dir.empty();
  const bool tmpfs = !given && geteuid() == 0;
  if (!given) {
    if (auto made = make_store_directory(store.path_); !made) {
      return tl::unexpected(made.error());
    }
  }
  const bool mounted = tmpfs && is_mounted_tmpfs(store.path_, kRootBase);
  if (tmpfs && !mounted) {
    if (auto made = mount_private_tmpfs(store.path_, config); !made) {
      return tl::unexpected(made.error());
    }
  }

  auto base = shm::posix::open_at(AT_FDCWD, store.path_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!base) {
    return tl::unexpected(base.error());
  }
  store.base_ = std::move(*base);
  if (!lock_store(store.base_.get())) {
    return fail(EBUSY, "store " + store.path_ +
                           ": another arrayfs serves it; unmount that one or give another --name");
  }
  if (mounted) {
    if (auto resized = resize_private_tmpfs(store.path_, config); !resized) {
      return tl::unexpected(resized.error());
    }
  }

  auto private_dir =
      open_subdirectory(store.base_.get(), given ? kDirectoryPrivate : kPrivateDir, 0700);
  if (!private_dir) {
    return tl::unexpected(private_dir.error());
  }
  store.private_ = std::move(*private_dir);
  struct stat before {};
  const bool had_arrays = fstatat(store.base_.get(), kArraysDir, &before, 0) == 0;
  auto root = given ? shm::posix::open_at(store.base_.get(), ".", O_RDONLY | O_DIRECTORY)
                    : open_subdirectory(store.base_.get(), kArraysDir, config.root_mode);
  if (!root) {
    return tl::unexpected(root.error());
  }
  store.root_ = std::move(*root);
  store.adopted_ = given || had_arrays;
  if (config.owner) {
    if (auto done = give_to(*config.owner, config.root_mode, store.root_.get()); !done) {
      return tl::unexpected(done.error());
    }
  }
  store.describe(config);
  remove_orphaned_sync_pages(store);
  return store;
}

Result<Store> Store::adopt(const MountConfig& config, std::array<int, 3> descriptors) {
  for (const int fd : descriptors) {
    if (auto st = shm::posix::stat_fd(fd); !st) {
      return tl::unexpected(st.error());
    }
  }
  Store store;
  store.path_ = directory(config);
  store.base_ = Fd(descriptors[0]);
  store.root_ = Fd(descriptors[1]);
  store.private_ = Fd(descriptors[2]);
  store.adopted_ = true;
  store.describe(config);
  return store;
}

// Everything that follows from where the store is.
void Store::describe(const MountConfig& config) {
  const bool given = !config.store_dir.empty();
  const bool tmpfs = !given && geteuid() == 0;
  has_size_ = given || tmpfs;
  is_private_ = !given;
  xattr_prefix_ = probe_xattr_prefix(private_.get());
  struct statfs fs {};
  if (fstatfs(base_.get(), &fs) == 0 && fs.f_type == OVERLAYFS_SUPER_MAGIC) {
    stack_depth_ = 2;
  }
  description_ = tmpfs ? "private tmpfs, huge=" + huge_page_option(path_) : "directory " + path_;
}

Result<void> Store::discard(const MountConfig& config) {
  const std::string path = directory(config);
  const auto base = shm::posix::open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!base) {
    return tl::unexpected(base.error());
  }
  if (flock(base->get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(EBUSY, "store " + path + ": still in use by an arrayfs; unmount it first");
  }
  if (!config.store_dir.empty()) {
    std::error_code error;
    std::filesystem::remove_all(path + "/" + kDirectoryPrivate, error);
    return {};
  }
  if (geteuid() == 0) {
    // Lazily: mappings that still live keep their pages until they go.
    if (umount2(path.c_str(), MNT_DETACH) != 0 && errno != EINVAL) {
      return fail_errno("store " + path);
    }
    if (rmdir(path.c_str()) != 0) {
      return fail_errno("store " + path);
    }
  } else {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) {
      return fail(error.value(), "store " + path);
    }
  }
  rmdir(parent_of(path).c_str());  // which other stores may still need
  return {};
}

Result<struct statvfs> Store::usage() const {
  struct statvfs usage {};
  if (fstatvfs(root_.get(), &usage) != 0) {
    return fail_errno("store " + path_);
  }
  return usage;
}

}  // namespace arrayfs
