// What a successor does with state that its predecessor left torn or damaged.
#include "state_memory.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fixture.hpp"
#include "inode_table.hpp"

namespace arrayfs {
namespace {

using shm::posix::Fd;

constexpr std::uint32_t kSlots = 16;

shm::Result<StateMemory> adopt(const StateMemory& memory) {
  return StateMemory::adopt(Fd(fcntl(memory.fd(), F_DUPFD_CLOEXEC, 0)));
}

TEST(StateMemory, WhatAnotherMadeIsTheSameMemory) {
  const StateMemory memory = must(StateMemory::create(kSlots));
  const StateMemory other = must(adopt(memory));
  memory.state().renames = 7;
  EXPECT_EQ(other.state().renames, 7U);
}

TEST(StateMemory, CountsBeyondTheirPlaceAreRefused) {
  const std::vector<std::function<void(State&)>> damages = {
      [](State& state) { state.magic = 0; },
      [](State& state) { ++state.version; },
      [](State& state) { ++state.max_inodes; },
      [](State& state) { state.max_inodes = UINT32_MAX; },
      [](State& state) { state.used_slots = 0; },
      [](State& state) { state.used_slots = kSlots + 2; },
      [](State& state) { state.used_fds = kMaxFds + 1; },
      [](State& state) { state.journal_used = kJournalEntries + 1; },
      [](State& state) { state.backlog_bytes = sizeof state.backlog + 1; },
      [](State& state) { state.config_bytes = sizeof state.config + 1; },
      [](State& state) { state.init_bytes = sizeof state.init + 1; },
      [](State& state) { std::ranges::fill(state.supervision.last_reason, 'x'); },
  };
  for (size_t i = 0; i < damages.size(); ++i) {
    const StateMemory memory = must(StateMemory::create(kSlots));
    ASSERT_TRUE(ok(memory.check()));
    damages[i](memory.state());
    EXPECT_TRUE(fails_with(adopt(memory), EPROTO)) << i;
    const TestStore store;
    StateMemory damaged = must(StateMemory::create(kSlots));
    damages[i](damaged.state());
    EXPECT_TRUE(fails_with(FileSystem::create(store.get(), damaged, {}), EPROTO)) << i;
  }
}

TEST(StateMemory, FullCountsAreNotDamage) {
  const StateMemory memory = must(StateMemory::create(kSlots));
  memory.state().used_slots = kSlots + 1;
  memory.state().used_fds = kMaxFds;
  memory.state().journal_used = kJournalEntries;
  EXPECT_TRUE(ok(adopt(memory)));
}

// A server and, by succeed(), the one after it.
class Succession : public testing::Test {
 public:
  ~Succession() override { close(probe_); }

 protected:
  Succession() : memory_(must(StateMemory::create(kSlots))) { start(); }

  void start() {
    journal_.emplace(memory_);
    kept_.emplace(memory_, *journal_);
    table_.emplace(must(create()));
  }
  shm::Result<InodeTable> create() {
    return InodeTable::create(memory_, *journal_, *kept_, store_.get().root_fd(),
                              [](std::int32_t) {});
  }
  // Its descriptors go with the table here: a successor has the file handles of the nodes.
  void die() { table_.reset(); }

  NodeId intern(const std::string& name) {
    store_.write(name, name);
    Fd fd = store_.open(name, O_PATH);
    return must(table_->intern(std::move(fd), store_.stat(name)));
  }
  [[nodiscard]] Inode& record(NodeId node) const { return memory_.inodes()[node]; }

  TestStore store_;
  StateMemory memory_;
  State& state_ = memory_.state();
  std::optional<Journal> journal_;
  std::optional<KeptFds> kept_;
  std::optional<InodeTable> table_;
  int probe_ = dup(STDERR_FILENO);
};

TEST_F(Succession, ACountThatWasRecordedAndNotSetIsTakenBackOnce) {
  const NodeId node = intern("a");
  journal_->begin(10);
  table_->opened(node, true);
  record(node).users = 0;  // as if it died between the record and the store
  die();

  StateMemory taken = must(adopt(memory_));
  auto files = must(FileSystem::create(store_.get(), taken, {}));
  files.settle(true);
  EXPECT_EQ(taken.inodes()[node].users, 0U);
}

TEST_F(Succession, AnOpenThatWasTakenBackIsNotCounted) {
  const NodeId node = intern("a");
  journal_->begin(10);
  table_->opened(node, true);
  die();
  start();
  EXPECT_EQ(journal_->recover(), 10U);
  journal_->resolve(true, *kept_);
  table_->settle({});
  EXPECT_EQ(record(node).users, 0U);
  EXPECT_EQ(state_.open_files, 0U);
}

TEST_F(Succession, ARecordOfNoCountChangesNothing) {
  const NodeId node = intern("a");
  const auto first = sizeof(State) + node * sizeof(Inode);
  journal_->begin(10);
  for (const std::uint64_t offset :
       {std::uint64_t{8}, std::uint64_t{offsetof(State, used_slots)},
        std::uint64_t{first + offsetof(Inode, ino)}, std::uint64_t{first + 4},
        std::uint64_t{sizeof(State) + (kSlots + 1) * sizeof(Inode)}, std::uint64_t{1} << 40,
        UINT64_MAX}) {
    state_.journal[0] = {offset, 1, 99};
    state_.journal_used = 1;
    const auto magic = state_.magic;
    const auto used_slots = state_.used_slots;
    const auto ino = record(node).ino;
    EXPECT_EQ(journal_->recover(), 10U);
    journal_->resolve(true, *kept_);
    EXPECT_EQ(state_.magic, magic);
    EXPECT_EQ(state_.used_slots, used_slots);
    EXPECT_EQ(record(node).ino, ino);
    EXPECT_EQ(record(node).lookups, 1U);
  }
}

TEST_F(Succession, ADescriptorThatIsNotTheNodesIsNeitherUsedNorClosed) {
  const NodeId node = intern("a");
  die();
  for (const int fd : {probe_, INT32_MAX, -7}) {
    record(node).fd = fd;
    start();
    EXPECT_EQ(record(node).fd, -1) << fd;
    die();
    EXPECT_GE(fcntl(probe_, F_GETFD), 0);
  }
}

TEST_F(Succession, AHandleLongerThanItsPlaceIsNoHandle) {
  const NodeId node = intern("a");
  die();
  record(node).handle_bytes = UINT32_MAX;
  start();
  EXPECT_FALSE(table_->fd(node));
}

TEST_F(Succession, NodesWithoutARootAreRefused) {
  intern("a");
  die();
  record(kRootNode).ino = 0;
  EXPECT_TRUE(fails_with(create(), EPROTO));
}

TEST_F(Succession, TheRootIsNotFreedHoweverFewItsLookups) {
  record(kRootNode).lookups = 0;
  table_->opened(kRootNode, false);
  table_->released(kRootNode, false);
  table_->settle({});
  EXPECT_TRUE(ok(table_->find(kRootNode)));
}

TEST_F(Succession, DamagedMemoryClosesNothing) {
  const std::uint32_t used_slots = std::exchange(state_.used_slots, UINT32_MAX);
  KeptFds::close_unknown(memory_);
  state_.used_slots = used_slots;
  EXPECT_GE(fcntl(probe_, F_GETFD), 0);
}

}  // namespace
}  // namespace arrayfs
