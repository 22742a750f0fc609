// The control tree, as the kernel sees it.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "fuse_ops_fixture.hpp"

namespace arrayfs {
namespace {

TEST(FuseControl, IsListedWhenAskedFor) {
  MountConfig config = unique_config();
  config.show_control = true;
  RawKernel kernel(config);
  const std::uint64_t handle = kernel.opendir(kRoot).as<fuse_open_out>().fh;
  const Reply listed = kernel.readdir(kRoot, handle, 4096);
  EXPECT_NE(listed.body.find(".arrayfs"), std::string::npos);
}

TEST_F(FuseOps, ViewsAreReadInPieces) {
  create_closed("w.npy", npy_bytes("<f8", {3}));
  const std::string whole = kernel_.view(".arrayfs/info/w.npy");
  EXPECT_NE(whole.find("dtype: float64"), std::string::npos) << whole;
  const std::uint64_t node = kernel_.walk(".arrayfs/info/w.npy");
  const Reply opened = kernel_.open(node, O_RDONLY);
  const auto out = opened.as<fuse_open_out>();
  EXPECT_NE(out.open_flags & FOPEN_DIRECT_IO, 0U);
  EXPECT_EQ(kernel_.read(node, out.fh, 2, 5).body, whole.substr(2, 5));
  EXPECT_EQ(kernel_.read(node, out.fh, whole.size(), 5).body, "");
  EXPECT_EQ(kernel_.read(node, out.fh, ~0ULL, 5).body, "");
  EXPECT_EQ(kernel_.read(node, out.fh, 0, 1U << 30).body, whole);
  EXPECT_EQ(kernel_.write(node, out.fh, 0, "x").error, EBADF);
  EXPECT_EQ(kernel_.call(FUSE_FLUSH, node, wire(fuse_flush_in{out.fh, 0, 0, 0})).error, 0);
  EXPECT_EQ(kernel_.fallocate(node, out.fh, 0, 1).error, EOPNOTSUPP);
  EXPECT_EQ(kernel_.release(node, out.fh, O_RDONLY).error, 0);
}

TEST_F(FuseOps, GeneratedNamesCannotBeChanged) {
  const std::uint64_t control = kernel_.walk(".arrayfs");
  const std::uint64_t info = kernel_.walk(".arrayfs/info");
  const std::uint64_t file = create_closed("a");
  for (const std::uint64_t parent : {control, info}) {
    EXPECT_EQ(kernel_.create(parent, "x", O_RDWR).error, EPERM);
    EXPECT_EQ(kernel_.mkdir(parent, "x").error, EPERM);
    EXPECT_EQ(kernel_.unlink(parent, "a").error, EPERM);
    EXPECT_EQ(kernel_.rmdir(parent, "info").error, EPERM);
    EXPECT_EQ(kernel_.symlink(parent, "x", "y").error, EPERM);
    EXPECT_EQ(kernel_.link(file, parent, "x").error, EPERM);
    EXPECT_EQ(kernel_.rename(kRoot, "a", parent, "x").error, EPERM);
    EXPECT_EQ(kernel_.rename(parent, "a", kRoot, "x").error, EPERM);
    EXPECT_EQ(kernel_.setxattr(parent, "user.x", "1").error, EPERM);
    EXPECT_EQ(kernel_.removexattr(parent, "user.x").error, EPERM);
    EXPECT_EQ(set_mode(parent, 0).error, EPERM);
  }
  EXPECT_EQ(kernel_.mkdir(kRoot, ".arrayfs").error, EPERM);
  EXPECT_EQ(kernel_.rmdir(kRoot, ".arrayfs").error, EPERM);
  EXPECT_EQ(kernel_.rename(kRoot, "a", kRoot, ".arrayfs").error, EPERM);
  EXPECT_EQ(kernel_.link(kernel_.walk(".arrayfs/info/a"), kRoot, "x").error, EPERM);
  EXPECT_EQ(kernel_.open(kernel_.walk(".arrayfs/info/a"), O_RDWR).error, EACCES);
  EXPECT_EQ(kernel_.open(kernel_.walk(".arrayfs/status"), O_RDONLY | O_TRUNC).error, EACCES);
}

TEST_F(FuseOps, NodesOfViewsThatDoNotExist) {
  const std::uint64_t file = create_closed("a");
  for (const std::uint64_t view : {1ULL, 2ULL, 6ULL, 7ULL, 100ULL, 255ULL}) {
    for (const std::uint64_t about : {std::uint64_t{0}, kRoot, file, kUnknownNode}) {
      const std::uint64_t node = view << 56 | about;
      kernel_.getattr(node);
      kernel_.lookup(node, "a");
      kernel_.readlink(node);
      kernel_.getxattr(node, "system.posix_acl_access", 64);
      const Reply opened = kernel_.open(node, O_RDONLY);
      if (opened.error == 0) {
        EXPECT_EQ(kernel_.release(node, opened.as<fuse_open_out>().fh, O_RDONLY).error, 0);
      }
      const Reply directory = kernel_.opendir(node);
      if (directory.error == 0) {
        EXPECT_EQ(kernel_.releasedir(node, directory.as<fuse_open_out>().fh).error, 0);
      }
    }
  }
  EXPECT_EQ(kernel_.getattr(200ULL << 56 | kRoot).error, ESTALE);
  EXPECT_EQ(kernel_.open(kernel_.walk(".arrayfs"), O_RDONLY).error, EISDIR);
}

}  // namespace
}  // namespace arrayfs
