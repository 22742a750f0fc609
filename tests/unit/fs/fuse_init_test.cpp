// What is negotiated with the kernel, and how a session ends.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "fuse_ops_fixture.hpp"

namespace arrayfs {
namespace {

TEST_F(FuseOps, InitAsksForWhatTheDaemonNeeds) {
  const std::uint64_t flags =
      kernel_.negotiated().flags | std::uint64_t{kernel_.negotiated().flags2} << 32;
  EXPECT_EQ(kernel_.negotiated().major, 7U);
  EXPECT_NE(flags & FUSE_POSIX_ACL, 0U);
  EXPECT_NE(flags & FUSE_DONT_MASK, 0U);
  EXPECT_NE(flags & FUSE_ATOMIC_O_TRUNC, 0U);
  EXPECT_NE(flags & FUSE_HANDLE_KILLPRIV_V2, 0U);
  EXPECT_EQ(flags & FUSE_WRITEBACK_CACHE, 0U) << "it disables passthrough";
  EXPECT_EQ(flags & FUSE_HANDLE_KILLPRIV, 0U);
  EXPECT_EQ(kernel_.negotiated().time_gran, 1U);
}

TEST_F(FuseOps, PassthroughIsAskedForAndItsAbsenceExplained) {
  if (is_root()) {
    EXPECT_NE(kernel_.negotiated().flags2 & (1U << 5), 0U);
    EXPECT_EQ(kernel_.negotiated().unused[0], 1U);  // max_stack_depth of protocol 7.40
  }
  const std::string status = kernel_.view(".arrayfs/status");
  EXPECT_NE(status.find("plane: cached"), std::string::npos) << status;
  EXPECT_EQ(status.find("plane_reason: \n"), std::string::npos) << status;
}

TEST(FuseInit, WhatIsNotOfferedIsNotTaken) {
  RawKernel kernel(unique_config(), FUSE_ASYNC_READ);
  EXPECT_EQ(kernel.negotiated().flags & (FUSE_HANDLE_KILLPRIV_V2 | FUSE_POSIX_ACL | FUSE_INIT_EXT),
            0U);
  EXPECT_EQ(kernel.negotiated().flags2, 0U);
  EXPECT_NE(kernel.view(".arrayfs/status").find("does not offer"), std::string::npos);
}

TEST(FuseInit, CachedDoesNotAskForPassthrough) {
  MountConfig config = unique_config();
  config.io = Io::kCached;
  RawKernel kernel(config);
  EXPECT_EQ(kernel.negotiated().flags2 & (1U << 5), 0U);
  EXPECT_NE(kernel.view(".arrayfs/status").find("--io cached"), std::string::npos);
}

TEST(FuseInit, PassthroughThatCannotBeHadIsAnError) {
  MountConfig config = unique_config();
  config.io = Io::kPassthrough;
  RawKernel kernel(config);
  const auto served = kernel.finish();
  ASSERT_TRUE(fails_with(served, ENOTSUP));
  EXPECT_NE(served.error().context.find("--io auto"), std::string::npos);
}

TEST(FuseInit, HangingUpEndsTheSessionWithoutALeak) {
  const size_t descriptors = open_descriptors();
  {
    RawKernel kernel;
    EXPECT_EQ(kernel.lookup(kRoot, "nothing").error, ENOENT);
    EXPECT_TRUE(ok(kernel.finish()));
  }
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_F(FuseOps, ASecondInitIsRefused) {
  fuse_init_in init{};
  init.major = 7;
  init.minor = 44;
  EXPECT_EQ(kernel_.call(FUSE_INIT, 0, wire(init)).error, EIO);
  EXPECT_EQ(kernel_.getattr(kRoot).error, 0);
}

}  // namespace
}  // namespace arrayfs
