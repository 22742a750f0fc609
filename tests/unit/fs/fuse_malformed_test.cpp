// Requests that no kernel sends.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <iterator>
#include <random>
#include <string>

#include "fuse_ops_fixture.hpp"

namespace arrayfs {
namespace {

// Operations on names and attributes.
constexpr std::uint32_t kOpcodes[] = {
    FUSE_LOOKUP,   FUSE_GETATTR,   FUSE_SETATTR,     FUSE_READLINK, FUSE_UNLINK,
    FUSE_RMDIR,    FUSE_RENAME,    FUSE_LINK,        FUSE_STATFS,   FUSE_SETXATTR,
    FUSE_GETXATTR, FUSE_LISTXATTR, FUSE_REMOVEXATTR, FUSE_ACCESS,   FUSE_IOCTL,
    FUSE_RENAME2,  FUSE_FLUSH,     FUSE_POLL,        FUSE_TMPFILE,  FUSE_SYNCFS};

// A body always ends a string somewhere, as what the kernel copies from a name does.
std::string random_body(std::mt19937& random) {
  std::string body(random() % 200, '\0');
  for (char& byte : body) {
    byte = static_cast<char>(random());
  }
  return body.append(4, '\0');
}

TEST_F(FuseOps, UnknownOpcodesAreNotImplemented) {
  for (const std::uint32_t opcode : {0U, 7U, 19U, 37U, 49U, 53U, 60U, 4095U, 0xffffffffU}) {
    EXPECT_EQ(kernel_.call(opcode, kRoot, std::string(64, '\0')).error, ENOSYS) << opcode;
  }
  EXPECT_EQ(kernel_.call(FUSE_BMAP, kRoot, wire(fuse_bmap_in{})).error, ENOSYS);
  EXPECT_EQ(kernel_.call(FUSE_GETLK, kRoot, wire(fuse_lk_in{})).error, ENOSYS);
}

TEST_F(FuseOps, InterruptingWhatIsDoneOrUnknownIsNoMatter) {
  EXPECT_EQ(kernel_.lookup(kRoot, "nothing").error, ENOENT);
  kernel_.send(FUSE_INTERRUPT, 0, wire(fuse_interrupt_in{2}));
  EXPECT_EQ(kernel_.getattr(kRoot).error, 0);
  kernel_.send(FUSE_INTERRUPT, 0, wire(fuse_interrupt_in{1'000'000}));
  EXPECT_EQ(kernel_.getattr(kRoot).error, 0);
}

TEST_F(FuseOps, TruncatedRequestsAreAnsweredAndLeakNothing) {
  create_closed("a", "12345");
  const std::uint64_t nodes = kernel_.status("kernel_nodes");
  const size_t descriptors = open_descriptors();
  for (std::uint32_t opcode = 1; opcode < 52; ++opcode) {
    switch (opcode) {
      case FUSE_BATCH_FORGET:  // libfuse believes its count, which the kernel alone can vouch for
      case FUSE_NOTIFY_REPLY:  // libfuse leaks those that it did not ask for
      case FUSE_DESTROY:
        break;
      case FUSE_FORGET:
      case FUSE_INTERRUPT:
        kernel_.send(opcode, kUnknownNode, "");  // these have no reply
        break;
      default:
        // What is missing is whatever the buffer held before: another request's bytes.
        kernel_.call(opcode, kUnknownNode, "");
        kernel_.call(opcode, kUnknownNode, std::string(3, '\xff'));
    }
  }
  EXPECT_EQ(kernel_.status("kernel_nodes"), nodes);
  EXPECT_EQ(kernel_.status("open_files"), 0U);
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_F(FuseOps, ARequestShorterThanItsHeaderEndsTheSessionInOrder) {
  kernel_.send_raw("short");
  EXPECT_TRUE(fails_with(kernel_.finish(), EIO));
}

TEST_F(FuseOps, GarbageIsAnsweredAndLeaksNothing) {
  const std::uint64_t file = create_closed("a", "12345");
  const std::uint64_t nodes = kernel_.status("kernel_nodes");
  const size_t descriptors = open_descriptors();
  std::mt19937 random(20260301);  // the same in each run
  for (int i = 0; i < 4000; ++i) {
    const std::string body = random_body(random);
    const std::uint64_t targets[] = {kRoot, file, kUnknownNode, random(),
                                     std::uint64_t{random()} << 32};
    const std::uint32_t opcode = kOpcodes[random() % std::size(kOpcodes)];
    const Reply reply = kernel_.call(opcode, targets[random() % 5], body);
    if (opcode == FUSE_LOOKUP && reply.error == 0) {
      kernel_.forget(reply.as<fuse_entry_out>().nodeid);
    }
  }
  EXPECT_EQ(kernel_.status("kernel_nodes"), nodes);
  EXPECT_EQ(kernel_.status("open_files"), 0U);
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(kernel_.getattr(kRoot).error, 0);
}

TEST_F(FuseOps, NothingIsLeftAfterEveryOperationFailed) {
  const std::uint64_t nodes = kernel_.status("kernel_nodes");
  const size_t descriptors = open_descriptors();
  for (int i = 0; i < 100; ++i) {
    kernel_.lookup(kRoot, "missing");
    kernel_.create(kRoot, std::string(300, 'x'), O_RDWR);
    kernel_.open(kUnknownNode, O_RDWR);
    kernel_.lookup(kernel_.walk(".arrayfs/info"), "missing");
    kernel_.lookup(kernel_.walk(".arrayfs/json"), "missing.json");
    kernel_.open(kRoot, O_RDWR);
  }
  EXPECT_EQ(kernel_.status("kernel_nodes"), nodes);
  EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace arrayfs
