#include "parity.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <tuple>

#include "transcript.hpp"

namespace parity {
namespace {

[[noreturn]] void give_up(const std::string& what) {
  note("cannot go on: " + what + ": " + strerrorname_np(errno));
  _exit(1);
}

template <typename... Arguments>
std::string format(const char* text, Arguments... arguments) {
  std::array<char, 256> line{};
  std::snprintf(line.data(), line.size(), text, arguments...);
  return line.data();
}

const char* type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "file";
    case S_IFDIR:
      return "directory";
    case S_IFLNK:
      return "symlink";
    case S_IFIFO:
      return "fifo";
    case S_IFSOCK:
      return "socket";
    case S_IFCHR:
      return "character device";
    default:
      return "other";
  }
}

std::string describe(const struct stat& status) {
  return format("%s %04o links %lu owner %u:%u size %lld device %u:%u", type_of(status.st_mode),
                status.st_mode & 07777, static_cast<unsigned long>(status.st_nlink), status.st_uid,
                status.st_gid, static_cast<long long>(status.st_size), major(status.st_rdev),
                minor(status.st_rdev));
}

/// Returns when a change of a file from now on gets a later time stamp than one before. Since Linux
/// 6.13 a stamp may be finer than the coarse clock, which then has to get past it.
void next_clock_tick() {
  timespec start{};
  timespec coarse{};
  clock_gettime(CLOCK_REALTIME, &start);
  do {
    clock_gettime(CLOCK_REALTIME_COARSE, &coarse);
  } while (std::tie(coarse.tv_sec, coarse.tv_nsec) <= std::tie(start.tv_sec, start.tv_nsec));
}

bool same_time(const timespec& one, const timespec& other) {
  return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
}

}  // namespace

std::vector<Row>& rows() {
  static std::vector<Row> all;
  return all;
}

bool add_row(const Row& row) {
  rows().push_back(row);
  return true;
}

void note(const std::string& line) {
  const std::string whole = line + "\n";
  if (write(kTranscriptFd, whole.data(), whole.size()) != static_cast<ssize_t>(whole.size())) {
    _exit(1);
  }
}

void note_result(const char* call, long result, int error) {
  note(std::string(call) + " = " + std::to_string(result) +
       (result == -1 ? std::string(" ") + strerrorname_np(error) : ""));
}

void make_file(const char* path, std::string_view content) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size()) ||
      close(fd) != 0) {
    give_up(std::string("make_file ") + path);
  }
}

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>('!' + (i * 7 + i / 93) % 93);
  }
  return bytes;
}

void show(const char* path) {
  struct stat status {};
  const bool exists = lstat(path, &status) == 0;
  note(std::string(path) + ": " + (exists ? describe(status) : strerrorname_np(errno)));
}

void show(int fd) {
  struct stat status {};
  const bool exists = fstat(fd, &status) == 0;
  note("descriptor: " + (exists ? describe(status) : std::string(strerrorname_np(errno))));
}

void show_content(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    note(std::string(path) + ": cannot read: " + strerrorname_np(errno));
    return;
  }
  std::string bytes;
  std::array<char, 65536> block{};
  for (ssize_t got = 0; (got = read(fd, block.data(), block.size())) > 0;) {
    bytes.append(block.data(), static_cast<std::size_t>(got));
  }
  close(fd);
  constexpr std::size_t kShown = 64;
  const bool printable =
      std::all_of(bytes.begin(), bytes.end(), [](char c) { return c >= ' ' && c <= '~'; });
  note(std::string(path) + ": " + std::to_string(bytes.size()) + " bytes " +
       (printable && bytes.size() <= kShown
            ? '"' + bytes + '"'
            : "hash " + std::to_string(std::hash<std::string>{}(bytes))));
}

void show_list(const char* path) {
  DIR* directory = opendir(path);
  if (directory == nullptr) {
    note(std::string(path) + ": cannot list: " + strerrorname_np(errno));
    return;
  }
  std::vector<std::string> entries;
  while (const dirent* entry = readdir(directory)) {
    entries.push_back(std::string(entry->d_name) + " (" + type_of(DTTOIF(entry->d_type)) + ")");
  }
  closedir(directory);
  std::sort(entries.begin(), entries.end());
  note(std::string(path) + " lists " + std::to_string(entries.size()));
  for (const std::string& entry : entries) {
    note("  " + entry);
  }
}

bool same_inode(const char* one, const char* other) {
  struct stat first {};
  struct stat second {};
  return lstat(one, &first) == 0 && lstat(other, &second) == 0 && first.st_ino == second.st_ino &&
         first.st_dev == second.st_dev;
}

void show_times_moved(const char* path, std::string_view times,
                      const std::function<void()>& change) {
  constexpr timespec kLongAgo{.tv_sec = 1'000'000'000, .tv_nsec = 123'456'789};
  const timespec set[] = {kLongAgo, kLongAgo};
  struct stat before {};
  struct stat after {};
  if (utimensat(AT_FDCWD, path, set, 0) != 0 || stat(path, &before) != 0) {
    give_up(std::string("show_times_moved ") + path);
  }
  next_clock_tick();
  change();
  if (stat(path, &after) != 0) {
    give_up(std::string("show_times_moved ") + path);
  }
  std::string line = std::string(path) + ": moved";
  const auto compare = [&](char letter, const char* field, timespec was, timespec is) {
    if (times.find(letter) != std::string_view::npos && !same_time(was, is)) {
      line += std::string(" ") + field;
    }
  };
  compare('a', "atime", before.st_atim, after.st_atim);
  compare('m', "mtime", before.st_mtim, after.st_mtim);
  compare('c', "ctime", before.st_ctim, after.st_ctim);
  note(line);
}

void in_child(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    give_up("in_child");
  }
  if (WIFSIGNALED(status)) {
    note(std::string("child died: SIG") + sigabbrev_np(WTERMSIG(status)));
  }
}

void as_user(uid_t user, gid_t group, const std::function<void()>& body) {
  as_user_in_groups(user, group, {}, body);
}

void as_user_in_groups(uid_t user, gid_t group, const std::vector<gid_t>& groups,
                       const std::function<void()>& body) {
  in_child([&] {
    if (setgroups(groups.size(), groups.data()) != 0 || setresgid(group, group, group) != 0 ||
        setresuid(user, user, user) != 0) {
      give_up("as_user");
    }
    body();
  });
}

}  // namespace parity
