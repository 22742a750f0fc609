// The operations on open files, as requests of the kernel.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "fuse_ops_fixture.hpp"

namespace arrayfs {
namespace {

TEST_F(FuseOps, CreateWriteReadRelease) {
  const std::uint64_t before = kernel_.status("open_files");
  const Opened file = create("a");
  EXPECT_EQ(kernel_.write(file.node, file.handle, 0, "hello").as<fuse_write_out>().size, 5U);
  EXPECT_EQ(kernel_.write(file.node, file.handle, 10, "there").as<fuse_write_out>().size, 5U);
  EXPECT_EQ(kernel_.read(file.node, file.handle, 0, 100).body,
            std::string("hello\0\0\0\0\0there", 15));
  EXPECT_EQ(kernel_.read(file.node, file.handle, 12, 2).body, "er");
  EXPECT_EQ(kernel_.read(file.node, file.handle, 100, 10).body, "");
  EXPECT_EQ(kernel_.status("open_files"), before + 1);
  EXPECT_EQ(kernel_.call(FUSE_FLUSH, file.node, wire(fuse_flush_in{file.handle, 0, 0, 0})).error,
            0);
  EXPECT_EQ(kernel_.call(FUSE_FSYNC, file.node, wire(fuse_fsync_in{file.handle, 0, 0})).error, 0);
  EXPECT_EQ(kernel_.call(FUSE_FSYNC, file.node, wire(fuse_fsync_in{file.handle, 1, 0})).error, 0);
  EXPECT_EQ(kernel_.release(file.node, file.handle, O_RDWR).error, 0);
  EXPECT_EQ(kernel_.status("open_files"), before);
}

TEST_F(FuseOps, CreateFails) {
  create_closed("a");
  make_directory(kRoot, "d");
  EXPECT_EQ(kernel_.create(kRoot, "a", O_RDWR | O_EXCL).error, EEXIST);
  // The kernel believed the name to be free: it is told to look again.
  EXPECT_EQ(kernel_.create(kRoot, "d", O_RDWR).error, ESTALE);
  EXPECT_EQ(kernel_.create(kUnknownNode, "b", O_RDWR).error, ESTALE);
  EXPECT_EQ(kernel_.create(kernel_.walk("a"), "b", O_RDWR).error, ENOTDIR);
  EXPECT_EQ(kernel_.create(kRoot, std::string(256, 'n'), O_RDWR).error, ENAMETOOLONG);
}

TEST_F(FuseOps, OpenFails) {
  EXPECT_EQ(kernel_.open(kUnknownNode, O_RDONLY).error, ESTALE);
  EXPECT_EQ(kernel_.open(kRoot, O_RDWR).error, EISDIR);
  const std::uint64_t node = create_closed("a");
  ASSERT_EQ(kernel_.setxattr(node, "user.array.sealed", "1").error, 0);
  EXPECT_EQ(kernel_.open(node, O_RDWR).error, EPERM);
  EXPECT_EQ(kernel_.open(node, O_RDONLY | O_TRUNC).error, EPERM);
  const Reply reading = kernel_.open(node, O_RDONLY);
  ASSERT_EQ(reading.error, 0);
  EXPECT_EQ(kernel_.release(node, reading.as<fuse_open_out>().fh, O_RDONLY).error, 0);
}

TEST_F(FuseOps, WritingADescriptorThatOnlyReadsFails) {
  const std::uint64_t node = create_closed("a");
  const auto opened = kernel_.open(node, O_RDONLY).as<fuse_open_out>();
  EXPECT_EQ(kernel_.write(node, opened.fh, 0, "x").error, EBADF);
  EXPECT_EQ(kernel_.release(node, opened.fh, O_RDONLY).error, 0);
}

TEST_F(FuseOps, HandlesThatAreNone) {
  const std::uint64_t node = create_closed("a");
  EXPECT_EQ(kernel_.read(node, kNoHandle, 0, 10).error, EBADF);
  EXPECT_EQ(kernel_.write(node, kNoHandle, 0, "x").error, EBADF);
  EXPECT_EQ(kernel_.call(FUSE_FSYNC, node, wire(fuse_fsync_in{kNoHandle, 0, 0})).error, EBADF);
  EXPECT_EQ(kernel_.call(FUSE_LSEEK, node, wire(fuse_lseek_in{kNoHandle, 0, SEEK_DATA, 0})).error,
            EBADF);
  EXPECT_EQ(kernel_.release(node, kNoHandle, O_RDWR).error, 0);
  EXPECT_EQ(kernel_.release(kUnknownNode, kNoHandle, O_RDWR).error, 0);
  EXPECT_EQ(kernel_.release(~0ULL >> 8, kNoHandle, O_RDWR).error, 0);
  EXPECT_EQ(kernel_.status("open_files"), 0U);
}

TEST_F(FuseOps, ReadsOfHugeSizesGiveWhatIsThere) {
  const Opened file = create("a", "12345");
  EXPECT_EQ(kernel_.read(file.node, file.handle, 0, 1U << 30).body, "12345");
  EXPECT_EQ(kernel_.read(file.node, file.handle, 1ULL << 62, 10).body, "");
  EXPECT_EQ(kernel_.read(file.node, file.handle, ~0ULL, 10).error, EINVAL);
  EXPECT_NE(kernel_.write(file.node, file.handle, ~0ULL, "x").error, 0);
  EXPECT_EQ(kernel_.write(file.node, file.handle, INT64_MAX, "x").error, EINVAL);
}

TEST_F(FuseOps, AWriteThatClaimsMoreThanItBringsIsRefused) {
  const Opened file = create("a");
  fuse_write_in in{};
  in.fh = file.handle;
  in.size = 64U << 20;
  EXPECT_EQ(kernel_.call(FUSE_WRITE, file.node, wire(in).append("x")).error, EIO);
  EXPECT_EQ(attr(file.node).size, 0U);
}

TEST_F(FuseOps, FallocateHolesAndSeek) {
  const Opened file = create("a");
  const auto fallocate = [&](std::uint64_t offset, std::uint64_t length, std::uint32_t mode) {
    return kernel_.fallocate(file.node, file.handle, offset, length, mode).error;
  };
  EXPECT_EQ(fallocate(0, 65536, 0), 0);
  EXPECT_EQ(attr(file.node).size, 65536U);
  kernel_.write(file.node, file.handle, 0, std::string(65536, 'x'));
  EXPECT_EQ(fallocate(0, 0, 0), EINVAL);
  EXPECT_EQ(fallocate(~0ULL, 1, 0), EINVAL);
  EXPECT_EQ(fallocate(0, 4096, 0x4000), EOPNOTSUPP);
  EXPECT_EQ(fallocate(8192, 4096, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE), 0);
  const auto seek = [&](std::uint64_t offset, std::uint32_t whence) {
    return kernel_.call(FUSE_LSEEK, file.node, wire(fuse_lseek_in{file.handle, offset, whence, 0}));
  };
  EXPECT_EQ(seek(0, SEEK_HOLE).as<fuse_lseek_out>().offset, 8192U);
  EXPECT_EQ(seek(8192, SEEK_DATA).as<fuse_lseek_out>().offset, 12288U);
  EXPECT_EQ(seek(65536, SEEK_DATA).error, ENXIO);
  EXPECT_EQ(seek(0, 99).error, EINVAL);
  // Holes that were asked for are not filled again.
  EXPECT_LT(attr(file.node).blocks * 512, 65536U);
}

TEST_F(FuseOps, FallocateBeyondTheStoreIsRefused) {
  SKIP_UNLESS_ROOT("only the tmpfs of root has a size");
  const Opened file = create("a");
  EXPECT_EQ(kernel_.fallocate(file.node, file.handle, 0, 1ULL << 40).error, ENOSPC);
  EXPECT_EQ(attr(file.node).size, 0U);
}

TEST_F(FuseOps, CopiesRanges) {
  const Opened from = create("from", "0123456789");
  const Opened to = create("to");
  fuse_copy_file_range_in in{};
  in.fh_in = from.handle;
  in.off_in = 2;
  in.nodeid_out = to.node;
  in.fh_out = to.handle;
  in.off_out = 1;
  in.len = 4;
  EXPECT_EQ(kernel_.call(FUSE_COPY_FILE_RANGE, from.node, wire(in)).as<fuse_write_out>().size, 4U);
  EXPECT_EQ(kernel_.read(to.node, to.handle, 0, 10).body, std::string(1, '\0') + "2345");
  in.fh_out = kNoHandle;
  EXPECT_EQ(kernel_.call(FUSE_COPY_FILE_RANGE, from.node, wire(in)).error, EBADF);
  in.fh_out = to.handle;
  in.flags = 7;
  EXPECT_EQ(kernel_.call(FUSE_COPY_FILE_RANGE, from.node, wire(in)).error, EINVAL);
}

TEST_F(FuseOps, IoctlsAreNone) {
  const Opened file = create("a");
  fuse_ioctl_in in{};
  in.fh = file.handle;
  in.cmd = 0x5401;  // TCGETS
  EXPECT_EQ(kernel_.call(FUSE_IOCTL, file.node, wire(in)).error, ENOTTY);
}

TEST_F(FuseOps, StatfsTellsTheCapacity) {
  SKIP_UNLESS_ROOT("only the tmpfs of root has a size");
  const Reply reply = kernel_.call(FUSE_STATFS, kRoot, "");
  ASSERT_EQ(reply.error, 0);
  const auto usage = reply.as<fuse_statfs_out>().st;
  EXPECT_EQ(usage.blocks * usage.frsize, 64 * kMiB);
  EXPECT_EQ(usage.namelen, 255U);
}

}  // namespace
}  // namespace arrayfs
