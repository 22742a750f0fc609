// The promises beyond tmpfs, as the kernel sees them.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "fuse_ops_fixture.hpp"

namespace arrayfs {
namespace {

TEST_F(FuseOps, OverwritingAnArrayInUseGivesItsNameANewVersion) {
  const Opened reader = create("w.npy", npy_bytes("<f8", {8}, std::string(64, 'o')));
  EXPECT_EQ(kernel_.open(reader.node, O_RDWR | O_TRUNC).error, ESTALE);
  const Reply again = kernel_.lookup(kRoot, "w.npy");
  const std::uint64_t fresh = again.as<fuse_entry_out>().nodeid;
  EXPECT_NE(fresh, reader.node);
  EXPECT_EQ(again.as<fuse_entry_out>().attr.size, 0U);
  EXPECT_EQ(kernel_.open(fresh, O_RDWR | O_TRUNC).error, 0);
  EXPECT_EQ(kernel_.read(reader.node, reader.handle, 128, 64).body, std::string(64, 'o'));
  EXPECT_EQ(kernel_.status("nameless_files"), 1U);
}

TEST_F(FuseOps, ShrinkingAnArrayInUseIsRefused) {
  const Opened reader = create("w.npy", npy_bytes("<f8", {8}));
  EXPECT_EQ(set_size(reader.node, 100).error, ETXTBSY);
  EXPECT_EQ(attr(reader.node).size, 192U);
  EXPECT_EQ(kernel_.release(reader.node, reader.handle, O_RDWR).error, 0);
  EXPECT_EQ(set_size(reader.node, 100).error, 0);
}

TEST_F(FuseOps, SealingWaitsForWriters) {
  const Opened writer = create("w.npy", npy_bytes("<f8", {8}));
  EXPECT_EQ(kernel_.setxattr(writer.node, "user.array.sealed", "1").error, EBUSY);
  EXPECT_EQ(kernel_.setxattr(writer.node, "user.array.sealed", "2").error, EINVAL);
  EXPECT_EQ(kernel_.release(writer.node, writer.handle, O_RDWR).error, 0);
  EXPECT_EQ(kernel_.setxattr(writer.node, "user.array.sealed", "1").error, 0);
  EXPECT_EQ(set_size(writer.node, 1000).error, EPERM);
  EXPECT_EQ(set_size(writer.node, 10).error, EPERM);
  EXPECT_EQ(kernel_.setxattr(writer.node, "user.array.sealed", "0").error, 0);
  EXPECT_EQ(kernel_.open(writer.node, O_RDWR).error, 0);
}

TEST_F(FuseOps, TheKernelIsToldWhenALifetimeIsOver) {
  const std::uint64_t node = create_closed("w.npy", npy_bytes("<f8", {8}));
  IdleProcess owner;
  ASSERT_EQ(kernel_.setxattr(node, "user.array.owner_pid", std::to_string(owner.pid())).error, 0);
  EXPECT_EQ(kernel_.lookup(kRoot, "w.npy").error, 0);
  owner.end();
  EXPECT_NE(kernel_.wait_for_notification(FUSE_NOTIFY_INVAL_ENTRY).find("w.npy"),
            std::string::npos);
  EXPECT_EQ(kernel_.lookup(kRoot, "w.npy").error, ENOENT);
}

}  // namespace
}  // namespace arrayfs
