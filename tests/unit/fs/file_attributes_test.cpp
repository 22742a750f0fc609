// FileSystem: attributes and xattrs.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <ios>
#include <string>
#include <utility>

#include "file_system_fixture.hpp"

namespace arrayfs {
namespace {

// ---- attributes

TEST_P(FileSystemTest, AttributeFailures) {
  EXPECT_TRUE(fails_with(files().get_attributes(kUnknownNode), ESTALE));
  EXPECT_TRUE(fails_with(resize(kUnknownNode, 5), ESTALE));
  EXPECT_TRUE(fails_with(resize(kRootNode, 5), EISDIR));
  const NodeId node = enter("a", "12345");
  EXPECT_TRUE(fails_with(resize(node, 1ULL << 63), EINVAL));
  EXPECT_EQ(must(files().get_attributes(node)).st_size, 5);
}

TEST_P(FileSystemTest, DropsPrivilegesAsAWriteDoes) {
  const NodeId node = enter("a", "x");
  AttrChange drop;
  drop.drop_privileges = true;
  const std::pair<mode_t, mode_t> cases[] = {{04755, 0755}, {06755, 0755}, {02745, 02745},
                                             {02755, 0755}, {0755, 0755},  {01777, 01777}};
  for (const auto& [before, after] : cases) {
    ASSERT_EQ(fchmodat(store_.get().root_fd(), "a", before, 0), 0);
    EXPECT_EQ(must(files().set_attributes(node, drop, {})).st_mode & 07777, after)
        << std::oct << before;
  }
}

TEST_P(FileSystemTest, InspectingWhatIsNoFile) {
  EXPECT_TRUE(fails_with(files().inspect(kRootNode), ENODATA));
  EXPECT_TRUE(fails_with(files().inspect(kUnknownNode), ESTALE));
  must(files().make_node(kRootNode, "fifo", S_IFIFO | 0600, 0, self()));
  const NodeId fifo = must(files().lookup(kRootNode, "fifo")).node;
  EXPECT_TRUE(fails_with(files().inspect(fifo), ENODATA)) << "and it does not block";
}

// ---- xattrs

TEST_P(FileSystemTest, TheProjectsOwnXattrsAreNotPassedThrough) {
  const NodeId node = enter("a", std::string(64, 'x'));
  const std::string own = store_.get().xattr_prefix() + "array.dtype";
  EXPECT_FALSE(
      files().set_xattr(node, own == "user.array.dtype" ? "user.array.sealed" : own, "x", 0));
  ASSERT_TRUE(ok(files().set_xattr(node, "user.array.dtype", "<f8", 0)));
  ASSERT_TRUE(ok(files().set_xattr(node, "user.array.shape", "8", 0)));
  EXPECT_EQ(must(files().get_xattr(node, "user.array.nbytes")), "64");
  const std::string names = must(files().list_xattrs(node, self()));
  EXPECT_NE(names.find(std::string("user.array.nbytes\0", 18)), std::string::npos);
  EXPECT_EQ(names.find("expires"), std::string::npos);
}

TEST_P(FileSystemTest, XattrsOfDirectories) {
  EXPECT_TRUE(ok(files().set_xattr(kRootNode, "user.x", "1", 0)));
  EXPECT_EQ(must(files().get_xattr(kRootNode, "user.x")), "1");
  EXPECT_TRUE(fails_with(files().set_xattr(kRootNode, "user.array.dtype", "<f8", 0), EPERM));
  EXPECT_TRUE(fails_with(files().get_xattr(kRootNode, "user.array.dtype"), ENODATA));
  EXPECT_TRUE(fails_with(files().remove_xattr(kRootNode, "user.array.dtype"), ENODATA));
}

TEST_P(FileSystemTest, ALifetimeIsTold) {
  const NodeId node = enter("a", "x");
  must(files().set_xattr(node, "user.array.ttl", "100", 0));
  EXPECT_EQ(lifetimes_set_, 1);
  EXPECT_TRUE(fails_with(files().set_xattr(node, "user.array.ttl", "never", 0), EINVAL));
  EXPECT_EQ(lifetimes_set_, 1);
}

}  // namespace
}  // namespace arrayfs
