#include "store.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace arrayfs {
namespace {

using shm::posix::Fd;

TEST(StoreTest, IsEmptyAndPrivate) {
  const TestStore store;
  EXPECT_FALSE(store.get().adopted());
  const auto st = must(shm::posix::stat_at(AT_FDCWD, store.get().path(), 0));
  EXPECT_EQ(st.st_mode & 07777, 0700U);
  EXPECT_EQ(st.st_uid, geteuid());
  EXPECT_EQ(must(shm::posix::stat_fd(store.get().root_fd())).st_mode & 07777, 01777U);
  EXPECT_EQ(must(shm::posix::stat_fd(store.get().private_fd())).st_mode & 07777, 0700U);
  EXPECT_EQ(store.get().stack_depth(), 1U);
}

TEST(StoreTest, OfRootIsATmpfsOfTheSizeAskedFor) {
  SKIP_UNLESS_ROOT("only root mounts a tmpfs");
  const TestStore store(8 * kMiB);
  const auto usage = must(store.get().usage());
  EXPECT_EQ(usage.f_blocks * usage.f_frsize, 8 * kMiB);
  EXPECT_NE(usage.f_flag & ST_NOSUID, 0U);
  EXPECT_NE(store.get().description().find("private tmpfs, huge="), std::string::npos);
  EXPECT_NE(must(shm::posix::read_file("/proc/self/mounts", 4U << 20))
                .find(store.get().path() + " tmpfs rw,nosuid,nodev,noexec"),
            std::string::npos);
}

TEST(StoreTest, HasRoomForXattrs) {
  const TestStore store;
  EXPECT_TRUE(store.get().xattr_prefix() == "user." || store.get().xattr_prefix() == "trusted.");
}

TEST(StoreTest, TheRootDirectoryHasTheModeAskedFor) {
  MountConfig config = unique_config();
  config.root_mode = 0750;
  const TestStore store(config);
  EXPECT_EQ(must(shm::posix::stat_fd(store.get().root_fd())).st_mode & 07777, 0750U);
}

TEST(StoreTest, IsAdoptedWithWhatIsInIt) {
  TestStore store;
  store.write("a", "kept");
  ASSERT_EQ(fchmod(store.get().root_fd(), 0700), 0);
  store.close();
  store.reopen();
  EXPECT_TRUE(store.get().adopted());
  EXPECT_EQ(store.read("a"), "kept");
  // The mode of a root directory that is there already is its owner's affair.
  EXPECT_EQ(must(shm::posix::stat_fd(store.get().root_fd())).st_mode & 07777, 0700U);
}

TEST(StoreTest, ANewSizeIsTakenOver) {
  SKIP_UNLESS_ROOT("only root mounts a tmpfs");
  TestStore store(8 * kMiB);
  MountConfig larger = store.config();
  larger.capacity_bytes = 16 * kMiB;
  store.close();
  const Store adopted = must(Store::open(larger));
  const auto usage = must(adopted.usage());
  EXPECT_EQ(usage.f_blocks * usage.f_frsize, 16 * kMiB);
}

TEST(StoreTest, CannotShrinkBelowItsArrays) {
  SKIP_UNLESS_ROOT("only root mounts a tmpfs");
  TestStore store(8 * kMiB);
  store.write("a", std::string(4 * kMiB, 'x'));
  MountConfig smaller = store.config();
  smaller.capacity_bytes = kMiB;
  store.close();
  EXPECT_FALSE(Store::open(smaller));
  store.reopen();
  EXPECT_EQ(store.read("a").size(), 4 * kMiB);
}

TEST(StoreTest, OneDaemonAtATime) {
  const TestStore store;
  const auto second = Store::open(store.config());
  ASSERT_TRUE(fails_with(second, EBUSY));
  EXPECT_NE(second.error().context.find("--name"), std::string::npos);
  EXPECT_TRUE(fails_with(Store::discard(store.config()), EBUSY));
}

TEST(StoreTest, ARefusedSecondDaemonLeavesTheSizeAsItIs) {
  SKIP_UNLESS_ROOT("only root mounts a tmpfs");
  const TestStore store(8 * kMiB);
  MountConfig other = store.config();
  other.capacity_bytes = 4 * kMiB;
  EXPECT_TRUE(fails_with(Store::open(other), EBUSY));
  const auto usage = must(store.get().usage());
  EXPECT_EQ(usage.f_blocks * usage.f_frsize, 8 * kMiB);
}

TEST(StoreTest, DiscardFreesTheName) {
  const MountConfig config = unique_config();
  { const Store store = must(Store::open(config)); }
  ASSERT_TRUE(std::filesystem::exists(Store::directory(config)));
  EXPECT_TRUE(ok(Store::discard(config)));
  EXPECT_FALSE(std::filesystem::exists(Store::directory(config)));
  EXPECT_TRUE(fails_with(Store::discard(config), ENOENT));
}

TEST(StoreTest, DiscardLeavesLiveMappingsAlone) {
  const MountConfig config = unique_config();
  std::optional<Store> store = must(Store::open(config));
  Fd fd = must(shm::posix::open_at(store->root_fd(), "a", O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(ftruncate(fd.get(), 4096), 0);
  const auto mapping =
      must(shm::posix::Mapping::map(fd.get(), 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED));
  fd.reset();
  store.reset();
  ASSERT_TRUE(ok(Store::discard(config)));
  mapping.data()[100] = std::byte{7};
  EXPECT_EQ(mapping.data()[100], std::byte{7});
}

TEST(StoreTest, RefusesADirectoryThatOthersCanEnter) {
  const MountConfig config = unique_config();
  { const Store parent_exists = must(Store::open(config)); }
  const MountConfig open = unique_config();
  const std::string path = Store::directory(open);
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  ASSERT_EQ(chmod(path.c_str(), 0755), 0);
  EXPECT_TRUE(fails_with(Store::open(open), EPERM));
  rmdir(path.c_str());
  EXPECT_TRUE(ok(Store::discard(config)));
}

TEST(StoreTest, RefusesASymlinkInItsPlace) {
  const MountConfig config = unique_config();
  { const Store parent_exists = must(Store::open(config)); }
  const ScratchDirectory target;
  const MountConfig linked = unique_config();
  const std::string path = Store::directory(linked);
  ASSERT_EQ(symlink(target.path().c_str(), path.c_str()), 0);
  EXPECT_TRUE(fails_with(Store::open(linked), EPERM));
  EXPECT_TRUE(fails_with(Store::discard(linked), ENOTDIR));
  unlink(path.c_str());
  EXPECT_TRUE(std::filesystem::is_empty(target.path()));
  EXPECT_TRUE(ok(Store::discard(config)));
}

TEST(StoreTest, ComesAndGoesBesideOthers) {
  // The directory that holds all stores goes with the last of them.
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round < 50; ++round) {
        const MountConfig config = unique_config(kMiB);
        EXPECT_TRUE(ok(Store::open(config)));
        EXPECT_TRUE(ok(Store::discard(config)));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

class DirectoryStore : public testing::Test {
 protected:
  DirectoryStore() : config_(unique_config()) { config_.store_dir = directory_.path(); }

  ScratchDirectory directory_;
  MountConfig config_;
};

TEST_F(DirectoryStore, ShowsWhatIsInTheDirectory) {
  std::ofstream(directory_.path() + "/a") << "there";
  const Store store = must(Store::open(config_));
  EXPECT_TRUE(store.adopted());
  EXPECT_EQ(store.path(), directory_.path());
  EXPECT_EQ(store.description(), "directory " + directory_.path());
  EXPECT_TRUE(ok(shm::posix::stat_at(store.root_fd(), "a", 0)));
}

TEST_F(DirectoryStore, LeavesOnlyItsHiddenDirectoryAndTakesThatAway) {
  std::ofstream(directory_.path() + "/a") << "there";
  { const Store store = must(Store::open(config_)); }
  EXPECT_TRUE(std::filesystem::is_directory(directory_.path() + "/.arrayfs"));
  ASSERT_TRUE(ok(Store::discard(config_)));
  EXPECT_FALSE(std::filesystem::exists(directory_.path() + "/.arrayfs"));
  EXPECT_TRUE(std::filesystem::exists(directory_.path() + "/a"));
}

TEST_F(DirectoryStore, IsLockedAsAnyOther) {
  const Store store = must(Store::open(config_));
  EXPECT_TRUE(fails_with(Store::open(config_), EBUSY));
  EXPECT_TRUE(fails_with(Store::discard(config_), EBUSY));
}

TEST_F(DirectoryStore, MustExist) {
  config_.store_dir += "/missing";
  EXPECT_TRUE(fails_with(Store::open(config_), ENOENT));
  EXPECT_TRUE(fails_with(Store::discard(config_), ENOENT));
}

TEST_F(DirectoryStore, MustBeADirectory) {
  config_.store_dir += "/file";
  std::ofstream(config_.store_dir) << "x";
  EXPECT_TRUE(fails_with(Store::open(config_), ENOTDIR));
}

TEST_F(DirectoryStore, RefusesAFileWhereItsHiddenDirectoryGoes) {
  std::ofstream(directory_.path() + "/.arrayfs") << "x";
  EXPECT_TRUE(fails_with(Store::open(config_), ENOTDIR));
  EXPECT_TRUE(std::filesystem::exists(directory_.path() + "/.arrayfs"));
}

TEST_F(DirectoryStore, RefusesASymlinkWhereItsHiddenDirectoryGoes) {
  std::filesystem::create_directory_symlink("/tmp", directory_.path() + "/.arrayfs");
  EXPECT_FALSE(Store::open(config_));
}

}  // namespace
}  // namespace arrayfs
