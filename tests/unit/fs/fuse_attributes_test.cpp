// The operations on attributes and xattrs, as requests of the kernel.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "fuse_ops_fixture.hpp"

namespace arrayfs {
namespace {

// ---- attributes

TEST_F(FuseOps, GetattrFails) {
  for (const std::uint64_t node : {std::uint64_t{0}, kUnknownNode, std::uint64_t{1} << 40}) {
    EXPECT_EQ(kernel_.getattr(node).error, ESTALE) << node;
  }
}

TEST_F(FuseOps, SetattrChangesWhatItNames) {
  const std::uint64_t node = create_closed("a", "12345");
  fuse_setattr_in in{};
  in.valid = FATTR_MODE | FATTR_MTIME | FATTR_ATIME;
  in.mode = S_IFREG | 0600;
  in.mtime = 1000;
  in.mtimensec = 5;
  in.atime = 2000;
  const Reply changed = kernel_.setattr(node, in);
  ASSERT_EQ(changed.error, 0);
  const fuse_attr now = changed.as<fuse_attr_out>().attr;
  EXPECT_EQ(now.mode, static_cast<std::uint32_t>(S_IFREG | 0600));
  EXPECT_EQ(now.mtime, 1000U);
  EXPECT_EQ(now.mtimensec, 5U);
  EXPECT_EQ(now.atime, 2000U);
  EXPECT_EQ(now.size, 5U);
  in = {};
  in.valid = FATTR_MTIME | FATTR_MTIME_NOW;
  EXPECT_GT(kernel_.setattr(node, in).as<fuse_attr_out>().attr.mtime, 1000U);
}

TEST_F(FuseOps, SetattrOfOwnersDropsSetuid) {
  SKIP_UNLESS_ROOT("only root gives files away");
  const std::uint64_t node = create_closed("a");
  EXPECT_EQ(set_mode(node, S_IFREG | 06755).as<fuse_attr_out>().attr.mode & 07777, 06755U);
  fuse_setattr_in in{};
  in.valid = FATTR_UID | FATTR_GID;
  in.uid = 1234;
  in.gid = 5678;
  const fuse_attr now = kernel_.setattr(node, in).as<fuse_attr_out>().attr;
  EXPECT_EQ(now.uid, 1234U);
  EXPECT_EQ(now.gid, 5678U);
  EXPECT_EQ(now.mode & 07777, 0755U);
}

TEST_F(FuseOps, SetattrKillsSetuidWhenAskedTo) {
  const std::uint64_t node = create_closed("a", "12345");
  set_mode(node, S_IFREG | 04755);
  fuse_setattr_in in{};
  in.valid = FATTR_SIZE | FATTR_KILL_SUIDGID;
  in.size = 2;
  EXPECT_EQ(kernel_.setattr(node, in).as<fuse_attr_out>().attr.mode & 07777, 0755U);
}

TEST_F(FuseOps, AWriteByAnotherUserKillsSetuid) {
  const Opened file = create("a", "12345");
  set_mode(file.node, S_IFREG | 04777);
  fuse_write_in write{};
  write.fh = file.handle;
  write.size = 1;
  write.write_flags = FUSE_WRITE_KILL_SUIDGID;
  EXPECT_EQ(kernel_.call(FUSE_WRITE, file.node, wire(write).append("x"), {1234, 1234}).error, 0);
  EXPECT_EQ(attr(file.node).mode & 07777, 0777U);
}

TEST_F(FuseOps, SetattrFails) {
  EXPECT_EQ(set_mode(kUnknownNode, 0).error, ESTALE);
  EXPECT_EQ(set_size(kUnknownNode, 5).error, ESTALE);
  EXPECT_EQ(set_size(kRoot, 5).error, EISDIR);
  const std::uint64_t node = create_closed("a");
  EXPECT_EQ(set_size(node, 1ULL << 63).error, EINVAL);
  EXPECT_EQ(set_size(node, ~0ULL).error, EINVAL);
  EXPECT_EQ(attr(node).size, 0U);
}

TEST_F(FuseOps, GrowthIsAllocatedOrRefused) {
  SKIP_UNLESS_ROOT("only the tmpfs of root has a size");
  const std::uint64_t node = create_closed("a", "12345");
  const Reply grown = set_size(node, 1 << 20);
  ASSERT_EQ(grown.error, 0);
  EXPECT_GE(grown.as<fuse_attr_out>().attr.blocks * 512, 1U << 20);
  EXPECT_EQ(set_size(node, 1ULL << 40).error, ENOSPC);
  EXPECT_EQ(attr(node).size, 1U << 20);
}

// ---- xattrs

TEST_F(FuseOps, XattrsAreKept) {
  const std::uint64_t node = create_closed("a");
  EXPECT_EQ(kernel_.setxattr(node, "user.x", "value").error, 0);
  EXPECT_EQ(kernel_.getxattr(node, "user.x").body, "value");
  EXPECT_EQ(kernel_.getxattr(node, "user.x", 0).as<fuse_getxattr_out>().size, 5U);
  const Reply names = kernel_.listxattr(node);
  EXPECT_EQ(names.body, std::string("user.x\0", 7));
  EXPECT_EQ(kernel_.removexattr(node, "user.x").error, 0);
  EXPECT_EQ(kernel_.getxattr(node, "user.x").error, ENODATA);
}

TEST_F(FuseOps, XattrFailures) {
  const std::uint64_t node = create_closed("a");
  kernel_.setxattr(node, "user.x", "value");
  EXPECT_EQ(kernel_.getxattr(node, "user.x", 4).error, ERANGE);
  EXPECT_EQ(kernel_.setxattr(node, "user.x", "again", XATTR_CREATE).error, EEXIST);
  EXPECT_EQ(kernel_.setxattr(node, "user.y", "none", XATTR_REPLACE).error, ENODATA);
  EXPECT_EQ(kernel_.setxattr(node, "user.array.nothing", "1").error, EINVAL);
  EXPECT_EQ(kernel_.removexattr(node, "user.y").error, ENODATA);
  EXPECT_EQ(kernel_.getxattr(node, "no_namespace").error, EOPNOTSUPP);
  EXPECT_EQ(kernel_.getxattr(kUnknownNode, "user.x").error, ESTALE);
  EXPECT_EQ(kernel_.setxattr(kUnknownNode, "user.x", "1").error, ESTALE);
  EXPECT_EQ(kernel_.listxattr(kUnknownNode, 0).error, ESTALE);
  EXPECT_EQ(kernel_.listxattr(node, 1).error, ERANGE);
  EXPECT_EQ(kernel_.getxattr(node, "user.x", UINT32_MAX).body, "value");
}

TEST_F(FuseOps, ArraysDescribeThemselvesInXattrs) {
  const std::uint64_t node = create_closed("w.npy", npy_bytes("<f8", {3, 4}));
  EXPECT_EQ(kernel_.getxattr(node, "user.array.shape").body, "3,4");
  EXPECT_EQ(kernel_.setxattr(node, "user.array.shape", "3,4").error, 0);
  EXPECT_EQ(kernel_.setxattr(node, "user.array.shape", "4,3").error, EINVAL);
  EXPECT_EQ(kernel_.removexattr(node, "user.array.shape").error, EPERM);
  const Reply names = kernel_.listxattr(node);
  EXPECT_NE(names.body.find("user.array.dtype"), std::string::npos);
}

}  // namespace
}  // namespace arrayfs
