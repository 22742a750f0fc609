// What workers do to attributes, xattrs, lifetimes and locks, and the views that they read.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string>

#include "worker.hpp"

namespace stress {

void Worker::attributes() {
  const std::string path = any_name();
  struct stat st {};
  const timespec times[2] = {{0, UTIME_NOW}, {static_cast<time_t>(random_()), 0}};
  outcome(kStat, lstat(path.c_str(), &st) == 0, {ENOENT}, path);
  outcome(kChmod, chmod(path.c_str(), chance(2) ? 0644 : 0664) == 0, {ENOENT}, path);
  outcome(kUtimes, utimensat(AT_FDCWD, path.c_str(), times, 0) == 0, {ENOENT}, path);
  struct statvfs usage {};
  outcome(kStatFs, statvfs(directory_.c_str(), &usage) == 0, {}, directory_);
}

void Worker::xattrs() {
  const std::string path = any_name();
  const std::string name = "user.note-" + std::to_string(pick(3));
  const std::string set(1 + pick(200), static_cast<char>('a' + pick(26)));
  char value[512];
  char names[4096];
  outcome(kSetXattr, setxattr(path.c_str(), name.c_str(), set.data(), set.size(), 0) == 0, {ENOENT},
          path);
  const ssize_t size = getxattr(path.c_str(), name.c_str(), value, sizeof value);
  outcome(kGetXattr, size >= 0, {ENOENT, ENODATA}, path);
  if (size > 0 && std::count(value, value + size, value[0]) != size) {
    report(kGetXattr, path + ": a value that nobody set");
  }
  outcome(kGetXattr, getxattr(path.c_str(), "user.array.shape", value, sizeof value) >= 0,
          {ENOENT, ENODATA}, path);
  outcome(kListXattr, listxattr(path.c_str(), names, sizeof names) >= 0, {ENOENT}, path);
  outcome(kRemoveXattr, removexattr(path.c_str(), name.c_str()) == 0, {ENOENT, ENODATA}, path);
}

void Worker::lifetime() {
  const std::string path = chance(2) ? numbered("link-") : free_name();
  const char* ttl = chance(2) ? "1" : "1000";
  outcome(kTtl, setxattr(path.c_str(), "user.array.ttl", ttl, std::strlen(ttl), 0) == 0, {ENOENT},
          path);
  const std::string owner = std::to_string(getpid());
  const std::string owned = free_name();
  outcome(kOwner,
          setxattr(owned.c_str(), "user.array.owner_pid", owner.data(), owner.size(), 0) == 0,
          {ENOENT}, owned);
  if (chance(2)) {
    outcome(kOwner, removexattr(owned.c_str(), "user.array.owner_pid") == 0, {ENOENT, ENODATA},
            owned);
  }
}

void Worker::control() {
  const std::string control = directory_ + "/.arrayfs/";
  const std::string name = any_name().substr(directory_.size() + 1);
  const std::string path = chance(3)   ? control + "status"
                           : chance(2) ? control + "info/" + name
                                       : control + "json/" + name + ".json";
  const Fd fd = open_file(kControl, path, O_RDONLY, {ENOENT});
  char text[4096];
  if (fd.valid()) {
    outcome(kControl, read(fd.get(), text, sizeof text) > 0, {}, path);
  }
}

void Worker::lock_file() {
  const std::string path = any_name();
  const Fd fd = open_file(kLock, path, O_RDONLY, {ENOENT});
  if (!fd.valid()) {
    return;
  }
  outcome(kLock, flock(fd.get(), LOCK_EX | LOCK_NB) == 0, {EWOULDBLOCK}, path);
  struct flock range {};
  range.l_type = F_RDLCK;
  range.l_whence = SEEK_SET;
  outcome(kLock, fcntl(fd.get(), F_OFD_SETLK, &range) == 0, {EAGAIN}, path);
}

}  // namespace stress
