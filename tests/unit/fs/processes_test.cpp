#include "processes.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fixture.hpp"

namespace arrayfs {
namespace {

class ProcessesTest : public testing::Test {
 protected:
  ProcessesTest() { store_.write("a", "x"); }

  std::vector<Process> mappers() const {
    return mappers_of(store_.device(), store_.stat("a").st_ino);
  }
  shm::posix::Mapping map(int prot, int flags) const {
    return must(shm::posix::Mapping::map(store_.open("a", O_RDWR).get(), 0, 1, prot, flags));
  }
  static const Process* self_in(const std::vector<Process>& processes) {
    const auto at = std::ranges::find(processes, getpid(), &Process::pid);
    return at == processes.end() ? nullptr : &*at;
  }

  TestStore store_;
};

TEST_F(ProcessesTest, NobodyMapsAFileThatIsOnlyOpen) {
  const auto fd = store_.open("a", O_RDWR);
  EXPECT_TRUE(mappers().empty());
}

TEST_F(ProcessesTest, AMappingOutlivesItsDescriptor) {
  {
    const auto mapping = map(PROT_READ | PROT_WRITE, MAP_SHARED);
    const auto found = mappers();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found.front().pid, getpid());
    EXPECT_TRUE(found.front().writable);
    EXPECT_EQ(found.front().command, "fs_tests");
  }
  EXPECT_TRUE(mappers().empty());
}

TEST_F(ProcessesTest, PrivateAndReadOnlyMappingsDoNotWrite) {
  const auto reading = map(PROT_READ, MAP_SHARED);
  EXPECT_FALSE(mappers().at(0).writable);
  const auto copying = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);
  EXPECT_FALSE(mappers().at(0).writable);
  const auto writing = map(PROT_READ | PROT_WRITE, MAP_SHARED);
  EXPECT_TRUE(mappers().at(0).writable);
}

TEST_F(ProcessesTest, OtherProcessesAreSeen) {
  const auto mapping = map(PROT_READ, MAP_SHARED);
  const IdleProcess child;  // it has the mapping from its parent
  EXPECT_EQ(mappers().size(), 2U);
}

TEST_F(ProcessesTest, AnotherFileOrDeviceIsNotMeant) {
  const auto mapping = map(PROT_READ, MAP_SHARED);
  EXPECT_TRUE(mappers_of(store_.device(), store_.stat("a").st_ino + 1).empty());
  EXPECT_TRUE(mappers_of("ff:ff", store_.stat("a").st_ino).empty());
  EXPECT_TRUE(mappers_of("", store_.stat("a").st_ino).empty());
}

TEST_F(ProcessesTest, AnInodeWhoseNumberBeginsAlike) {
  const auto mapping = map(PROT_READ, MAP_SHARED);
  EXPECT_TRUE(mappers_of(store_.device(), store_.stat("a").st_ino * 10).empty());
}

TEST_F(ProcessesTest, UsersOfADirectory) {
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

TEST(Processes, DescribesThem) {
  EXPECT_EQ(describe({}), "somebody");
  EXPECT_EQ(describe({{12, "python3", false}, {15, "ba\nsh", false}}),
            "pid 12 (python3), pid 15 (ba\\nsh)");
}

TEST_F(ProcessesTest, TheDeviceOfAMount) {
  EXPECT_EQ(device_of_mount(store_.get().path() + "/arrays"), "");
  EXPECT_EQ(device_of_mount("/no/mount"), "");
  EXPECT_EQ(device_of_mount(""), "");
  if (is_root()) {
    EXPECT_EQ(device_of_mount(store_.get().path()), store_.device());
  }
}

TEST(Processes, TheDeviceOfAMountWithBlanksInItsName) {
  SKIP_UNLESS_ROOT("only root mounts a tmpfs");
  MountConfig config = unique_config();
  config.name += " with blanks\tand\\more";
  const TestStore store(config);
  EXPECT_EQ(device_of_mount(store.get().path()), store.device());
  EXPECT_NE(store.get().description().find("huge=within_size"), std::string::npos);
}

}  // namespace
}  // namespace arrayfs
