#include "mount_point.hpp"

#include <fcntl.h>
#include <mntent.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <shm/posix.hpp>

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

void each_mount(const std::function<void(const mntent&)>& visit) {
  const std::unique_ptr<FILE, decltype(&endmntent)> table(setmntent("/proc/self/mounts", "r"),
                                                          &endmntent);
  while (const mntent* entry = table ? getmntent(table.get()) : nullptr) {
    visit(*entry);
  }
}

// Runs fusermount3; what it says on stderr is why it failed.
Result<void> fusermount(const std::string& path, bool lazily) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return shm::posix::fail_errno("pipe");
  }
  const shm::posix::Fd reading(ends[0]);
  shm::posix::Fd writing(ends[1]);
  const pid_t child = fork();
  if (child == 0) {
    dup2(writing.get(), STDERR_FILENO);
    execlp("fusermount3", "fusermount3", lazily ? "-uz" : "-u", "--", path.c_str(), nullptr);
    _exit(127);
  }
  writing.reset();
  std::string said(512, '\0');
  const ssize_t size = read(reading.get(), said.data(), said.size());
  said.resize(size > 0 ? static_cast<size_t>(size) : 0);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    return shm::posix::fail_errno("fusermount3");
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return {};
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    return fail(ENOENT, "fusermount3: install the package fuse3");
  }
  const bool busy = said.find("busy") != std::string::npos;
  return fail(busy ? EBUSY : EPERM, said.substr(0, said.find('\n')));
}

}  // namespace

std::vector<MountEntry> arrayfs_mounts() {
  std::vector<MountEntry> mounts;
  each_mount([&](const mntent& entry) {
    const std::string_view source(entry.mnt_fsname);
    if (std::strcmp(entry.mnt_type, "fuse.arrayfs") == 0 && source.starts_with(kMountSource)) {
      mounts.push_back({entry.mnt_dir, std::string(source.substr(std::strlen(kMountSource)))});
    }
  });
  return mounts;
}

bool is_mountpoint(const std::string& path) {
  bool found = false;
  each_mount([&](const mntent& entry) { found = found || path == entry.mnt_dir; });
  return found;
}

Result<void> unmount(const std::string& path, bool lazily) {
  if (geteuid() != 0) {
    return fusermount(path, lazily);
  }
  if (umount2(path.c_str(), UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0)) != 0) {
    return shm::posix::fail_errno(path);
  }
  return {};
}

void clean_stale_mount(const std::string& path) {
  // stat would be answered from the kernel's cache for a while, statfs always asks.
  struct statfs usage {};
  if (statfs(path.c_str(), &usage) != 0 && errno == ENOTCONN) {
    static_cast<void>(unmount(path, true));  // what still stands is reported by who mounts next
  }
}

}  // namespace arrayfs
