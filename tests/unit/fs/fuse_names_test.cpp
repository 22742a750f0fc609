// The operations on names and directories, as requests of the kernel.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "fuse_ops_fixture.hpp"

namespace arrayfs {
namespace {

// ---- names

TEST_F(FuseOps, LookupFindsWhatIsThere) {
  const std::uint64_t node = create_closed("a", "12345");
  const Reply found = kernel_.lookup(kRoot, "a");
  ASSERT_EQ(found.error, 0);
  const auto entry = found.as<fuse_entry_out>();
  EXPECT_EQ(entry.nodeid, node);
  EXPECT_EQ(entry.attr.size, 5U);
  EXPECT_EQ(entry.attr.blksize, 4096U);
  EXPECT_GT(entry.entry_valid, 0U);
}

TEST_F(FuseOps, LookupFails) {
  create_closed("file");
  EXPECT_EQ(kernel_.lookup(kRoot, "nothing").error, ENOENT);
  EXPECT_EQ(kernel_.lookup(kRoot, std::string(256, 'n')).error, ENAMETOOLONG);
  EXPECT_EQ(kernel_.lookup(kernel_.walk("file"), "below").error, ENOTDIR);
  EXPECT_EQ(kernel_.lookup(kUnknownNode, "a").error, ESTALE);
  EXPECT_EQ(kernel_.lookup(0, "a").error, ESTALE);
}

TEST_F(FuseOps, NothingOutsideOfTheStoreIsReached) {
  const std::uint64_t directory = make_directory(kRoot, "d");
  create_closed("a");
  for (const char* name : {"..", "../private", "/etc/passwd", "d/../..", "./a", "d/", "/"}) {
    EXPECT_NE(kernel_.lookup(kRoot, name).error, 0) << name;
    EXPECT_NE(kernel_.lookup(directory, name).error, 0) << name;
    EXPECT_NE(kernel_.create(directory, name, O_RDWR).error, 0) << name;
    EXPECT_NE(kernel_.mkdir(directory, name).error, 0) << name;
    EXPECT_NE(kernel_.unlink(directory, name).error, 0) << name;
    EXPECT_NE(kernel_.rmdir(directory, name).error, 0) << name;
  }
  EXPECT_EQ(kernel_.create(directory, "../b", O_RDWR).error, EINVAL);
  EXPECT_EQ(kernel_.create(directory, "../../escaped", O_RDWR).error, EINVAL);
  EXPECT_EQ(kernel_.mkdir(directory, "../b").error, EINVAL);
  EXPECT_EQ(kernel_.symlink(directory, "../b", "target").error, EINVAL);
  EXPECT_EQ(kernel_.mknod(directory, "../b", S_IFIFO).error, EINVAL);
  EXPECT_EQ(kernel_.unlink(directory, "../a").error, EINVAL);
  EXPECT_EQ(kernel_.rename(directory, "../a", kRoot, "b").error, EINVAL);
  EXPECT_EQ(kernel_.rename(kRoot, "a", directory, "../../b").error, EINVAL);
  EXPECT_EQ(kernel_.link(kernel_.walk("a"), directory, "../b").error, EINVAL);
  EXPECT_EQ(kernel_.lookup(kRoot, "b").error, ENOENT);
  EXPECT_EQ(kernel_.lookup(kRoot, "a").error, 0);
}

TEST_F(FuseOps, AnEmptyNameIsNoFile) {
  EXPECT_EQ(kernel_.lookup(kRoot, "").error, ENOENT);
  EXPECT_NE(kernel_.create(kRoot, "", O_RDWR).error, 0);
  EXPECT_EQ(kernel_.unlink(kRoot, "").error, ENOENT);
}

TEST_F(FuseOps, NamesAreAnyBytes) {
  for (const std::string& name :
       {std::string("\xff\xfe"), std::string("\n"), std::string(" "), std::string(255, 'x')}) {
    create_closed(name);
    EXPECT_EQ(kernel_.lookup(kRoot, name).error, 0);
  }
  EXPECT_EQ(list(kRoot, false, 4096).size(), 6U);
}

TEST_F(FuseOps, ForgetFreesNodes) {
  const std::uint64_t before = kernel_.status("kernel_nodes");
  const std::uint64_t node = create_closed("a");
  kernel_.lookup(kRoot, "a");
  EXPECT_EQ(kernel_.status("kernel_nodes"), before + 1);
  kernel_.forget(node, 2);
  EXPECT_EQ(kernel_.status("kernel_nodes"), before);
  EXPECT_EQ(kernel_.getattr(node).error, ESTALE);
}

TEST_F(FuseOps, ForgetMulti) {
  const std::uint64_t before = kernel_.status("kernel_nodes");
  const std::uint64_t a = create_closed("a");
  const std::uint64_t b = create_closed("b");
  kernel_.send(FUSE_BATCH_FORGET, 0,
               wire(fuse_batch_forget_in{4, 0}, fuse_forget_one{a, 1}, fuse_forget_one{b, 1},
                    fuse_forget_one{kUnknownNode, 5}, fuse_forget_one{~0ULL, 1}));
  EXPECT_EQ(kernel_.status("kernel_nodes"), before);
}

TEST_F(FuseOps, ForgettingWhatIsNotKnownChangesNothing) {
  const std::uint64_t before = kernel_.status("kernel_nodes");
  for (const std::uint64_t node :
       {std::uint64_t{0}, kRoot, kUnknownNode, std::uint64_t{1} << 56, ~std::uint64_t{0}}) {
    kernel_.forget(node, UINT64_MAX);
  }
  EXPECT_EQ(kernel_.status("kernel_nodes"), before);
  EXPECT_EQ(kernel_.getattr(kRoot).error, 0);
}

TEST_F(FuseOps, MakesAndRemovesDirectories) {
  const std::uint64_t node = make_directory(kRoot, "d");
  EXPECT_EQ(attr(node).mode, static_cast<std::uint32_t>(S_IFDIR | 0755));
  EXPECT_EQ(kernel_.mkdir(kRoot, "d").error, EEXIST);
  make_directory(node, "below");
  EXPECT_EQ(kernel_.rmdir(kRoot, "d").error, ENOTEMPTY);
  EXPECT_EQ(kernel_.unlink(kRoot, "d").error, EISDIR);
  EXPECT_EQ(kernel_.rmdir(node, "below").error, 0);
  EXPECT_EQ(kernel_.rmdir(kRoot, "d").error, 0);
  EXPECT_EQ(kernel_.rmdir(kRoot, "d").error, ENOENT);
  EXPECT_EQ(kernel_.mkdir(node, "late").error, ENOENT);
}

TEST_F(FuseOps, NewFilesBelongToTheirMaker) {
  SKIP_UNLESS_ROOT("only root acts for others");
  const Reply made = kernel_.create(kRoot, "a", O_RDWR, 0640, {1234, 5678});
  ASSERT_EQ(made.error, 0);
  const fuse_attr file = made.as<fuse_entry_out>().attr;
  EXPECT_EQ(file.uid, 1234U);
  EXPECT_EQ(file.gid, 5678U);
  EXPECT_EQ(file.mode, static_cast<std::uint32_t>(S_IFREG | 0640));
}

TEST_F(FuseOps, TheUmaskIsTheCallers) {
  const Reply made = kernel_.mkdir(kRoot, "d", 0777, 027);
  EXPECT_EQ(made.as<fuse_entry_out>().attr.mode, static_cast<std::uint32_t>(S_IFDIR | 0750));
}

TEST_F(FuseOps, SymlinksLinksAndSpecialFiles) {
  const Reply link = kernel_.symlink(kRoot, "l", "some/where");
  ASSERT_EQ(link.error, 0);
  const std::uint64_t symlink = link.as<fuse_entry_out>().nodeid;
  EXPECT_EQ(kernel_.readlink(symlink).body, "some/where");
  EXPECT_NE(kernel_.readlink(kRoot).error, 0);
  EXPECT_EQ(kernel_.readlink(kUnknownNode).error, ESTALE);
  EXPECT_EQ(kernel_.symlink(kRoot, "l", "x").error, EEXIST);

  const std::uint64_t file = create_closed("a");
  const Reply second = kernel_.link(file, kRoot, "b");
  EXPECT_EQ(second.as<fuse_entry_out>().nodeid, file);
  EXPECT_EQ(second.as<fuse_entry_out>().attr.nlink, 2U);
  EXPECT_EQ(kernel_.link(file, kRoot, "b").error, EEXIST);
  EXPECT_EQ(kernel_.link(kUnknownNode, kRoot, "c").error, ESTALE);
  EXPECT_EQ(kernel_.link(make_directory(kRoot, "d"), kRoot, "c").error, EPERM);

  const Reply fifo = kernel_.mknod(kRoot, "f", S_IFIFO | 0600);
  EXPECT_EQ(fifo.as<fuse_entry_out>().attr.mode, static_cast<std::uint32_t>(S_IFIFO | 0600));
}

TEST_F(FuseOps, OpeningAFifoIsRefusedAndWaitsForNobody) {
  const auto made = kernel_.mknod(kRoot, "f", S_IFIFO | 0600);
  const auto node = made.as<fuse_entry_out>().nodeid;
  EXPECT_EQ(kernel_.open(node, O_RDONLY).error, ENXIO);
  EXPECT_EQ(kernel_.open(node, O_WRONLY).error, ENXIO);
}

TEST_F(FuseOps, UnlinkTakesTheName) {
  const Opened file = create("a", "12345");
  EXPECT_EQ(kernel_.unlink(kRoot, "a").error, 0);
  EXPECT_EQ(kernel_.lookup(kRoot, "a").error, ENOENT);
  EXPECT_EQ(kernel_.read(file.node, file.handle, 0, 10).body, "12345");
  EXPECT_EQ(kernel_.unlink(kRoot, "a").error, ENOENT);
  EXPECT_EQ(kernel_.status("nameless_files"), 1U);
  kernel_.release(file.node, file.handle, O_RDWR);
  kernel_.forget(file.node);
  EXPECT_EQ(kernel_.status("nameless_files"), 0U);
}

TEST_F(FuseOps, RenameAndItsFlags) {
  const std::uint64_t directory = make_directory(kRoot, "d");
  create_closed("a", "a");
  create_closed("b", "b");
  EXPECT_EQ(kernel_.rename(kRoot, "a", kRoot, "b", RENAME_NOREPLACE).error, EEXIST);
  EXPECT_EQ(kernel_.rename(kRoot, "a", kRoot, "b", RENAME_EXCHANGE).error, 0);
  EXPECT_EQ(kernel_.rename(kRoot, "a", kRoot, "missing", RENAME_EXCHANGE).error, ENOENT);
  EXPECT_EQ(kernel_.rename(kRoot, "a", kRoot, "b", 0x80).error, EINVAL);
  EXPECT_EQ(kernel_.rename(kRoot, "missing", kRoot, "b").error, ENOENT);
  EXPECT_EQ(kernel_.rename(kRoot, "a", kRoot, "d").error, EISDIR);
  EXPECT_EQ(kernel_.rename(kRoot, "d", directory, "d").error, EINVAL);
  EXPECT_EQ(kernel_.rename(kRoot, "a", kUnknownNode, "x").error, ESTALE);
  EXPECT_EQ(kernel_.rename(kUnknownNode, "a", kRoot, "x").error, ESTALE);
  EXPECT_EQ(kernel_.rename(kRoot, "a", kRoot, std::string(256, 'n')).error, ENAMETOOLONG);
  EXPECT_EQ(kernel_.rename(kRoot, "a", directory, "moved").error, 0);
  EXPECT_EQ(kernel_.lookup(kRoot, "a").error, ENOENT);
  EXPECT_EQ(kernel_.lookup(directory, "moved").error, 0);
  // The request of before RENAME2.
  EXPECT_EQ(kernel_.call(FUSE_RENAME, kRoot, wire(fuse_rename_in{directory}, "b", "moved")).error,
            0);
}

// ---- directories

TEST_F(FuseOps, ReaddirListsAllInPieces) {
  for (int i = 0; i < 200; ++i) {
    create_closed("file-" + std::to_string(i));
  }
  for (const bool plus : {false, true}) {
    for (const std::uint32_t size : {512U, 4096U, 1U << 20}) {
      const auto all = list(kRoot, plus, size);
      EXPECT_EQ(all.size(), 202U) << plus << " " << size;
      EXPECT_FALSE(all.contains(".arrayfs"));
    }
  }
}

TEST_F(FuseOps, ReaddirPlusGivesNodesToForget) {
  const std::uint64_t node = create_closed("a");
  const auto all = list(kRoot, true, 4096);
  EXPECT_EQ(all.at("a"), node);
  EXPECT_EQ(all.at("."), 0U);
  kernel_.forget(node, 1);
  EXPECT_EQ(kernel_.getattr(node).error, 0);
  kernel_.forget(node, 1);
  EXPECT_EQ(kernel_.getattr(node).error, ESTALE);
}

TEST_F(FuseOps, ReaddirWithoutRoomGivesNothing) {
  create_closed("a");
  const std::uint64_t before = kernel_.status("kernel_nodes");
  const std::uint64_t handle = open_directory(kRoot);
  for (const std::uint32_t size : {0U, 1U, 24U}) {
    EXPECT_EQ(kernel_.readdir(kRoot, handle, size).body, "") << size;
    EXPECT_EQ(kernel_.readdirplus(kRoot, handle, size).body, "") << size;
  }
  EXPECT_EQ(kernel_.releasedir(kRoot, handle).error, 0);
  EXPECT_EQ(kernel_.status("kernel_nodes"), before);
}

TEST_F(FuseOps, ReaddirOfHugeSizesIsAnsweredWithinReason) {
  create_closed("a");
  const std::uint64_t handle = open_directory(kRoot);
  EXPECT_FALSE(kernel_.readdir(kRoot, handle, UINT32_MAX).body.empty());
  EXPECT_FALSE(kernel_.readdirplus(kRoot, handle, UINT32_MAX).body.empty());
  EXPECT_EQ(kernel_.releasedir(kRoot, handle).error, 0);
}

TEST_F(FuseOps, DirectoryFailures) {
  const std::uint64_t file = create_closed("a");
  EXPECT_EQ(kernel_.opendir(file).error, ENOTDIR);
  EXPECT_EQ(kernel_.opendir(kUnknownNode).error, ESTALE);
  EXPECT_EQ(kernel_.readdir(kRoot, kNoHandle, 4096).error, EBADF);
  EXPECT_EQ(kernel_.readdirplus(kRoot, kNoHandle, 4096).error, EBADF);
  EXPECT_EQ(kernel_.call(FUSE_FSYNCDIR, kRoot, wire(fuse_fsync_in{kNoHandle, 0, 0})).error, EBADF);
}

TEST_F(FuseOps, ADirectoryThatWasRemovedIsReadToItsEnd) {
  const std::uint64_t node = make_directory(kRoot, "d");
  const std::uint64_t handle = open_directory(node);
  EXPECT_EQ(kernel_.rmdir(kRoot, "d").error, 0);
  EXPECT_EQ(kernel_.readdir(node, handle, 4096).error, ENOENT);  // as on tmpfs
  EXPECT_EQ(kernel_.call(FUSE_FSYNCDIR, node, wire(fuse_fsync_in{handle, 0, 0})).error, 0);
  EXPECT_EQ(kernel_.releasedir(node, handle).error, 0);
}

}  // namespace
}  // namespace arrayfs
