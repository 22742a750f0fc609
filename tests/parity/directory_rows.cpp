// Rows on directories, links and names.

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <set>
#include <string>

#include "parity.hpp"

namespace parity {
namespace {

constexpr uid_t kUser = 1234;
constexpr uid_t kOtherUser = 1235;
constexpr gid_t kGroup = 1234;

ROW(MakeDirectory) {
  CALL(mkdir("d", 0750));
  show("d");
  CALL(mkdir("d", 0750));
  CALL(mkdir("d/inner", 0700));
  show("d");
  CALL(mkdir("missing/d", 0755));
  make_file("f");
  CALL(mkdir("f", 0755));
  CALL(mkdir("f/d", 0755));
  CALL(mkdir(".", 0755));
  CALL(mkdir("..", 0755));
  CALL(mkdir("d/", 0755));
  CALL(mkdir("slash/", 0755));
  CALL(mkdir("", 0755));
  CALL(mkdir("special", 07777));
  show("special");
  CALL(symlink("nowhere", "dangling"));
  CALL(mkdir("dangling", 0755));
  show(".");
  show_list(".");
}

ROW(RemoveDirectory) {
  CALL(rmdir("missing"));
  make_file("f");
  CALL(rmdir("f"));
  CALL(mkdir("full", 0755));
  make_file("full/f");
  CALL(rmdir("full"));
  CALL(mkdir("empty", 0755));
  CALL(symlink("empty", "l"));
  CALL(rmdir("l"));
  CALL(rmdir("l/"));
  CALL(rmdir("."));
  CALL(rmdir("full/.."));
  CALL(rmdir("empty/."));
  CALL(rmdir("empty"));
  show(".");
  show_list(".");
}

ROW(RemovedDirectoryInUse) {
  CALL(mkdir("d", 0755));
  const int fd = CALL(open("d", O_RDONLY | O_DIRECTORY));
  CALL(rmdir("d"));
  show(fd);
  CALL(openat(fd, "f", O_RDWR | O_CREAT, 0644));
  CALL(mkdirat(fd, "d", 0755));
  CALL(faccessat(fd, ".", F_OK, 0));
  CALL(fchdir(fd));
  show_list(".");
  CALL(getcwd(nullptr, 0) == nullptr ? -1 : 0);
}

ROW(Unlink) {
  CALL(unlink("missing"));
  make_file("f");
  CALL(unlink("f/x"));
  CALL(unlink("f/"));
  CALL(unlink("f"));
  show("f");
  CALL(mkdir("d", 0755));
  CALL(unlink("d"));
  CALL(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
  CALL(symlink("nowhere", "l"));
  CALL(unlink("l"));
  CALL(unlink("."));
  CALL(unlink(""));
  show_list(".");
}

ROW(UnlinkWhileOpen) {
  make_file("f", "still here");
  const int fd = CALL(open("f", O_RDWR));
  CALL(unlink("f"));
  show(fd);
  show("f");
  char bytes[11] = {};
  CALL(pread(fd, bytes, 10, 0));
  note(bytes);
  CALL(pwrite(fd, "STILL", 5, 0));
  CALL(ftruncate(fd, 100));
  CALL(fchmod(fd, 0600));
  CALL(fchown(fd, kUser, kGroup));
  show(fd);
  make_file("f", "a new one");
  show_content("f");
  CALL(pread(fd, bytes, 10, 0));
  note(bytes);
  const std::string again = "/proc/self/fd/" + std::to_string(fd);
  CALL(open(again.c_str(), O_RDONLY));
  CALL(linkat(AT_FDCWD, again.c_str(), AT_FDCWD, "revived", AT_SYMLINK_FOLLOW));
}

ROW(Link) {
  make_file("f", "linked");
  CALL(link("f", "g"));
  show("f");
  note(same_inode("f", "g") ? "one inode" : "two inodes");
  CALL(link("f", "g"));
  CALL(link("missing", "h"));
  CALL(mkdir("d", 0755));
  CALL(link("d", "e"));
  CALL(link("f", "d/f"));
  CALL(link("f", "missing/f"));
  CALL(link("f", "h/"));
  CALL(symlink("f", "l"));
  CALL(linkat(AT_FDCWD, "l", AT_FDCWD, "l2", 0));
  CALL(linkat(AT_FDCWD, "l", AT_FDCWD, "f2", AT_SYMLINK_FOLLOW));
  CALL(mkfifo("p", 0600));
  CALL(link("p", "p2"));
  show("p2");
  show("f");
  CALL(unlink("f"));
  show("g");
  show_content("d/f");
  CALL(link("f2", "/sys/f"));
  show_list(".");
}

ROW(LinkSharesEverything) {
  make_file("f", "one");
  CALL(link("f", "g"));
  const int fd = CALL(open("g", O_WRONLY | O_APPEND));
  CALL(write(fd, " two", 4));
  CALL(chmod("g", 0600));
  show("f");
  show_content("f");
  CALL(truncate("f", 3));
  show("g");
  show(fd);
}

ROW(Symlink) {
  std::array<char, 64> target{};
  CALL(symlink("some/where", "l"));
  show("l");
  CALL(readlink("l", target.data(), target.size()));
  note(target.data());
  CALL(readlink("l", target.data(), 4));
  CALL(readlink("l", target.data(), 0));
  CALL(symlink("x", "l"));
  CALL(symlink("", "empty"));
  CALL(symlink("x", "missing/l"));
  make_file("f");
  CALL(readlink("f", target.data(), target.size()));
  CALL(readlink(".", target.data(), target.size()));
  CALL(readlink("missing", target.data(), target.size()));
  CALL(readlink("f/x", target.data(), target.size()));
}

ROW(SymlinkOfEveryLength) {
  for (const std::size_t length :
       {1UL, 59UL, 60UL, 127UL, 128UL, 255UL, 1000UL, PATH_MAX - 1UL, PATH_MAX + 0UL}) {
    note("length " + std::to_string(length));
    const std::string target = pattern(length);
    CALL(symlink(target.c_str(), "l"));
    show("l");
    std::string got(PATH_MAX + 1, '\0');
    CALL(readlink("l", got.data(), got.size()));
    note(got.c_str() == target ? "the same target" : "another target");
    CALL(unlink("l"));
  }
}

ROW(NamesOf255And256Bytes) {
  const std::string longest(NAME_MAX, 'n');
  const std::string too_long(NAME_MAX + 1, 'n');
  CALL(open(longest.c_str(), O_RDWR | O_CREAT, 0644));
  CALL(open(too_long.c_str(), O_RDWR | O_CREAT, 0644));
  CALL(open(too_long.c_str(), O_RDONLY));
  CALL(mkdir(too_long.c_str(), 0755));
  CALL(symlink("x", too_long.c_str()));
  CALL(link(longest.c_str(), too_long.c_str()));
  CALL(rename(longest.c_str(), too_long.c_str()));
  CALL(unlink(too_long.c_str()));
  CALL(rmdir(too_long.c_str()));
  CALL(mknod(too_long.c_str(), S_IFIFO | 0600, 0));
  CALL(access(too_long.c_str(), F_OK));
  CALL(truncate(too_long.c_str(), 0));
  const std::string as_directory = too_long + "/x";
  CALL(open(as_directory.c_str(), O_RDONLY));
  show_list(".");
  CALL(unlink(longest.c_str()));
  CALL(mkdir(longest.c_str(), 0755));
  CALL(rmdir(longest.c_str()));
}

ROW(NamesOfAnyBytes) {
  for (const char* path : {"\xff\xfe\x80", "new\nline", " ", "-rf", "back\\slash", "\x01\x7f",
                           "...", "..a", "~", "*", "\xe6\x95\xb0\xe7\xbb\x84.npy", "a\xcc\x81",
                           "tab\t", ".hidden", "\"quoted\"", ".arrayfs"}) {
    make_file(path, path);
    show_content(path);
  }
  show_list(".");
}

ROW(PathTooLong) {
  std::string deep;
  for (int i = 0; i < PATH_MAX / 2; ++i) {
    deep += "./";
  }
  CALL(open((deep + "f").c_str(), O_RDWR | O_CREAT, 0644));
  deep.resize(PATH_MAX - 2);
  CALL(open((deep + "f").c_str(), O_RDWR | O_CREAT, 0644));
  show_list(".");
}

ROW(DeepDirectories) {
  constexpr int kDepth = 200;
  std::string path = ".";
  int made = 0;
  for (int i = 0; i < kDepth; ++i) {
    path += "/directory" + std::to_string(i);
    made += mkdir(path.c_str(), 0755) == 0 ? 1 : 0;
  }
  note("made " + std::to_string(made));
  make_file((path + "/f").c_str(), "at the bottom");
  note(access((path + "/f").c_str(), R_OK) == 0 ? "found" : "lost");
  int fd = open(".", O_RDONLY | O_DIRECTORY);
  int up = open((path).c_str(), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < kDepth; ++i) {
    up = openat(up, "..", O_RDONLY | O_DIRECTORY);
  }
  struct stat here {};
  struct stat there {};
  CALL(fstat(fd, &here));
  CALL(fstat(up, &there));
  note(here.st_ino == there.st_ino ? "the same directory" : "another directory");
}

ROW(TooManySymlinks) {
  make_file("f", "end");
  CALL(symlink("f", "0"));
  for (int i = 1; i <= 41; ++i) {
    if (symlink(std::to_string(i - 1).c_str(), std::to_string(i).c_str()) != 0) {
      note("cannot link");
    }
  }
  CALL(open("39", O_RDONLY));
  CALL(open("40", O_RDONLY));
  CALL(open("41", O_RDONLY));
}

ROW(ListDirectory) {
  make_file("file");
  CALL(mkdir("directory", 0755));
  CALL(symlink("file", "symlink"));
  CALL(mkfifo("fifo", 0600));
  CALL(mknod("socket", S_IFSOCK | 0600, 0));
  show_list(".");
  show_list("directory");
  show_list("file");
  show_list("missing");
  DIR* directory = opendir(".");
  int wrong = 0;
  while (const dirent* entry = readdir(directory)) {
    struct stat status {};
    const std::string name = entry->d_name;
    if (name != ".." && (lstat(entry->d_name, &status) != 0 || status.st_ino != entry->d_ino)) {
      ++wrong;
    }
  }
  note("inode numbers that differ from stat's: " + std::to_string(wrong));
}

ROW(ListManyEntries) {
  constexpr int kEntries = 3000;
  for (int i = 0; i < kEntries; ++i) {
    make_file(("a name of some length " + std::to_string(i)).c_str());
  }
  std::multiset<std::string> seen;
  DIR* directory = opendir(".");
  while (const dirent* entry = readdir(directory)) {
    seen.insert(entry->d_name);
  }
  note("entries " + std::to_string(seen.size()) + ", names " +
       std::to_string(std::set<std::string>(seen.begin(), seen.end()).size()));
  rewinddir(directory);
  int again = 0;
  while (readdir(directory) != nullptr) {
    ++again;
  }
  note("again " + std::to_string(again));
  show(".");
}

ROW(ListWhileEntriesComeAndGo) {
  constexpr int kEntries = 1000;
  for (int i = 0; i < kEntries; ++i) {
    make_file(("stays" + std::to_string(i)).c_str());
    make_file(("goes" + std::to_string(i)).c_str());
  }
  std::multiset<std::string> stayed;
  DIR* directory = opendir(".");
  int step = 0;
  while (const dirent* entry = readdir(directory)) {
    const std::string name = entry->d_name;
    if (name.starts_with("stays")) {
      stayed.insert(name);
    }
    if (step < kEntries) {
      unlink(("goes" + std::to_string(step)).c_str());
      make_file(("comes" + std::to_string(step)).c_str());
      ++step;
    }
  }
  note("seen that stayed " + std::to_string(stayed.size()) + ", names " +
       std::to_string(std::set<std::string>(stayed.begin(), stayed.end()).size()));
}

ROW(RemoveWhileListing) {
  constexpr int kEntries = 2000;
  CALL(mkdir("d", 0755));
  for (int i = 0; i < kEntries; ++i) {
    make_file(("d/f" + std::to_string(i)).c_str());
  }
  DIR* directory = opendir("d");
  int removed = 0;
  while (const dirent* entry = readdir(directory)) {
    removed += unlinkat(dirfd(directory), entry->d_name, 0) == 0 ? 1 : 0;
  }
  note("removed " + std::to_string(removed));
  CALL(rmdir("d"));
}

ROW(SeekInADirectory) {
  constexpr int kEntries = 500;
  for (int i = 0; i < kEntries; ++i) {
    make_file(std::to_string(i).c_str());
  }
  DIR* directory = opendir(".");
  for (int i = 0; i < kEntries / 2; ++i) {
    readdir(directory);
  }
  const long middle = telldir(directory);
  const std::string next = readdir(directory)->d_name;
  while (readdir(directory) != nullptr) {
  }
  seekdir(directory, middle);
  note(readdir(directory)->d_name == next ? "the same entry" : "another entry");
  int rest = 0;
  while (readdir(directory) != nullptr) {
    ++rest;
  }
  note("left " + std::to_string(rest));
}

ROW(ReadADirectoryAsAFile) {
  CALL(mkdir("d", 0755));
  char byte = 0;
  const int fd = CALL(open("d", O_RDONLY));
  CALL(read(fd, &byte, 1));
  CALL(pread(fd, &byte, 1, 0));
  CALL(write(fd, &byte, 1));
  CALL(ftruncate(fd, 0));
  CALL(truncate("d", 0));
  CALL(fallocate(fd, 0, 0, 1));
  CALL(lseek(fd, 0, SEEK_SET));
}

ROW(DirectoryLinkCounts) {
  CALL(mkdir("d", 0755));
  CALL(mkdir("d/a", 0755));
  CALL(mkdir("d/b", 0755));
  make_file("d/f");
  show("d");
  CALL(rmdir("d/a"));
  CALL(rename("d/b", "b"));
  show("d");
  show(".");
}

ROW(SetgidDirectory) {
  CALL(mkdir("d", 0777));
  CALL(chown("d", static_cast<uid_t>(-1), kGroup));
  CALL(chmod("d", 02777));
  show("d");
  make_file("d/f");
  CALL(mkdir("d/inner", 0755));
  CALL(symlink("x", "d/l"));
  CALL(mkfifo("d/p", 0600));
  for (const char* path : {"d/f", "d/inner", "d/l", "d/p"}) {
    show(path);
  }
  as_user(kOtherUser, kOtherUser, [] {
    make_file("d/other");
    show("d/other");
    CALL(mkdir("d/others", 0755));
    show("d/others");
    // The setgid bit of a file with group execution is dropped for who is not in the group.
    CALL(open("d/setgid", O_RDWR | O_CREAT, 02775));
    show("d/setgid");
  });
}

ROW(StickyDirectory) {
  CALL(mkdir("d", 0777));
  CALL(chmod("d", 01777));
  CALL(chown("d", kOtherUser, kGroup));
  as_user(kUser, kGroup, [] {
    make_file("d/mine");
    make_file("d/mine2");
    CALL(mkdir("d/my_directory", 0777));
  });
  as_user(kUser + 10, kGroup, [] {
    CALL(unlink("d/mine"));
    CALL(rename("d/mine", "d/yours"));
    CALL(rmdir("d/my_directory"));
    make_file("d/yours");
    CALL(rename("d/yours", "d/mine"));
  });
  as_user(kUser, kGroup, [] { CALL(unlink("d/mine")); });
  as_user(kOtherUser, kGroup, [] { CALL(unlink("d/mine2")); });
  show_list("d");
}

ROW(Statfs) {
  struct statvfs status {};
  CALL(statvfs(".", &status));
  note("name length " + std::to_string(status.f_namemax));
  note("block size " + std::to_string(status.f_bsize) + " " + std::to_string(status.f_frsize));
  note("blocks " + std::to_string(status.f_blocks));
  note(status.f_bavail <= status.f_bfree && status.f_bfree <= status.f_blocks
           ? "free fits"
           : "free does not fit");
  note(status.f_files > 0 && status.f_ffree <= status.f_files ? "inodes fit" : "inodes do not fit");
  note("read-only " + std::to_string(status.f_flag & ST_RDONLY));
  struct statvfs after {};
  make_file("f", pattern(1 << 20));
  const int fd = CALL(open("f", O_RDWR));
  CALL(fstatvfs(fd, &after));
  note("a mebibyte takes " + std::to_string((status.f_bfree - after.f_bfree) * status.f_frsize));
  CALL(statvfs("missing", &status));
}

}  // namespace
}  // namespace parity
