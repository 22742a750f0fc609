#include "reaper.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>

#include "fixture.hpp"

namespace arrayfs {
namespace {

// What a reaper told.
class Removals {
 public:
  Reaper::Removed sink() {
    return [this](const Reaper::Removal& removal) {
      const std::lock_guard lock(mutex_);
      names_.insert(removal.name);
      parents_.insert(removal.parent_ino);
      changed_.notify_all();
    };
  }
  void wait_for(const std::string& name) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return names_.contains(name); });
  }
  std::set<std::string> names() {
    const std::lock_guard lock(mutex_);
    return names_;
  }
  std::set<std::uint64_t> parents() {
    const std::lock_guard lock(mutex_);
    return parents_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> names_;
  std::set<std::uint64_t> parents_;
};

class ReaperTest : public testing::Test {
 protected:
  void limit(const std::string& name, std::string_view what, const std::string& value) {
    must(set_lifetime(store_.open(name, O_RDONLY).get(), prefix(), what, value));
  }
  // A deadline that has passed.
  void expire(const std::string& name) {
    ASSERT_EQ(fsetxattr(store_.open(name, O_RDONLY).get(), (prefix() + "array.expires").c_str(),
                        "1", 1, 0),
              0);
  }
  // Whatever the reaper was told before this is done when it has removed this file.
  void let_it_catch_up(Reaper& reaper) {
    store_.write("last", "x");
    expire("last");
    reaper.watch(store_.open("last", O_PATH));
    removals_.wait_for("last");
  }
  const std::string& prefix() const { return store_.get().xattr_prefix(); }

  TestStore store_;
  Removals removals_;
};

TEST_F(ReaperTest, RemovesWhatRanOutWhileNobodyWatched) {
  const int root = store_.get().root_fd();
  ASSERT_EQ(mkdirat(root, "d", 0700), 0);
  store_.write("d/old", "x");
  store_.write("d/young", "x");
  store_.write("d/unlimited", "x");
  expire("d/old");
  limit("d/young", "ttl", "1000");
  Reaper reaper(store_.get(), removals_.sink());
  removals_.wait_for("old");
  let_it_catch_up(reaper);
  EXPECT_EQ(removals_.names(), (std::set<std::string>{"old", "last"}));
  EXPECT_TRUE(removals_.parents().contains(store_.stat("d").st_ino));
  EXPECT_FALSE(store_.exists("d/old"));
  EXPECT_TRUE(store_.exists("d/young"));
  EXPECT_TRUE(store_.exists("d/unlimited"));
}

TEST_F(ReaperTest, RemovesWhenTheOwnerEnds) {
  store_.write("a", "x");
  IdleProcess owner;
  limit("a", "owner_pid", std::to_string(owner.pid()));
  Reaper reaper(store_.get(), removals_.sink());
  reaper.watch(store_.open("a", O_PATH));
  let_it_catch_up(reaper);
  EXPECT_TRUE(store_.exists("a"));
  owner.end();
  removals_.wait_for("a");
  EXPECT_FALSE(store_.exists("a"));
}

TEST_F(ReaperTest, AnotherProcessOfThatPidDoesNotKeepTheFile) {
  store_.write("a", "x");
  const std::string stale = std::to_string(getpid()) + " 1";
  ASSERT_EQ(fsetxattr(store_.open("a", O_RDONLY).get(), (prefix() + "array.owner").c_str(),
                      stale.data(), stale.size(), 0),
            0);
  const Reaper reaper(store_.get(), removals_.sink());
  removals_.wait_for("a");
  EXPECT_FALSE(store_.exists("a"));
}

TEST_F(ReaperTest, WaitsForATtlOfASecond) {
  store_.write("a", "x");
  Reaper reaper(store_.get(), removals_.sink());
  limit("a", "ttl", "1");
  reaper.watch(store_.open("a", O_PATH));
  removals_.wait_for("a");
  EXPECT_FALSE(store_.exists("a"));
}

TEST_F(ReaperTest, ALifetimeThatWasTakenBackIsForgotten) {
  store_.write("a", "x");
  IdleProcess owner;
  limit("a", "owner_pid", std::to_string(owner.pid()));
  Reaper reaper(store_.get(), removals_.sink());
  limit("a", "owner_pid", "");
  reaper.watch(store_.open("a", O_PATH));
  owner.end();
  let_it_catch_up(reaper);
  EXPECT_TRUE(store_.exists("a"));
}

TEST_F(ReaperTest, ALifetimeThatWasProlongedCounts) {
  store_.write("a", "x");
  expire("a");
  limit("a", "ttl", "1000");
  Reaper reaper(store_.get(), removals_.sink());
  let_it_catch_up(reaper);
  EXPECT_TRUE(store_.exists("a"));
}

TEST_F(ReaperTest, FollowsARename) {
  store_.write("a", "x");
  IdleProcess owner;
  limit("a", "owner_pid", std::to_string(owner.pid()));
  Reaper reaper(store_.get(), removals_.sink());
  let_it_catch_up(reaper);
  const int root = store_.get().root_fd();
  ASSERT_EQ(renameat(root, "a", root, "b"), 0);
  store_.write("a", "another");
  owner.end();
  removals_.wait_for("b");
  EXPECT_FALSE(store_.exists("b"));
  EXPECT_EQ(store_.read("a"), "another");
}

TEST_F(ReaperTest, AFileThatIsGoneAlreadyIsNoMatter) {
  store_.write("a", "x");
  const auto fd = store_.open("a", O_PATH);
  expire("a");
  ASSERT_EQ(unlinkat(store_.get().root_fd(), "a", 0), 0);
  store_.write("a", "another");
  Reaper reaper(store_.get(), removals_.sink());
  reaper.watch(
      must(shm::posix::open_at(AT_FDCWD, "/proc/self/fd/" + std::to_string(fd.get()), O_PATH)));
  reaper.watch(shm::posix::Fd());
  let_it_catch_up(reaper);
  EXPECT_EQ(store_.read("a"), "another");
}

TEST_F(ReaperTest, LiveMappingsKeepTheirPages) {
  store_.write("a", "kept");
  const auto mapping =
      must(shm::posix::Mapping::map(store_.open("a", O_RDONLY).get(), 0, 4, PROT_READ, MAP_SHARED));
  expire("a");
  const Reaper reaper(store_.get(), removals_.sink());
  removals_.wait_for("a");
  EXPECT_EQ(mapping.data()[0], std::byte{'k'});
}

TEST_F(ReaperTest, StopsWhileItWaits) {
  store_.write("a", "x");
  limit("a", "ttl", "1000");
  const size_t before = open_descriptors();
  { const Reaper reaper(store_.get(), removals_.sink()); }
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_TRUE(store_.exists("a"));
}

}  // namespace
}  // namespace arrayfs
