#include "file_users.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace arrayfs {
namespace {

class FileUsersTest : public testing::Test {
 protected:
  FileUsersTest() { store_.write("a", "x"); }

  // Of one look each.
  UsersOfFile users() const { return FileUsers(store_.device()).of(store_.stat("a").st_ino); }
  std::vector<FileUser> mappers() const { return users().mapped_by; }
  shm::posix::Mapping map(int prot, int flags) const {
    return must(shm::posix::Mapping::map(store_.open("a", O_RDWR).get(), 0, 1, prot, flags));
  }
  static bool self_in(const std::vector<Process>& processes) {
    return std::ranges::find(processes, getpid(), &Process::pid) != processes.end();
  }

  TestStore store_;
};

TEST_F(FileUsersTest, NobodyMapsAFileThatIsOnlyOpen) {
  const auto fd = store_.open("a", O_RDWR);
  EXPECT_TRUE(mappers().empty());
  EXPECT_EQ(describe(users().open_by), fmt::format("pid {} (fs_tests, writes)", getpid()));
}

TEST_F(FileUsersTest, AMappingOutlivesItsDescriptor) {
  {
    const auto mapping = map(PROT_READ | PROT_WRITE, MAP_SHARED);
    const auto found = mappers();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found.front().pid, getpid());
    EXPECT_TRUE(found.front().writable);
    EXPECT_EQ(found.front().command, "fs_tests");
    EXPECT_TRUE(users().open_by.empty());
  }
  EXPECT_EQ(describe(mappers()), "nobody");
}

TEST_F(FileUsersTest, PrivateAndReadOnlyMappingsDoNotWrite) {
  const auto reading = map(PROT_READ, MAP_SHARED);
  EXPECT_FALSE(mappers().at(0).writable);
  const auto copying = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);
  EXPECT_FALSE(mappers().at(0).writable);
  const auto writing = map(PROT_READ | PROT_WRITE, MAP_SHARED);
  EXPECT_TRUE(mappers().at(0).writable);
}

TEST_F(FileUsersTest, OtherProcessesAreSeen) {
  const auto mapping = map(PROT_READ, MAP_SHARED);
  const IdleProcess child;  // it has the mapping from its parent
  EXPECT_EQ(mappers().size(), 2U);
}

TEST_F(FileUsersTest, AnotherFileOrDeviceIsNotMeant) {
  const auto mapping = map(PROT_READ, MAP_SHARED);
  const std::uint64_t ino = store_.stat("a").st_ino;
  EXPECT_TRUE(FileUsers(store_.device()).of(ino + 1).mapped_by.empty());
  EXPECT_TRUE(FileUsers("ff:ff").of(ino).mapped_by.empty());
  EXPECT_TRUE(FileUsers("").of(ino).mapped_by.empty());
}

TEST_F(FileUsersTest, AnInodeWhoseNumberBeginsAlike) {
  const auto mapping = map(PROT_READ, MAP_SHARED);
  EXPECT_TRUE(FileUsers(store_.device()).of(store_.stat("a").st_ino * 10).mapped_by.empty());
}

TEST_F(FileUsersTest, ALineOfMapsInTheNameOfAnother) {
  const std::uint64_t ino = store_.stat("a").st_ino;
  const std::string name = fmt::format("b {} {} ", store_.device(), ino);
  store_.write(name, "x");
  const auto mapping =
      must(shm::posix::Mapping::map(store_.open(name, O_RDWR).get(), 0, 1, PROT_READ, MAP_SHARED));
  EXPECT_TRUE(mappers().empty());
}

TEST_F(FileUsersTest, OneLookServesForAWhile) {
  const std::uint64_t ino = store_.stat("a").st_ino;
  FileUsers users(store_.device());
  EXPECT_TRUE(users.of(ino).open_by.empty());
  const auto fd = store_.open("a", O_RDONLY);
  users.changed();
  EXPECT_EQ(describe(users.of(ino).open_by), fmt::format("pid {} (fs_tests, reads)", getpid()));
  const auto mapping = map(PROT_READ, MAP_SHARED);
  std::this_thread::sleep_for(FileUsers::kMaxAge * 2);
  EXPECT_EQ(users.of(ino).mapped_by.size(), 1U);
}

TEST_F(FileUsersTest, UsersOfADirectory) {
  const std::string path = store_.get().path() + "/arrays";
  EXPECT_TRUE(self_in(users_of(path)));  // the store itself has it open
  const ScratchDirectory unused;
  EXPECT_FALSE(self_in(users_of(unused.path())));
  {
    const auto fd = must(shm::posix::open_at(AT_FDCWD, unused.path(), O_RDONLY | O_DIRECTORY));
    EXPECT_TRUE(self_in(users_of(unused.path())));
    EXPECT_FALSE(self_in(users_of(unused.path() + "/below")));
    EXPECT_FALSE(self_in(users_of(unused.path().substr(0, unused.path().size() - 1))));
  }
  EXPECT_FALSE(self_in(users_of(unused.path())));
}

TEST(FileUsers, DescribesThem) {
  EXPECT_EQ(describe(std::vector<Process>{}), "somebody");
  EXPECT_EQ(describe(std::vector<Process>{{12, "python3"}, {15, "ba\nsh"}}),
            "pid 12 (python3), pid 15 (ba\\nsh)");
}

TEST_F(FileUsersTest, TheDeviceOfAMount) {
  EXPECT_EQ(device_of_mount(store_.get().path() + "/arrays"), "");
  EXPECT_EQ(device_of_mount("/no/mount"), "");
  EXPECT_EQ(device_of_mount(""), "");
  if (is_root()) {
    EXPECT_EQ(device_of_mount(store_.get().path()), store_.device());
  }
}

TEST(FileUsers, TheDeviceOfAMountWithBlanksInItsName) {
  SKIP_UNLESS_ROOT("only root mounts a tmpfs");
  MountConfig config = unique_config();
  config.name += " with blanks\tand\\more";
  const TestStore store(config);
  EXPECT_EQ(device_of_mount(store.get().path()), store.device());
  EXPECT_NE(store.get().description().find("huge=within_size"), std::string::npos);
}

}  // namespace
}  // namespace arrayfs
