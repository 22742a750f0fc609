// Rows on rename in all its combinations.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "parity.hpp"

namespace parity {
namespace {

/// Makes a thing of that kind at the path; "missing" makes none.
void make(const std::string& kind, const char* path) {
  if (kind == "file") {
    make_file(path, path);
  } else if (kind == "empty_directory") {
    mkdir(path, 0755);
  } else if (kind == "full_directory") {
    mkdir(path, 0755);
    make_file((std::string(path) + "/inside").c_str());
  } else if (kind == "symlink") {
    if (symlink("nowhere", path) != 0) {
      note("cannot link");
    }
  } else if (kind == "fifo") {
    mkfifo(path, 0600);
  }
}

void every_combination(unsigned flags) {
  constexpr std::array<const char*, 6> kKinds = {"missing",        "file",    "empty_directory",
                                                 "full_directory", "symlink", "fifo"};
  for (const char* from : kKinds) {
    for (const char* to : kKinds) {
      note(std::string(from) + " to " + to);
      make(from, "from");
      make(to, "to");
      CALL(renameat2(AT_FDCWD, "from", AT_FDCWD, "to", flags));
      show("from");
      show("to");
      show(".");
      std::filesystem::remove_all("from");
      std::filesystem::remove_all("to");
    }
  }
}

ROW(RenameEveryKind) {
  every_combination(0);
}

ROW(RenameNoreplaceEveryKind) {
  every_combination(RENAME_NOREPLACE);
}

ROW(RenameExchangeEveryKind) {
  every_combination(RENAME_EXCHANGE);
}

ROW(RenameBadFlags) {
  make_file("f");
  make_file("g");
  CALL(renameat2(AT_FDCWD, "f", AT_FDCWD, "g", RENAME_NOREPLACE | RENAME_EXCHANGE));
  CALL(renameat2(AT_FDCWD, "f", AT_FDCWD, "g", RENAME_WHITEOUT | RENAME_EXCHANGE));
  CALL(renameat2(AT_FDCWD, "f", AT_FDCWD, "g", 1U << 30));
  show_list(".");
}

ROW(RenameWhiteout) {
  make_file("f", "moved");
  CALL(renameat2(AT_FDCWD, "f", AT_FDCWD, "g", RENAME_WHITEOUT));
  show("f");
  show_content("g");
}

ROW(RenameToItself) {
  make_file("f", "bytes");
  CALL(rename("f", "f"));
  CALL(renameat2(AT_FDCWD, "f", AT_FDCWD, "f", RENAME_NOREPLACE));
  CALL(renameat2(AT_FDCWD, "f", AT_FDCWD, "f", RENAME_EXCHANGE));
  CALL(link("f", "g"));
  // Two names of one inode: nothing happens, and both stay.
  CALL(rename("f", "g"));
  show("f");
  show("g");
  CALL(mkdir("d", 0755));
  CALL(rename("d", "d"));
  show_list(".");
}

ROW(RenameIntoItself) {
  CALL(mkdir("d", 0755));
  CALL(mkdir("d/inner", 0755));
  CALL(rename("d", "d/moved"));
  CALL(rename("d", "d/inner/moved"));
  CALL(rename("d/inner", "d"));
  CALL(renameat2(AT_FDCWD, "d", AT_FDCWD, "d/inner", RENAME_EXCHANGE));
  CALL(renameat2(AT_FDCWD, "d/inner", AT_FDCWD, "d", RENAME_EXCHANGE));
  CALL(rename(".", "x"));
  CALL(rename("d/..", "x"));
  CALL(rename("d", "d/."));
  CALL(rename("d", ".."));
  show_list("d");
}

ROW(RenameBadPaths) {
  make_file("f");
  CALL(mkdir("d", 0755));
  CALL(rename("missing", "g"));
  CALL(rename("f", "missing/g"));
  CALL(rename("f", "f/g"));
  CALL(rename("f/g", "g"));
  CALL(rename("f", "g/"));
  CALL(rename("f/", "g"));
  CALL(rename("d/", "e/"));
  CALL(rename("f", ""));
  CALL(rename("f", "/sys/g"));
  show_list(".");
}

ROW(RenameAcrossDirectories) {
  CALL(mkdir("a", 0755));
  CALL(mkdir("b", 0755));
  CALL(mkdir("a/inner", 0755));
  make_file("a/inner/f", "deep");
  CALL(rename("a/inner", "b/inner"));
  show("a");
  show("b");
  show_content("b/inner/f");
  show("a/inner");
  make_file("a/f", "one");
  make_file("b/f", "two");
  CALL(rename("a/f", "b/f"));
  show_content("b/f");
  CALL(mkdir("a/d", 0755));
  CALL(renameat2(AT_FDCWD, "a/d", AT_FDCWD, "b/f", RENAME_EXCHANGE));
  show("a");
  show("b");
  show("a/d");
  show("b/f");
  const int directory = CALL(open("b/inner", O_RDONLY | O_DIRECTORY));
  CALL(renameat(directory, "f", AT_FDCWD, "f"));
  CALL(renameat(AT_FDCWD, "f", directory, "g"));
  show_list("b/inner");
}

ROW(RenameKeepsTheInode) {
  make_file("f", "bytes");
  CALL(link("f", "other_name"));
  CALL(rename("f", "g"));
  note(same_inode("g", "other_name") ? "the same inode" : "another inode");
  make_file("h");
  CALL(rename("g", "h"));
  note(same_inode("h", "other_name") ? "the same inode" : "another inode");
  show("h");
}

ROW(RenameWhileOpen) {
  make_file("f", "first");
  make_file("g", "second");
  const int first = CALL(open("f", O_RDWR));
  const int second = CALL(open("g", O_RDWR));
  CALL(rename("f", "g"));
  char bytes[8] = {};
  CALL(pread(first, bytes, 7, 0));
  note(bytes);
  CALL(pread(second, bytes, 7, 0));
  note(bytes);
  show(first);
  show(second);
  CALL(pwrite(second, "SECOND", 6, 0));
  show_content("g");
  CALL(pwrite(first, "FIRST", 5, 0));
  show_content("g");
}

ROW(RenameDirectoryWhileInside) {
  CALL(mkdir("d", 0755));
  make_file("d/f", "inside");
  CALL(chdir("d"));
  CALL(rename("../d", "../e"));
  show_content("f");
  show_list("..");
  make_file("g");
  show_list("../e");
}

ROW(RenameChangesTimes) {
  CALL(mkdir("a", 0755));
  CALL(mkdir("b", 0755));
  make_file("a/f");
  show_times_moved("a", "mc", [] { CALL(rename("a/f", "b/f")); });
  show_times_moved("b", "mc", [] { CALL(rename("b/f", "a/f")); });
  CALL(rename("a/f", "f"));
  show_times_moved("f", "mc", [] { CALL(link("f", "g")); });
  show_times_moved("f", "mc", [] { CALL(unlink("g")); });
}

}  // namespace
}  // namespace parity
