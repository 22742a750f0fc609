#include "replacement.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "fixture.hpp"

namespace arrayfs {
namespace {

class ReplacementTest : public testing::Test {
 protected:
  bool replace(const std::string& name, int code = 0) {
    const auto fd = store_.open(name, O_PATH);
    const auto done = replace_by_empty(store_.get(), store_.get().root_fd(), name, fd.get());
    return code == 0 ? static_cast<bool>(ok(done)) : static_cast<bool>(fails_with(done, code));
  }
  std::string xattr(const std::string& name, const std::string& attribute) const {
    char value[256];
    const ssize_t size =
        fgetxattr(store_.open(name, O_RDONLY).get(), attribute.c_str(), value, sizeof value);
    return size < 0 ? "none" : std::string(value, static_cast<size_t>(size));
  }
  void set_xattr(const std::string& name, const std::string& attribute, std::string_view value) {
    ASSERT_EQ(fsetxattr(store_.open(name, O_RDONLY).get(), attribute.c_str(), value.data(),
                        value.size(), 0),
              0)
        << std::strerror(errno);
  }
  std::uint64_t version(const std::string& name) const {
    return version_of(store_.open(name, O_RDONLY).get(), store_.get().xattr_prefix());
  }

  TestStore store_;
};

TEST_F(ReplacementTest, TheNameLeadsToAnEmptyFile) {
  store_.write("a", "old");
  const auto old = store_.open("a", O_RDONLY);
  ASSERT_TRUE(replace("a"));
  EXPECT_EQ(store_.read("a"), "");
  EXPECT_NE(store_.stat("a").st_ino, must(shm::posix::stat_fd(old.get())).st_ino);
  char byte = 0;
  EXPECT_EQ(pread(old.get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'o');
}

TEST_F(ReplacementTest, OwnerModeAndXattrsAreKept) {
  store_.write("a", "old", 02640);
  set_xattr("a", "user.note", "kept");
  if (is_root()) {
    ASSERT_EQ(fchownat(store_.get().root_fd(), "a", 1234, 5678, 0), 0);
    ASSERT_EQ(fchmodat(store_.get().root_fd(), "a", 02640, 0), 0);
  }
  const struct stat before = store_.stat("a");
  ASSERT_TRUE(replace("a"));
  const struct stat after = store_.stat("a");
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_EQ(after.st_uid, before.st_uid);
  EXPECT_EQ(after.st_gid, before.st_gid);
  EXPECT_EQ(xattr("a", "user.note"), "kept");
}

TEST_F(ReplacementTest, AccessControlListsAreKept) {
  store_.write("a", "old", 0640);
  // user::rw- user:1234:r-- group::r-- mask::r-- other::---
  const unsigned char acl[] = {2, 0,   0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                               0, 210, 4,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
                               4, 0,   255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};
  const std::string_view value(reinterpret_cast<const char*>(acl), sizeof acl);
  set_xattr("a", "system.posix_acl_access", value);
  ASSERT_TRUE(replace("a"));
  EXPECT_EQ(xattr("a", "system.posix_acl_access"), value);
}

TEST_F(ReplacementTest, CountsVersions) {
  store_.write("a", "old");
  EXPECT_EQ(version("a"), 1U);
  ASSERT_TRUE(replace("a"));
  EXPECT_EQ(version("a"), 2U);
  ASSERT_TRUE(replace("a"));
  EXPECT_EQ(version("a"), 3U);
}

TEST_F(ReplacementTest, AVersionThatIsNoNumberIsTheFirst) {
  store_.write("a", "old");
  set_xattr("a", store_.get().xattr_prefix() + "array.version", "many");
  EXPECT_EQ(version("a"), 1U);
  EXPECT_EQ(version_of(-1, store_.get().xattr_prefix()), 1U);
}

TEST_F(ReplacementTest, OtherNamesKeepTheFile) {
  store_.write("a", "old");
  const int root = store_.get().root_fd();
  ASSERT_EQ(linkat(root, "a", root, "b", 0), 0);
  EXPECT_TRUE(replace("a"));
  EXPECT_EQ(store_.read("a"), "");
  EXPECT_EQ(store_.read("b"), "old");
}

TEST_F(ReplacementTest, WithoutItsDirectoryNothingChanges) {
  store_.write("a", "old");
  const auto fd = store_.open("a", O_PATH);
  EXPECT_TRUE(fails_with(replace_by_empty(store_.get(), fd.get(), "a", fd.get()), ENOTDIR));
  EXPECT_EQ(store_.read("a"), "old");
}

TEST_F(ReplacementTest, OddNames) {
  for (const std::string& name : {std::string("new\nline"), std::string("a (deleted)"),
                                  std::string(255, 'n'), std::string("\xff")}) {
    store_.write(name, "old");
    EXPECT_TRUE(replace(name)) << name;
    EXPECT_EQ(store_.read(name), "");
  }
}

TEST_F(ReplacementTest, NothingIsLeftAside) {
  store_.write("a", "old");
  ASSERT_TRUE(replace("a"));
  const auto again = shm::posix::stat_at(store_.get().private_fd(), ".", 0);
  ASSERT_TRUE(ok(again));
  EXPECT_EQ(store_.stat("a").st_nlink, 1U);
}

}  // namespace
}  // namespace arrayfs
