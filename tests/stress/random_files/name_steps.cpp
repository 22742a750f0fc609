// What workers do to names and directories.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "worker.hpp"

namespace stress {

void Worker::link_whole() {
  const std::string from = numbered("whole-");
  const std::string to = numbered("link-");
  outcome(kLink, link(from.c_str(), to.c_str()) == 0, {ENOENT, EEXIST}, to);
}

void Worker::unlink_any() {
  const std::string path = any_name();
  outcome(kUnlink, unlink(path.c_str()) == 0, {ENOENT}, path);
}

void Worker::rename_locked() {
  const Name from = locked_name();
  const Name to = locked_name();
  const bool same_kind = (from.lock < kNames) == (to.lock < kNames);
  const Turn first(shared_, from.lock);
  if (!same_kind || from.lock == to.lock || !first.taken()) {
    return;
  }
  const Turn second(shared_, to.lock);
  if (!second.taken()) {
    return;
  }
  constexpr std::array<unsigned, 3> kFlags{0, RENAME_NOREPLACE, RENAME_EXCHANGE};
  const unsigned flags = kFlags[pick(3)];
  const int result = renameat2(AT_FDCWD, from.path.c_str(), AT_FDCWD, to.path.c_str(), flags);
  outcome(flags == RENAME_EXCHANGE ? kExchange : kRename, result == 0, {ENOENT, EEXIST}, to.path);
}

void Worker::rename_free() {
  const bool links = chance(3);
  const std::string from = links ? numbered("link-") : free_name();
  const std::string to = links ? numbered("link-") : free_name();
  outcome(kRename, rename(from.c_str(), to.c_str()) == 0, {ENOENT}, to);
}

void Worker::make_directory() {
  const std::string path = numbered("dir-");
  outcome(kMakeDir, mkdir(path.c_str(), 0755) == 0, {EEXIST}, path);
}

void Worker::remove_directory() {
  const std::string path = numbered("dir-");
  outcome(kRemoveDir, rmdir(path.c_str()) == 0, {ENOENT, ENOTEMPTY}, path);
}

void Worker::list_directory() {
  const std::string path = chance(2) ? directory_ : numbered("dir-");
  DIR* directory = opendir(path.c_str());
  if (!outcome(kList, directory != nullptr, {ENOENT}, path)) {
    return;
  }
  errno = 0;
  bool dot = false;
  while (const dirent* entry = readdir(directory)) {
    dot = dot || std::strcmp(entry->d_name, ".") == 0;
  }
  // A directory that was removed meanwhile is empty, or gone.
  outcome(kList, errno == 0, {ENOENT}, path);
  closedir(directory);
}

void Worker::symbolic_link() {
  const std::string path = numbered("symlink-");
  if (chance(2)) {
    const std::string target = "whole-" + std::to_string(pick(kNames));
    outcome(kSymlink, symlink(target.c_str(), path.c_str()) == 0, {EEXIST}, path);
  } else if (chance(2)) {
    outcome(kUnlink, unlink(path.c_str()) == 0, {ENOENT}, path);
  } else {
    char target[64];
    const ssize_t size = readlink(path.c_str(), target, sizeof target);
    if (outcome(kReadLink, size >= 0, {ENOENT}, path) &&
        (size != 7 || std::memcmp(target, "whole-", 6) != 0)) {
      report(kReadLink, path + ": another target than was made");
    }
  }
}

}  // namespace stress
