// Rows on modes, owners and times.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "parity.hpp"

namespace parity {
namespace {

constexpr uid_t kUser = 1234;
constexpr gid_t kGroup = 1234;
constexpr uid_t kOtherUser = 1235;
constexpr auto kKeepUser = static_cast<uid_t>(-1);
constexpr auto kKeepGroup = static_cast<gid_t>(-1);

void show_times(const char* path) {
  struct stat status {};
  lstat(path, &status);
  note(std::string(path) + ": atime " + std::to_string(status.st_atim.tv_sec) + "." +
       std::to_string(status.st_atim.tv_nsec) + " mtime " + std::to_string(status.st_mtim.tv_sec) +
       "." + std::to_string(status.st_mtim.tv_nsec));
}

ROW(ChangeMode) {
  make_file("f");
  CALL(mkdir("d", 0755));
  for (const mode_t mode : {0, 0644, 0777, 01777, 02755, 04755, 06711, 07777}) {
    note("mode " + std::to_string(mode));
    CALL(chmod("f", mode));
    show("f");
    CALL(chmod("d", mode));
    show("d");
  }
  CALL(chmod("missing", 0644));
  CALL(symlink("f", "l"));
  CALL(chmod("l", 0600));
  show("l");
  show("f");
  CALL(fchmodat(AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW));
  const int reader = CALL(open("f", O_RDONLY));
  CALL(fchmod(reader, 0640));
  show(reader);
}

ROW(ChangeModeAsAnotherUser) {
  make_file("f");
  as_user(kUser, kGroup, [] { CALL(chmod("f", 0777)); });
  CALL(chown("f", kUser, kOtherUser));
  as_user(kUser, kGroup, [] {
    CALL(chmod("f", 0640));
    // Not in the file's group: the setgid bit is not to be had.
    CALL(chmod("f", 06755));
    show("f");
  });
}

ROW(ChangeOwner) {
  make_file("f");
  CALL(chown("f", kUser, kGroup));
  show("f");
  CALL(chown("f", kKeepUser, 0));
  show("f");
  CALL(chown("f", kOtherUser, kKeepGroup));
  show("f");
  CALL(chown("f", kKeepUser, kKeepGroup));
  CALL(chown("missing", 0, 0));
  CALL(symlink("f", "l"));
  CALL(lchown("l", kUser, kGroup));
  show("l");
  show("f");
  CALL(mkdir("d", 0755));
  CALL(chown("d", kUser, kGroup));
  show("d");
  const int fd = CALL(open("f", O_RDONLY));
  CALL(fchown(fd, 0, 0));
  show(fd);
}

ROW(ChangeOwnerAsAnotherUser) {
  make_file("f");
  CALL(chown("f", kUser, kGroup));
  as_user(kUser, kGroup, [] {
    CALL(chown("f", kOtherUser, kKeepGroup));
    CALL(chown("f", kKeepUser, kOtherUser));
    CALL(chown("f", kKeepUser, kGroup));
    CALL(chown("f", kUser, kGroup));
  });
  as_user(kOtherUser, kGroup, [] { CALL(chown("f", kOtherUser, kKeepGroup)); });
  show("f");
}

ROW(ChangeOwnerDropsSetuid) {
  make_file("f");
  CALL(chmod("f", 06755));
  CALL(chown("f", kUser, kGroup));
  show("f");
  CALL(chmod("f", 06755));
  as_user(kUser, kGroup, [] { CALL(chown("f", kKeepUser, kGroup)); });
  show("f");
  CALL(mkdir("d", 0755));
  CALL(chmod("d", 06755));
  CALL(chown("d", kUser, kGroup));
  show("d");
}

/// Makes a file of an ordinary user with both bits, changes it as that user and shows what is left.
void change_setuid_file(mode_t mode, const std::function<void()>& change) {
  if (chmod(".", 0777) != 0) {
    note("cannot open the directory to all");
  }
  as_user(kUser, kGroup, [&] {
    make_file("f", "bytes");
    CALL(chmod("f", mode));
    change();
    show("f");
  });
}

ROW(WriteDropsSetuid) {
  change_setuid_file(06777, [] {
    const int fd = CALL(open("f", O_RDWR));
    CALL(pwrite(fd, "x", 1, 0));
  });
}

ROW(WriteKeepsSetgidWithoutExecution) {
  change_setuid_file(02767, [] {
    const int fd = CALL(open("f", O_RDWR));
    CALL(pwrite(fd, "x", 1, 0));
  });
}

ROW(TruncateDropsSetuid) {
  change_setuid_file(06777, [] { CALL(truncate("f", 3)); });
  change_setuid_file(06777, [] {
    const int fd = CALL(open("f", O_RDWR));
    CALL(ftruncate(fd, 2));
  });
}

ROW(OpenTruncateDropsSetuid) {
  change_setuid_file(06777, [] { CALL(open("f", O_WRONLY | O_TRUNC)); });
}

ROW(AllocateDropsSetuid) {
  change_setuid_file(06777, [] {
    const int fd = CALL(open("f", O_RDWR));
    CALL(fallocate(fd, 0, 0, 10));
  });
}

ROW(CopyFileRangeDropsSetuid) {
  change_setuid_file(06777, [] {
    make_file("from", "bytes");
    const int from = CALL(open("from", O_RDONLY));
    const int to = CALL(open("f", O_RDWR));
    CALL(copy_file_range(from, nullptr, to, nullptr, 5, 0));
  });
}

ROW(SetTimes) {
  make_file("f");
  CALL(mkdir("d", 0755));
  CALL(symlink("f", "l"));
  const timespec times[] = {{.tv_sec = 1'000'000'000, .tv_nsec = 123'456'789},
                            {.tv_sec = 1'500'000'000, .tv_nsec = 987'654'321}};
  CALL(utimensat(AT_FDCWD, "f", times, 0));
  CALL(utimensat(AT_FDCWD, "d", times, 0));
  CALL(utimensat(AT_FDCWD, "l", times, AT_SYMLINK_NOFOLLOW));
  CALL(utimensat(AT_FDCWD, "missing", times, 0));
  for (const char* path : {"f", "d", "l"}) {
    show_times(path);
  }
  const timespec only_mtime[] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, {.tv_sec = 7, .tv_nsec = 0}};
  CALL(utimensat(AT_FDCWD, "f", only_mtime, 0));
  show_times("f");
  const timespec neither[] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT},
                              {.tv_sec = 0, .tv_nsec = UTIME_OMIT}};
  CALL(utimensat(AT_FDCWD, "f", neither, 0));
  show_times("f");
  const timespec wrong[] = {{.tv_sec = 0, .tv_nsec = 1'000'000'000}, {.tv_sec = 0, .tv_nsec = 0}};
  CALL(utimensat(AT_FDCWD, "f", wrong, 0));
  const timespec before_1970[] = {{.tv_sec = -1, .tv_nsec = 5}, {.tv_sec = -100, .tv_nsec = 0}};
  CALL(utimensat(AT_FDCWD, "f", before_1970, 0));
  show_times("f");
  const timespec after_2038[] = {{.tv_sec = 5'000'000'000, .tv_nsec = 0},
                                 {.tv_sec = 5'000'000'000, .tv_nsec = 0}};
  const int fd = CALL(open("f", O_RDONLY));
  CALL(futimens(fd, after_2038));
  show_times("f");
  show_times_moved("f", "amc", [] { CALL(utimensat(AT_FDCWD, "f", nullptr, 0)); });
}

ROW(SetTimesAsAnotherUser) {
  make_file("f");
  CALL(chmod("f", 0666));
  as_user(kUser, kGroup, [] {
    const timespec times[] = {{.tv_sec = 1, .tv_nsec = 0}, {.tv_sec = 1, .tv_nsec = 0}};
    CALL(utimensat(AT_FDCWD, "f", times, 0));
    CALL(utimensat(AT_FDCWD, "f", nullptr, 0));
  });
  CALL(chmod("f", 0644));
  as_user(kUser, kGroup, [] { CALL(utimensat(AT_FDCWD, "f", nullptr, 0)); });
}

ROW(TimesOfAFile) {
  make_file("f", "bytes");
  static int fd = CALL(open("f", O_RDWR));
  show_times_moved("f", "mc", [] { CALL(pwrite(fd, "x", 1, 0)); });
  show_times_moved("f", "mc", [] { CALL(pwrite(fd, "x", 0, 0)); });
  show_times_moved("f", "mc", [] { CALL(ftruncate(fd, 100)); });
  show_times_moved("f", "mc", [] { CALL(ftruncate(fd, 100)); });
  show_times_moved("f", "mc", [] { CALL(truncate("f", 5)); });
  show_times_moved("f", "mc", [] { CALL(truncate("f", 5)); });
  show_times_moved("f", "mc", [] { CALL(open("f", O_WRONLY | O_TRUNC)); });
  show_times_moved("f", "mc", [] { CALL(open("f", O_WRONLY | O_TRUNC)); });
  show_times_moved("f", "mc", [] { CALL(fallocate(fd, 0, 0, 50)); });
  show_times_moved("f", "mc", [] { CALL(chmod("f", 0600)); });
  show_times_moved("f", "mc", [] { CALL(chown("f", kUser, kGroup)); });
  show_times_moved("f", "mc", [] { CALL(rename("f", "g")) == 0 ? CALL(rename("g", "f")) : 0; });
  show_times_moved("f", "mc", [] { CALL(open("f", O_RDONLY)); });
  show_times_moved("f", "mc", [] { CALL(fsync(fd)); });
}

ROW(TimesOfADirectory) {
  CALL(mkdir("d", 0755));
  show_times_moved("d", "mc", [] { make_file("d/f"); });
  show_times_moved("d", "mc", [] { make_file("d/f", "again"); });
  show_times_moved("d", "mc", [] { CALL(mkdir("d/d", 0755)); });
  show_times_moved("d", "mc", [] { CALL(symlink("x", "d/l")); });
  show_times_moved("d", "mc", [] { CALL(link("d/f", "d/g")); });
  show_times_moved("d", "mc", [] { CALL(rename("d/f", "d/h")); });
  show_times_moved("d", "mc", [] { CALL(unlink("d/h")); });
  show_times_moved("d", "mc", [] { CALL(rmdir("d/d")); });
  show_times_moved("d", "mc", [] { CALL(unlink("d/missing")); });
  show_times_moved("d", "mc", [] { CALL(chmod("d", 0700)); });
  show_times_moved("d", "mc", [] { show_list("d"); });
}

ROW(TimesOfAReader) {
  make_file("f", "bytes");
  show_times_moved("f", "a", [] { show_content("f"); });
}

ROW(StatOfEverything) {
  make_file("f", "bytes");
  struct stat status {};
  CALL(stat("f/x", &status));
  CALL(stat("missing", &status));
  CALL(stat("", &status));
  CALL(fstatat(AT_FDCWD, "f", &status, AT_SYMLINK_NOFOLLOW));
  CALL(fstatat(AT_FDCWD, "f", &status, 1 << 30));
  const int fd = CALL(open("f", O_RDONLY));
  struct stat by_descriptor {};
  CALL(fstatat(fd, "", &by_descriptor, AT_EMPTY_PATH));
  note(status.st_ino == by_descriptor.st_ino && status.st_dev == by_descriptor.st_dev
           ? "one inode"
           : "two inodes");
  CALL(mkdir("d", 0755));
  struct stat directory {};
  CALL(stat("d", &directory));
  note(status.st_dev == directory.st_dev ? "one file system" : "two file systems");
}

ROW(StatxMask) {
  make_file("f", "bytes");
  struct statx status {};
  CALL(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &status));
  note("basic stats " + std::to_string(status.stx_mask & STATX_BASIC_STATS));
  CALL(statx(AT_FDCWD, "f", 0, STATX__RESERVED, &status));
  CALL(statx(AT_FDCWD, "missing", 0, STATX_BASIC_STATS, &status));
}

// libfuse 3.14 has no statx operation, and the attributes of GETATTR have no birth time.
ROW_DIFFERS(StatxBirthTime, R"(statx(AT_FDCWD, "f", 0, STATX_BTIME, &status) = 0
no birth time
)") {
  make_file("f");
  struct statx status {};
  CALL(statx(AT_FDCWD, "f", 0, STATX_BTIME, &status));
  note((status.stx_mask & STATX_BTIME) != 0 ? "a birth time" : "no birth time");
}

}  // namespace
}  // namespace parity
