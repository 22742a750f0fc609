#include "sync_pages.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "fixture.hpp"

namespace arrayfs {
namespace {

class SyncPagesTest : public testing::Test {
 protected:
  SyncPagesTest() { store_.write("a", "an array"); }

  [[nodiscard]] std::string path(const std::string& name) const {
    return "/proc/self/fd/" + std::to_string(store_.get().root_fd()) + "/" + name;
  }
  [[nodiscard]] std::string make(const std::string& name) const {
    return must(make_sync_page(store_.get(), path(name), sync_page_of(store_.get(), path(name))));
  }
  [[nodiscard]] bool there(const std::string& page) const {
    return faccessat(store_.get().private_fd(), page.c_str(), F_OK, 0) == 0;
  }
  void bear(const std::string& text) const {
    const std::string name = store_.get().xattr_prefix() + "array.sync";
    ASSERT_EQ(setxattr(path("a").c_str(), name.c_str(), text.data(), text.size(), 0), 0);
  }

  TestStore store_;
};

TEST_F(SyncPagesTest, APageIsMadeOnceAndBearsZeros) {
  EXPECT_EQ(sync_page_of(store_.get(), path("a")), "");
  const std::string page = make("a");
  EXPECT_EQ(sync_page_of(store_.get(), path("a")), page);
  const auto st = must(shm::posix::stat_at(store_.get().private_fd(), page, 0));
  EXPECT_EQ(st.st_size, 4096);
  EXPECT_EQ(st.st_blocks, 8);
  EXPECT_EQ(st.st_mode & 0777U, 0600U);  // until it is dressed
}

TEST_F(SyncPagesTest, OneThatIsMissingComesBackUnderItsName) {
  const std::string page = make("a");
  EXPECT_NE(remove_sync_page(store_.get(), page), 0U);
  EXPECT_EQ(remove_sync_page(store_.get(), page), 0U);
  EXPECT_EQ(make("a"), page);
  EXPECT_TRUE(there(page));
}

TEST_F(SyncPagesTest, WhatIsNoNumberNamesNoPage) {
  for (const char* text : {"../a", "12x", "-1", "99999999999999999999", "/etc/passwd"}) {
    bear(text);
    EXPECT_EQ(sync_page_of(store_.get(), path("a")), "") << text;
  }
  bear("17");
  EXPECT_EQ(sync_page_of(store_.get(), path("a")), "sync-17");
}

TEST_F(SyncPagesTest, ItIsDressedAsItsArray) {
  const std::string page = make("a");
  for (const mode_t mode : {0640U, 0606U, 04755U}) {
    ASSERT_EQ(fchmodat(store_.get().root_fd(), "a", mode, 0), 0);
    const struct stat array = store_.stat("a");
    ASSERT_TRUE(ok(dress_sync_page(store_.get(), page, path("a"), array)));
    const auto st = must(shm::posix::stat_at(store_.get().private_fd(), page, 0));
    EXPECT_EQ(st.st_mode & 07777U, mode & 0777U);
    EXPECT_EQ(st.st_uid, array.st_uid);
  }
  EXPECT_TRUE(
      fails_with(dress_sync_page(store_.get(), "sync-1", path("a"), store_.stat("a")), ENOENT));
}

TEST_F(SyncPagesTest, AnHeirCanBeDisinherited) {
  store_.write("b", "another");
  const std::string page = make("a");
  ASSERT_TRUE(inherit_sync_page(store_.get(), path("b"), page));
  EXPECT_EQ(sync_page_of(store_.get(), path("b")), page);
  disinherit_sync_page(store_.get(), path("b"));
  EXPECT_EQ(sync_page_of(store_.get(), path("b")), "");
  EXPECT_FALSE(inherit_sync_page(store_.get(), path("missing"), page));
}

TEST_F(SyncPagesTest, OrphansGoWhenAStoreIsOpened) {
  store_.write("b", "another");
  const std::string kept = make("a");
  const std::string orphaned = make("b");
  ASSERT_EQ(unlinkat(store_.get().root_fd(), "b", 0), 0);
  store_.close();
  store_.reopen();
  EXPECT_TRUE(there(kept));
  EXPECT_FALSE(there(orphaned));
}

TEST_F(SyncPagesTest, AFullStoreHasNoRoomForOne) {
  SKIP_UNLESS_ROOT("a store of a size of its own");
  const auto fd = store_.open("a", O_RDWR);
  while (write(fd.get(), std::string(kMiB, 'x').data(), kMiB) > 0) {
  }
  EXPECT_TRUE(fails_with(make_sync_page(store_.get(), path("a"), ""), ENOSPC));
  EXPECT_EQ(sync_page_of(store_.get(), path("a")), "");
}

}  // namespace
}  // namespace arrayfs
