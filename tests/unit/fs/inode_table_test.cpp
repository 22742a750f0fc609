#include "inode_table.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "fixture.hpp"

namespace arrayfs {
namespace {

using shm::posix::Fd;

class InodeTableTest : public testing::Test {
 protected:
  explicit InodeTableTest(std::uint32_t max_inodes = 1U << 18)
      : memory_(must(StateMemory::create(max_inodes))),
        journal_(memory_),
        kept_(memory_, journal_),
        table_(make()) {}

  InodeTable make() {
    return must(InodeTable::create(memory_, journal_, kept_, store_.get().root_fd(),
                                   [this](std::int32_t id) { released_.push_back(id); }));
  }

  // The file `name` of the store as a node, made when it is not there.
  shm::Result<NodeId> intern(const std::string& name) {
    if (!store_.exists(name)) {
      store_.write(name, name);
    }
    Fd fd = store_.open(name, O_PATH);
    return table_.intern(std::move(fd), store_.stat(name));
  }

  // A node of an inode number that no file has.
  shm::Result<NodeId> intern_number(std::uint64_t ino) {
    struct stat st {};
    st.st_ino = ino;
    st.st_mode = S_IFREG;
    return table_.intern(Fd(fcntl(store_.get().root_fd(), F_DUPFD_CLOEXEC, 0)), st);
  }

  TestStore store_;
  StateMemory memory_;
  Journal journal_;
  KeptFds kept_;
  std::vector<std::int32_t> released_;
  InodeTable table_;
};

TEST_F(InodeTableTest, StartsWithTheRoot) {
  EXPECT_EQ(table_.state().nodes, 1U);
  const auto root = table_.find(kRootNode);
  ASSERT_TRUE(ok(root));
  EXPECT_EQ((*root)->ino, must(shm::posix::stat_fd(store_.get().root_fd())).st_ino);
  EXPECT_EQ((*root)->mode, static_cast<std::uint32_t>(S_IFDIR));
}

TEST_F(InodeTableTest, OneFileIsOneNode) {
  const NodeId node = must(intern("a"));
  EXPECT_EQ(must(intern("a")), node);
  EXPECT_EQ((*table_.find(node))->lookups, 2U);
  EXPECT_NE(must(intern("b")), node);
  EXPECT_EQ(table_.state().nodes, 3U);
}

TEST_F(InodeTableTest, TheNamesOfAFileAreOneNode) {
  const NodeId node = must(intern("a"));
  ASSERT_EQ(linkat(store_.get().root_fd(), "a", store_.get().root_fd(), "b", 0), 0);
  EXPECT_EQ(must(intern("b")), node);
}

TEST_F(InodeTableTest, ANodeLeadsToItsFile) {
  const NodeId node = must(intern("a"));
  const auto st = shm::posix::stat_at(must(table_.fd(node)), "", AT_EMPTY_PATH);
  EXPECT_EQ(st->st_ino, store_.stat("a").st_ino);
}

TEST_F(InodeTableTest, UnknownNodesAreStale) {
  for (const NodeId node : {NodeId{0}, NodeId{2}, NodeId{1} << 32, ~NodeId{0}}) {
    EXPECT_TRUE(fails_with(table_.find(node), ESTALE)) << node;
    EXPECT_TRUE(fails_with(table_.fd(node), ESTALE)) << node;
    table_.forget(node, 1);
  }
  EXPECT_EQ(table_.state().nodes, 1U);
}

TEST_F(InodeTableTest, OpeningAndReleasingUnknownNodesChangesNothing) {
  for (const NodeId node : {NodeId{0}, NodeId{2}, NodeId{1} << 56, ~NodeId{0}}) {
    table_.opened(node, true);
    table_.released(node, true);
  }
  EXPECT_EQ(table_.state().open_files, 0U);
  EXPECT_EQ(table_.state().nodes, 1U);
}

TEST_F(InodeTableTest, TheLastForgetFreesTheNodeAndItsDescriptor) {
  const size_t descriptors = open_descriptors();
  const NodeId node = must(intern("a"));
  static_cast<void>(must(intern("a")));
  table_.forget(node, 1);
  EXPECT_TRUE(ok(table_.find(node)));
  table_.forget(node, 1);
  EXPECT_TRUE(fails_with(table_.find(node), ESTALE));
  EXPECT_EQ(table_.state().nodes, 1U);
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_F(InodeTableTest, ForgettingMoreThanWasGivenIsForgettingAll) {
  const NodeId node = must(intern("a"));
  table_.forget(node, UINT64_MAX);
  table_.forget(node, 1);
  EXPECT_TRUE(fails_with(table_.find(node), ESTALE));
  EXPECT_EQ(table_.state().nodes, 1U);
}

TEST_F(InodeTableTest, TheRootIsNeverForgotten) {
  table_.forget(kRootNode, UINT64_MAX);
  EXPECT_TRUE(ok(table_.find(kRootNode)));
}

TEST_F(InodeTableTest, AFreedSlotIsUsedAgainWithAnotherGeneration) {
  const NodeId first = must(intern("a"));
  const std::uint64_t generation = (*table_.find(first))->generation;
  table_.forget(first, 1);
  const NodeId second = must(intern("b"));
  EXPECT_EQ(second, first);
  EXPECT_NE((*table_.find(second))->generation, generation);
  EXPECT_EQ(table_.find_by_ino(store_.stat("b").st_ino), second);
  EXPECT_EQ(table_.find_by_ino(store_.stat("a").st_ino), std::nullopt);
}

TEST_F(InodeTableTest, ASlotStartsClean) {
  const NodeId first = must(intern("a"));
  table_.opened(first, true);
  (*table_.find(first))->flags |= kHolesWanted;
  (*table_.find(first))->promised_bytes = 99;
  table_.released(first, true);
  table_.forget(first, 1);
  const NodeId second = must(intern("b"));
  const Inode& inode = **table_.find(second);
  EXPECT_EQ(inode.flags, 0U);
  EXPECT_EQ(inode.promised_bytes, 0U);
  EXPECT_EQ(inode.opens(), 0U);
  EXPECT_EQ(inode.writers(), 0U);
  EXPECT_EQ(inode.backing_id, 0);
}

TEST_F(InodeTableTest, CountsOpensAndWriters) {
  const NodeId node = must(intern("a"));
  table_.opened(node, true);
  table_.opened(node, false);
  const Inode& inode = **table_.find(node);
  EXPECT_EQ(inode.opens(), 2U);
  EXPECT_EQ(inode.writers(), 1U);
  EXPECT_EQ(table_.state().open_files, 2U);
  table_.released(node, true);
  EXPECT_EQ(inode.opens(), 1U);
  EXPECT_EQ(inode.writers(), 0U);
  EXPECT_NE(inode.flags & kOpenedBefore, 0U);
  table_.released(node, false);
  EXPECT_EQ(table_.state().open_files, 0U);
}

TEST_F(InodeTableTest, ReleasingWhatIsNotOpenChangesNothing) {
  const NodeId node = must(intern("a"));
  table_.released(node, true);
  EXPECT_EQ((*table_.find(node))->opens(), 0U);
  EXPECT_EQ(table_.state().open_files, 0U);
}

TEST_F(InodeTableTest, AnOpenNodeKeepsItsSlotUntilItIsReleased) {
  const size_t descriptors = open_descriptors();
  const NodeId node = must(intern("a"));
  table_.opened(node, true);
  table_.forget(node, 1);
  EXPECT_NE(must(intern("b")), node);
  table_.released(node, true);
  EXPECT_EQ(must(intern("c")), node);
  table_.forget(must(intern("b")), 2);
  table_.forget(node, 1);
  EXPECT_EQ(table_.state().nodes, 1U);
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_F(InodeTableTest, AnOpenNodeSurvivesTheGrowthOfTheTable) {
  const NodeId node = must(intern("a"));
  table_.opened(node, false);
  table_.forget(node, 1);
  for (std::uint64_t i = 0; i < 3000; ++i) {
    must(intern_number((1ULL << 40) + i));
  }
  EXPECT_EQ(table_.find_by_ino(store_.stat("a").st_ino), node);
  table_.released(node, false);
  EXPECT_EQ(table_.find_by_ino(store_.stat("a").st_ino), std::nullopt);
}

TEST_F(InodeTableTest, TheBackingIdGoesWithTheNode) {
  const NodeId node = must(intern("a"));
  (*table_.find(node))->backing_id = 17;
  table_.forget(node, 1);
  EXPECT_EQ(released_, std::vector<std::int32_t>{17});
  const NodeId again = must(intern("a"));
  table_.forget(again, 1);
  EXPECT_EQ(released_.size(), 1U);
}

TEST_F(InodeTableTest, FilesWithoutANameAreVisited) {
  const NodeId node = must(intern("a"));
  must(intern("b"));
  table_.lost_name(store_.stat("a").st_ino);
  table_.lost_name(12345678);  // nobody knows it
  std::vector<std::uint64_t> seen;
  table_.each_nameless([&](const Inode& inode) { seen.push_back(inode.ino); });
  EXPECT_EQ(seen, std::vector{(*table_.find(node))->ino});
  table_.forget(node, 1);
  table_.each_nameless([&](const Inode&) { ADD_FAILURE() << "it is forgotten"; });
}

TEST_F(InodeTableTest, HoldsAHundredThousandNodes) {
  SKIP_UNLESS_ROOT("a descriptor for each node is beyond an ordinary user's limit");
  constexpr std::uint64_t kCount = 100'000;
  const size_t descriptors = open_descriptors();
  std::vector<NodeId> nodes;
  for (std::uint64_t i = 1; i <= kCount; ++i) {
    nodes.push_back(must(intern_number((1ULL << 40) + i)));
  }
  EXPECT_EQ(table_.state().nodes, kCount + 1);
  EXPECT_EQ(std::set(nodes.begin(), nodes.end()).size(), kCount);
  for (std::uint64_t i = 1; i <= kCount; ++i) {
    ASSERT_EQ(table_.find_by_ino((1ULL << 40) + i), nodes[i - 1]);
  }
  for (const NodeId node : nodes) {
    table_.forget(node, 1);
  }
  EXPECT_EQ(table_.state().nodes, 1U);
  EXPECT_EQ(open_descriptors(), descriptors);
}

class FullInodeTable : public InodeTableTest {
 protected:
  FullInodeTable() : InodeTableTest(4) {}
};

TEST_F(FullInodeTable, SaysThatItIsFullAndGoesOn) {
  std::vector<NodeId> nodes;
  for (std::uint64_t ino = 1ULL << 40;; ++ino) {
    const auto node = intern_number(ino);
    if (!node) {
      EXPECT_TRUE(fails_with(node, ENFILE));
      break;
    }
    nodes.push_back(*node);
    ASSERT_LE(nodes.size(), 4U);
  }
  EXPECT_EQ(nodes.size(), 3U);  // and the root
  EXPECT_EQ(table_.state().nodes, 4U);
  table_.forget(nodes.front(), 1);
  EXPECT_TRUE(ok(intern_number(7)));
}

// Runs `body` in a child that may open few descriptors more and cannot raise that limit.
void with_few_descriptors(const std::function<void()>& body) {
  const rlim_t limit = open_descriptors() + 64;
  const pid_t child = fork();
  if (child == 0) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    EXPECT_EQ(syscall(SYS_capget, &header, data), 0);
    data[0].effective &= ~(1U << CAP_SYS_RESOURCE);
    EXPECT_EQ(syscall(SYS_capset, &header, data), 0);
    const rlimit low{limit, limit};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    try {
      body();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "the child's messages are above";
}

class EvictingTable : public testing::Test {
 protected:
  void SetUp() override { SKIP_UNLESS_ROOT("only root opens files by their handle"); }

  void make_files(int count) const {
    for (int i = 0; i < count; ++i) {
      store_.write(std::to_string(i), "x");
    }
  }
  NodeId enter(InodeTable& table, const std::string& name) const {
    return must(table.intern(store_.open(name, O_PATH), store_.stat(name)));
  }
  InodeTable make_table() {
    return must(
        InodeTable::create(memory_, journal_, kept_, store_.get().root_fd(), [](std::int32_t) {}));
  }

  TestStore store_;
  StateMemory memory_ = must(StateMemory::create(1024));
  Journal journal_{memory_};
  KeptFds kept_{memory_, journal_};
};

TEST_F(EvictingTable, MoreNodesThanDescriptors) {
  make_files(500);
  with_few_descriptors([&] {
    const size_t before = open_descriptors();
    InodeTable table = make_table();
    std::vector<NodeId> nodes;
    nodes.reserve(500);
    for (int i = 0; i < 500; ++i) {
      nodes.push_back(enter(table, std::to_string(i)));
    }
    EXPECT_LT(open_descriptors(), before + 64);
    for (int i = 0; i < 1000; ++i) {
      const int fd = must(table.fd(nodes[static_cast<size_t>(i % 500)]));
      EXPECT_EQ(must(shm::posix::stat_at(fd, "", AT_EMPTY_PATH)).st_ino,
                store_.stat(std::to_string(i % 500)).st_ino);
    }
    for (const NodeId node : nodes) {
      table.forget(node, 1);
    }
    EXPECT_EQ(table.state().nodes, 1U);
    EXPECT_LE(open_descriptors(), before + 2);  // the root's
  });
}

TEST_F(EvictingTable, AnEvictedFileThatWasRemovedIsStale) {
  make_files(100);
  store_.write("gone", "x");
  with_few_descriptors([&] {
    InodeTable table = make_table();
    const NodeId gone = enter(table, "gone");
    for (int i = 0; i < 100; ++i) {
      enter(table, std::to_string(i));
    }
    ASSERT_LT((*table.find(gone))->fd, 0);
    ASSERT_EQ(unlinkat(store_.get().root_fd(), "gone", 0), 0);
    EXPECT_TRUE(fails_with(table.fd(gone), ESTALE));
  });
}

TEST_F(EvictingTable, OpenFilesDirectoriesAndFilesWithoutANameStay) {
  make_files(200);
  store_.write("open", "x");
  store_.write("nameless", "x");
  ASSERT_EQ(mkdirat(store_.get().root_fd(), "directory", 0700), 0);
  with_few_descriptors([&] {
    InodeTable table = make_table();
    const NodeId open = enter(table, "open");
    const NodeId directory = enter(table, "directory");
    const NodeId nameless = enter(table, "nameless");
    table.opened(open, false);
    table.lost_name(store_.stat("nameless").st_ino);
    ASSERT_EQ(unlinkat(store_.get().root_fd(), "nameless", 0), 0);
    for (int i = 0; i < 200; ++i) {
      enter(table, std::to_string(i));
    }
    EXPECT_GE((*table.find(open))->fd, 0);
    EXPECT_GE((*table.find(directory))->fd, 0);
    // Its descriptor is all that keeps the bytes of a file without a name.
    EXPECT_GE((*table.find(nameless))->fd, 0);
  });
}

TEST(StateMemoryTest, CostsNothingUntilItIsUsed) {
  const auto memory = StateMemory::create(1U << 24);
  ASSERT_TRUE(ok(memory));
  EXPECT_EQ(memory->max_inodes(), 1U << 24);
  EXPECT_EQ(memory->state().nodes, 0U);
  EXPECT_EQ(memory->inodes()[1U << 24].ino, 0U);  // the last record is there
}

TEST(StateMemoryTest, RecordsAreWhereTheySaid) {
  const auto memory = must(StateMemory::create(16));
  memory.inodes()[16].ino = 77;
  memory.state().nodes = 5;
  EXPECT_EQ(memory.inodes()[16].ino, 77U);
  EXPECT_EQ(memory.inodes()[0].ino, 0U);
}

}  // namespace
}  // namespace arrayfs
