#include "control_tree.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <string>

#include "fixture.hpp"

namespace arrayfs {
namespace {

class ControlTreeTest : public testing::Test {
 protected:
  ControlTreeTest()
      : memory_(must(StateMemory::create(1024))),
        files_(must(FileSystem::create(store_.get(), memory_, {}))),
        control_(files_, Drafts(memory_.state()), [this] {
          MountStatus status;
          status.version = "test";
          status.mountpoint = "/mnt/with\nnewline";
          status.plane = "cached";
          status.store_root_fd = store_.get().root_fd();
          status.capacity_bytes = 64 * kMiB;
          return status;
        }) {}

  shm::Result<Entry> walk(const std::string& path) {
    auto entry = control_.root();
    for (size_t at = 0; entry && at < path.size();) {
      const size_t end = std::min(path.find('/', at), path.size());
      entry = control_.lookup(entry->node, path.substr(at, end - at).c_str(), kCaller);
      at = end + 1;
    }
    return entry;
  }
  std::string text(const std::string& path) {
    auto opening = control_.open(must(walk(path)).node, O_RDONLY, kCaller);
    const auto view = must(must(std::move(opening)).run());
    std::string whole;
    char buffer[100];  // small, so that many reads are needed
    for (size_t got = 1; got != 0;) {
      got = must(view->read(whole.size(), buffer));
      whole.append(buffer, got);
    }
    return whole;
  }
  std::multiset<std::string> list(const std::string& path) {
    const NodeId node = must(walk(path)).node;
    const std::uint64_t handle = must(control_.open_directory(node));
    std::multiset<std::string> names;
    must(control_.read_directory(node, handle, 0, [&](const DirEntry& entry) {
      names.emplace(entry.name);
      return true;
    }));
    control_.release_directory(node, handle);
    return names;
  }

  static constexpr Caller kCaller{0, 0, 1, 022};

  TestStore store_;
  StateMemory memory_;
  FileSystem files_;
  ControlTree control_;
};

using Names = std::multiset<std::string>;

TEST_F(ControlTreeTest, TheRootListsReportsAndViews) {
  const Entry root = must(control_.root());
  EXPECT_TRUE(ControlTree::owns(root.node));
  EXPECT_FALSE(ControlTree::owns(kRootNode));
  EXPECT_TRUE(S_ISDIR(root.attr.st_mode));
  EXPECT_EQ(root.attr.st_mode & 0222, 0U);
  const Names names = list("");
  for (const char* name : {".", "..", "README", "status", "info", "json"}) {
    EXPECT_EQ(names.count(name), 1U) << name;
  }
}

TEST_F(ControlTreeTest, LookupFails) {
  store_.write("a", "x");
  EXPECT_TRUE(fails_with(walk("nothing"), ENOENT));
  EXPECT_TRUE(fails_with(walk("info/missing"), ENOENT));
  EXPECT_TRUE(fails_with(walk("status/below"), ENOTDIR));
  EXPECT_TRUE(fails_with(walk("info/a/below"), ENOTDIR));
  EXPECT_TRUE(fails_with(walk("info/.arrayfs"), ENOENT));
  EXPECT_TRUE(fails_with(walk("json/a"), ENOENT));
  EXPECT_TRUE(fails_with(walk("json/.json"), ENOENT));
  EXPECT_TRUE(fails_with(walk("info/a.json"), ENOENT));
}

TEST_F(ControlTreeTest, FailedLookupsLeaveNoNodes) {
  store_.write("a", "x");
  ASSERT_EQ(mkdirat(store_.get().root_fd(), "d", 0755), 0);
  ASSERT_EQ(mknodat(store_.get().root_fd(), "fifo", S_IFIFO | 0600, 0), 0);
  const std::uint64_t nodes = files_.state().nodes;
  for (const char* path : {"info/missing", "json/a", "json/d.json", "json/fifo", "json/fifo.json",
                           "info/fifo", "json/missing.json"}) {
    EXPECT_TRUE(fails_with(walk(path), ENOENT)) << path;
  }
  EXPECT_EQ(files_.state().nodes, nodes);
}

TEST_F(ControlTreeTest, NodesAreForgottenWithTheirFiles) {
  store_.write("a", "x");
  const std::uint64_t nodes = files_.state().nodes;
  const NodeId info = must(walk("info/a")).node;
  const NodeId json = must(walk("json/a.json")).node;
  EXPECT_NE(info, json);
  EXPECT_EQ(files_.state().nodes, nodes + 1);
  control_.forget(info, 1);
  EXPECT_TRUE(ok(control_.get_attributes(json)));
  control_.forget(json, 1);
  EXPECT_EQ(files_.state().nodes, nodes);
  EXPECT_TRUE(fails_with(control_.get_attributes(json), ESTALE));
}

TEST_F(ControlTreeTest, DirectoriesAreMirrored) {
  ASSERT_EQ(mkdirat(store_.get().root_fd(), "d", 0755), 0);
  store_.write("d/w.npy", npy_bytes("<f8", {3}));
  ASSERT_EQ(mknodat(store_.get().root_fd(), "d/fifo", S_IFIFO | 0600, 0), 0);
  EXPECT_EQ(list("info/d"), (Names{".", "..", "w.npy"}));
  EXPECT_EQ(list("json/d"), (Names{".", "..", "w.npy.json"}));
  EXPECT_NE(text("json/d/w.npy.json").find("\"shape\": [\n    3\n  ]"), std::string::npos);
}

TEST_F(ControlTreeTest, AFileThatIsNamedLikeAViewOfAnother) {
  store_.write("w", npy_bytes("<f8", {1}));
  store_.write("w.json", npy_bytes("<f4", {2}));
  EXPECT_NE(text("json/w.json").find("float64"), std::string::npos);
  EXPECT_NE(text("json/w.json.json").find("float32"), std::string::npos);
  EXPECT_EQ(list("json"), (Names{".", "..", "w.json", "w.json.json"}));
}

TEST_F(ControlTreeTest, SymlinksLeadToTheViewOfTheirTarget) {
  store_.write("w.npy", npy_bytes("<f8", {3}));
  ASSERT_EQ(symlinkat("w.npy", store_.get().root_fd(), "l"), 0);
  const Entry link = must(walk("json/l.json"));
  EXPECT_TRUE(S_ISLNK(link.attr.st_mode));
  EXPECT_EQ(must(control_.read_link(link.node)), "w.npy.json");
  EXPECT_EQ(must(control_.read_link(must(walk("info/l")).node)), "w.npy");
  EXPECT_FALSE(control_.read_link(must(control_.root()).node));
  EXPECT_FALSE(control_.read_link(must(walk("info/w.npy")).node));
}

TEST_F(ControlTreeTest, AViewObeysThePermissionsOfItsArray) {
  store_.write("a", "x", 0640);
  if (is_root()) {
    ASSERT_EQ(fchownat(store_.get().root_fd(), "a", 1234, 5678, 0), 0);
  }
  const struct stat shown = must(walk("info/a")).attr;
  EXPECT_EQ(shown.st_mode, static_cast<mode_t>(S_IFREG | 0440));
  EXPECT_EQ(shown.st_uid, store_.stat("a").st_uid);
  EXPECT_EQ(shown.st_gid, store_.stat("a").st_gid);
  EXPECT_EQ(shown.st_size, 0);
  ASSERT_EQ(mkdirat(store_.get().root_fd(), "d", 0750), 0);
  EXPECT_EQ(must(walk("info/d")).attr.st_mode, static_cast<mode_t>(S_IFDIR | 0550));
}

TEST_F(ControlTreeTest, OpeningFails) {
  store_.write("a", "x");
  const NodeId node = must(walk("info/a")).node;
  for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC}) {
    EXPECT_TRUE(fails_with(control_.open(node, flags, kCaller), EACCES)) << flags;
  }
  EXPECT_TRUE(fails_with(control_.open(must(control_.root()).node, O_RDONLY, kCaller), EISDIR));
  EXPECT_FALSE(control_.open(must(walk("info")).node, O_RDONLY, kCaller));
  EXPECT_TRUE(fails_with(control_.open(200ULL << 56 | kRootNode, O_RDONLY, kCaller), ESTALE));
}

TEST_F(ControlTreeTest, OnlyListsOfPermissionsArePassedOn) {
  store_.write("a", "x");
  const NodeId node = must(walk("info/a")).node;
  EXPECT_TRUE(fails_with(control_.get_xattr(node, "user.array.dtype"), ENODATA));
  EXPECT_TRUE(fails_with(control_.get_xattr(node, "system.posix_acl_access"), ENODATA));
  EXPECT_TRUE(fails_with(control_.get_xattr(must(control_.root()).node, "user.x"), ENODATA));
}

TEST_F(ControlTreeTest, InfoOfAnArray) {
  store_.write("w.npy", npy_bytes("<f8", {2, 2}));
  const std::string info = text("info/w.npy");
  for (const char* line :
       {"kind: array\n", "dtype: float64\n", "shape: (2, 2)\n", "order: C\n", "offset: 128\n",
        "nbytes: 32 (32 B)\n", "version: 1\n", "sealed: no\n", "\n[[0. 0.]\n [0. 0.]]\n"}) {
    EXPECT_NE(info.find(line), std::string::npos) << line << " in\n" << info;
  }
}

TEST_F(ControlTreeTest, InfoOfARawFileSaysWhyItIsOne) {
  store_.write("raw", "not an array");
  const std::string info = text("info/raw");
  EXPECT_NE(info.find("kind: raw file\nreason: "), std::string::npos) << info;
  EXPECT_NE(text("json/raw.json").find("\"kind\": \"raw\""), std::string::npos);
}

TEST_F(ControlTreeTest, WhatAHostileHeaderSaysStaysOnItsLine) {
  store_.write("a", std::string("\x93NUMPY\x01\x00\x10\x00", 10) + "{'\n\x1b[2Jowner: 0'");
  const std::string info = text("info/a");
  EXPECT_EQ(info.find('\x1b'), std::string::npos);
  EXPECT_EQ(info.find("\nowner: 0'"), std::string::npos) << info;
}

TEST_F(ControlTreeTest, NeverReadsMoreThanItShows) {
  make_sparse_array(store_.get().root_fd(), "w.npy", "<f4", {50'000, 500'000});  // 100 GB
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  const std::string info = text("info/w.npy");
  const std::string json = text("json/w.npy.json");
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_NE(info.find("nbytes: 100000000000 (93.1 GiB)"), std::string::npos) << info;
  EXPECT_NE(info.find("..."), std::string::npos);
  EXPECT_LT(info.size(), 2000U);
  EXPECT_NE(json.find("\"nbytes\": 100000000000"), std::string::npos);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 << 10) << "KiB";
  EXPECT_LT(store_.stat("w.npy").st_blocks * 512, 1 << 20) << "the holes stay holes";
}

TEST_F(ControlTreeTest, AFileThatShrinksWhileItIsShown) {
  store_.write("w.npy", npy_bytes("<f8", {8}));
  auto opening = must(control_.open(must(walk("info/w.npy")).node, O_RDONLY, kCaller));
  ASSERT_EQ(ftruncate(store_.open("w.npy", O_RDWR).get(), 130), 0);
  const auto view = must(std::move(opening).run());
  std::string buffer(4096, '\0');
  buffer.resize(must(view->read(0, buffer)));
  EXPECT_NE(buffer.find("preview: "), std::string::npos) << buffer;
}

TEST_F(ControlTreeTest, TheReports) {
  store_.write("w.npy", npy_bytes("<f8", {8}));
  store_.write("raw", "x");
  const std::string status = text("status");
  EXPECT_NE(status.find("mountpoint: /mnt/with\\nnewline\n"), std::string::npos) << status;
  EXPECT_NE(status.find("\narrays: 1\nfiles: 2\n"), std::string::npos) << status;
  EXPECT_NE(text("README").find("arrayfs test"), std::string::npos);
}

TEST_F(ControlTreeTest, ReadingBeyondTheEndGivesNothing) {
  const auto view = must(must(control_.open(must(walk("README")).node, O_RDONLY, kCaller)).run());
  char buffer[16];
  EXPECT_EQ(must(view->read(1U << 20, buffer)), 0U);
  EXPECT_EQ(must(view->read(~0ULL, buffer)), 0U);
  EXPECT_EQ(must(view->read(0, std::span<char>())), 0U);
}

}  // namespace
}  // namespace arrayfs
