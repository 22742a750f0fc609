#include "file_system.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "file_system_fixture.hpp"

namespace arrayfs {
namespace {

// ---- names

TEST_P(FileSystemTest, LookupShowsTheFile) {
  store_.write("a", "12345");
  const Entry entry = must(files().lookup(kRootNode, "a"));
  EXPECT_EQ(entry.attr.st_size, 5);
  EXPECT_EQ(entry.attr.st_blksize, 4096);
  EXPECT_EQ(files().find_by_ino(entry.attr.st_ino), entry.node);
}

TEST_P(FileSystemTest, LookupFails) {
  const NodeId file = enter("file", "x");
  EXPECT_TRUE(fails_with(files().lookup(kRootNode, "nothing"), ENOENT));
  EXPECT_TRUE(fails_with(files().lookup(file, "below"), ENOTDIR));
  EXPECT_TRUE(fails_with(files().lookup(kUnknownNode, "file"), ESTALE));
  EXPECT_TRUE(fails_with(files().lookup(kRootNode, ".."), EXDEV));
  EXPECT_TRUE(fails_with(files().lookup(kRootNode, "/etc"), EXDEV));
  EXPECT_TRUE(fails_with(files().lookup(kRootNode, std::string(256, 'n').c_str()), ENAMETOOLONG));
}

TEST_P(FileSystemTest, ASymlinkIsNotFollowed) {
  ASSERT_EQ(symlinkat("/etc/passwd", store_.get().root_fd(), "l"), 0);
  const Entry entry = must(files().lookup(kRootNode, "l"));
  EXPECT_TRUE(S_ISLNK(entry.attr.st_mode));
  EXPECT_EQ(must(files().read_link(entry.node)), "/etc/passwd");
  EXPECT_TRUE(fails_with(files().lookup(entry.node, "x"), ENOTDIR));
}

TEST_P(FileSystemTest, ALongSymlink) {
  const std::string target(PATH_MAX - 1, 't');
  const NodeId node = must(files().make_symlink(kRootNode, "l", target.c_str(), self())).node;
  EXPECT_EQ(must(files().read_link(node)), target);
  const std::string longer(PATH_MAX, 't');
  EXPECT_TRUE(
      fails_with(files().make_symlink(kRootNode, "m", longer.c_str(), self()), ENAMETOOLONG));
}

TEST_P(FileSystemTest, MakesWithTheCallersUmask) {
  const Caller caller{geteuid(), getegid(), getpid(), 077};
  EXPECT_EQ(must(files().make_directory(kRootNode, "d", 0777, caller)).attr.st_mode & 0777, 0700U);
  EXPECT_EQ(must(files().make_node(kRootNode, "f", S_IFIFO | 0666, 0, caller)).attr.st_mode,
            static_cast<mode_t>(S_IFIFO | 0600));
  const auto made = must(files().create_file(kRootNode, "a", 0666, O_RDWR, caller));
  EXPECT_EQ(made.first.attr.st_mode & 0777, 0600U);
  files().release(made.first.node, made.second.handle, O_RDWR);
}

TEST_P(FileSystemTest, MakesForTheCaller) {
  SKIP_UNLESS_ROOT("only root acts for others");
  const Caller caller{1234, 5678, 1, 0};
  EXPECT_EQ(must(files().make_directory(kRootNode, "d", 0777, caller)).attr.st_uid, 1234U);
  const Entry link = must(files().make_symlink(kRootNode, "l", "x", caller));
  EXPECT_EQ(link.attr.st_gid, 5678U);
  // Afterwards this thread is itself again.
  EXPECT_EQ(must(files().make_directory(kRootNode, "e", 0777, self())).attr.st_uid, 0U);
}

TEST_P(FileSystemTest, MakingFails) {
  const NodeId file = enter("a", "x");
  EXPECT_TRUE(fails_with(files().make_directory(kRootNode, "a", 0755, self()), EEXIST));
  EXPECT_TRUE(fails_with(files().make_directory(file, "d", 0755, self()), ENOTDIR));
  EXPECT_TRUE(fails_with(files().make_directory(kUnknownNode, "d", 0755, self()), ESTALE));
  EXPECT_TRUE(fails_with(files().make_node(kRootNode, "a", S_IFIFO, 0, self()), EEXIST));
  EXPECT_TRUE(fails_with(files().make_node(kUnknownNode, "a", S_IFIFO, 0, self()), ESTALE));
  EXPECT_TRUE(fails_with(files().make_symlink(kRootNode, "a", "x", self()), EEXIST));
  EXPECT_TRUE(fails_with(files().make_symlink(kRootNode, "b", "", self()), ENOENT));
  EXPECT_TRUE(fails_with(files().link(file, kUnknownNode, "b"), ESTALE));
  EXPECT_TRUE(fails_with(files().link(kUnknownNode, kRootNode, "b"), ESTALE));
  EXPECT_TRUE(fails_with(files().link(kRootNode, kRootNode, "b"), EPERM));
}

TEST_P(FileSystemTest, RemovingFails) {
  must(files().make_directory(kRootNode, "d", 0755, self()));
  store_.write("d/a", "x");
  EXPECT_TRUE(fails_with(files().unlink(kRootNode, "d"), EISDIR));
  EXPECT_TRUE(fails_with(files().unlink(kRootNode, "b"), ENOENT));
  EXPECT_TRUE(fails_with(files().unlink(kUnknownNode, "a"), ESTALE));
  EXPECT_TRUE(fails_with(files().remove_directory(kRootNode, "d"), ENOTEMPTY));
  EXPECT_TRUE(fails_with(files().remove_directory(kRootNode, "d/a"), ENOTDIR));
  EXPECT_TRUE(fails_with(files().remove_directory(kUnknownNode, "d"), ESTALE));
}

TEST_P(FileSystemTest, AFileWithoutANameIsCountedWhileItIsUsed) {
  const NodeId node = enter("a", std::string(8192, 'x'));
  must(files().unlink(kRootNode, "a"));
  EXPECT_EQ(files().nameless().files, 1U);
  EXPECT_GE(files().nameless().bytes, 8192U);
  files().forget(node, 1);
  EXPECT_EQ(files().nameless().files, 0U);
}

TEST_P(FileSystemTest, AFileThatIsRenamedOverIsNameless) {
  enter("a", "x");
  enter("b", "y");
  must(files().rename(kRootNode, "a", kRootNode, "b", 0));
  EXPECT_EQ(files().nameless().files, 1U);
  EXPECT_EQ(store_.read("b"), "x");
}

TEST_P(FileSystemTest, AnExchangeLosesNoName) {
  enter("a", "x");
  enter("b", "y");
  must(files().rename(kRootNode, "a", kRootNode, "b", RENAME_EXCHANGE));
  EXPECT_EQ(files().nameless().files, 0U);
  EXPECT_EQ(store_.read("a"), "y");
}

TEST_P(FileSystemTest, OneOfTwoNamesIsNotTheLast) {
  const NodeId node = enter("a", "x");
  must(files().link(node, kRootNode, "b"));
  must(files().unlink(kRootNode, "a"));
  EXPECT_EQ(files().nameless().files, 0U);
}

// ---- directories

TEST_P(FileSystemTest, ReadsADirectoryFromAnyEntryOn) {
  for (const char* name : {"a", "b", "c"}) {
    store_.write(name, "x");
  }
  const std::uint64_t handle = must(files().open_directory(kRootNode));
  std::map<std::uint64_t, std::string> by_offset;
  std::uint64_t offset = 0;
  for (bool more = true; more;) {  // one entry a call
    more = false;
    must(files().read_directory(handle, offset, [&](const DirEntry& entry) {
      if (more) {
        return false;
      }
      by_offset[entry.next_offset] = entry.name;
      offset = entry.next_offset;
      more = true;
      return true;
    }));
  }
  EXPECT_EQ(by_offset.size(), 5U);
  files().release_directory(handle);
}

TEST_P(FileSystemTest, DirectoryFailures) {
  EXPECT_TRUE(fails_with(files().open_directory(enter("a", "x")), ENOTDIR));
  EXPECT_TRUE(fails_with(files().open_directory(kUnknownNode), ESTALE));
  EXPECT_TRUE(fails_with(files().read_directory(1'000'000, 0, [](const DirEntry&) { return true; }),
                         EBADF));
}

TEST_P(FileSystemTest, ListsNames) {
  store_.write("a", "x");
  const std::uint64_t handle = must(files().open_directory(kRootNode));
  std::vector<std::string> names;
  must(files().read_directory(handle, 0, [&](const DirEntry& entry) {
    names.emplace_back(entry.name);
    return true;
  }));
  files().release_directory(handle);
  EXPECT_EQ(names.size(), 3U);
}

// ---- the store

TEST_P(FileSystemTest, WhatIsInTheStoreOutlivesTheServer) {
  const NodeId node = enter_array();
  must(seal(node));
  must(files().set_xattr(node, "user.array.ttl", "1000", 0));
  restart_without_state();
  const NodeId again = must(files().lookup(kRootNode, "w.npy")).node;
  EXPECT_EQ(must(files().get_xattr(again, "user.array.sealed")), "1");
  EXPECT_TRUE(ok(files().get_xattr(again, "user.array.ttl")));
  EXPECT_TRUE(fails_with(open(again, O_RDWR), EPERM));
}

}  // namespace
}  // namespace arrayfs
