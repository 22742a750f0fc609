// The ring across real processes: order, back-pressure, kills on both sides.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <shm/ring.hpp>
#include <shm/ring_status.hpp>
#include <thread>

#include "../fixture.hpp"
#include "children.hpp"

namespace shm {
namespace {

using namespace std::chrono_literals;

class RingFile : public testing::Test {
 protected:
  Ring make(std::uint64_t slots = 4, const Shape& item = {16}) {
    auto ring = Ring::create(path_, *Dtype::parse("uint64"), item, slots);
    if (!ring) throw std::runtime_error(to_string(ring.error()));
    return std::move(*ring);
  }

  static void put(const Ring& ring, std::uint64_t value) {
    auto slot = ring.reserve();
    ASSERT_TRUE(slot);
    std::memcpy(slot->bytes().data(), &value, sizeof value);
    ASSERT_TRUE(slot->finish());
  }
  static std::uint64_t value_of(const Ring::Slot& slot) {
    std::uint64_t value = 0;
    std::memcpy(&value, slot.bytes().data(), sizeof value);
    return value;
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path("q.npy");
};

TEST_F(RingFile, ItemsComeInOrderAndInPlace) {
  const Ring ring = make();
  for (std::uint64_t round = 0; round < 5; ++round) {
    for (std::uint64_t i = 0; i < 4; ++i) put(ring, round * 4 + i);
    for (std::uint64_t i = 0; i < 4; ++i) {
      auto slot = ring.acquire(0s);
      ASSERT_TRUE(slot);
      EXPECT_EQ(value_of(*slot), round * 4 + i);
      EXPECT_EQ(slot->position(), round * 4 + i);
      EXPECT_FALSE(slot->redelivered());
      EXPECT_EQ(slot->bytes().data(), ring.array().bytes().data() + i * 128);
    }
  }
  EXPECT_EQ(ring.reserved(), 20U);
  EXPECT_EQ(ring.acquired(), 20U);
}

TEST_F(RingFile, TheFileIsAPlainArray) {
  put(make(), 42);
  const Array array = *Array::open(path_);
  EXPECT_EQ(array.layout().shape, (Shape{4, 16}));
  EXPECT_EQ((*array.view<std::uint64_t>())(0, 0), 42U);
  EXPECT_EQ(std::filesystem::file_size(path_), 128U + 4 * 128);
}

TEST_F(RingFile, StatusTellsWhoHasWhichSlot) {
  const Ring ring = make();
  EXPECT_TRUE(ring_status(path_)->items.empty());
  for (std::uint64_t i = 0; i < 3; ++i) put(ring, i);
  { auto done = ring.acquire(); }
  auto taken = ring.acquire();
  auto reserved = ring.reserve();
  const RingStatus status = *ring_status(path_);
  EXPECT_EQ(status.slots, 4U);
  EXPECT_EQ(status.reserved, 4U);
  EXPECT_EQ(status.acquired, 2U);
  ASSERT_EQ(status.items.size(), 3U);
  const auto self = static_cast<std::uint32_t>(getpid());
  const auto expect = [&](std::size_t i, std::uint64_t position, RingStatus::State state,
                          std::uint32_t pid) {
    EXPECT_EQ(status.items[i].position, position);
    EXPECT_EQ(status.items[i].state, state) << to_string(status.items[i].state);
    EXPECT_EQ(status.items[i].pid, pid);
    EXPECT_FALSE(status.items[i].redelivered);
  };
  expect(0, 1, RingStatus::State::kAcquired, self);
  expect(1, 2, RingStatus::State::kReady, 0);
  expect(2, 3, RingStatus::State::kReserved, self);
}

TEST_F(RingFile, StatusBelievesNothing) {
  EXPECT_EQ(ring_status(path_).error().code, ENOENT);
  const std::string control = directory_.path(".q.npy.ring");
  std::ofstream(path_) << "an array";
  EXPECT_EQ(ring_status(path_).error().code, ENOENT);
  std::ofstream(control) << std::string(12'288 + 32, '\1');
  EXPECT_EQ(ring_status(path_).error().code, EINVAL);
  std::filesystem::remove(control);
  ASSERT_EQ(mkfifo(control.c_str(), 0600), 0);
  EXPECT_EQ(ring_status(path_).error().code, EINVAL);
  std::filesystem::remove(control);
  std::filesystem::remove(path_);
  // Words that no ring writes.
  const Ring ring = make();
  std::fstream(control, std::ios::in | std::ios::out).seekp(12'288).write("\7", 1);
  EXPECT_EQ(ring_status(path_).error().code, EINVAL);
}

TEST_F(RingFile, StatusOfAnEarlierBootIsEmpty) {
  put(make(), 1);
  std::fstream(directory_.path(".q.npy.ring"), std::ios::in | std::ios::out)
      .seekp(16)
      .write("x", 1);
  const auto status = ring_status(path_);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->slots, 4U);
  EXPECT_EQ(status->reserved, 0U);
  EXPECT_TRUE(status->items.empty());
}

TEST_F(RingFile, FullAndEmpty) {
  const Ring ring = make(1);
  EXPECT_EQ(ring.acquire(0s).error().code, EBUSY);
  EXPECT_EQ(ring.acquire(1ms).error().code, ETIMEDOUT);
  auto slot = ring.reserve();
  EXPECT_EQ(ring.reserve(0s).error().code, EBUSY);
  EXPECT_EQ(ring.acquire(0s).error().code, EBUSY);  // reserved is not ready
  ASSERT_TRUE(slot->finish());
  EXPECT_EQ(ring.reserve(1ms).error().code, ETIMEDOUT);
  EXPECT_TRUE(ring.acquire(0s));
  EXPECT_TRUE(ring.reserve(0s));
}

TEST_F(RingFile, WhatAProducerGivesUpIsSkipped) {
  const Ring ring = make();
  ASSERT_TRUE(ring.reserve()->give_up());
  { auto dropped = ring.reserve(); }
  put(ring, 7);
  auto slot = ring.acquire(0s);
  ASSERT_TRUE(slot);
  EXPECT_EQ(slot->position(), 2U);
}

TEST_F(RingFile, WhatAConsumerGivesUpComesAgain) {
  const Ring ring = make();
  put(ring, 7);
  ASSERT_TRUE(ring.acquire()->give_up());
  auto slot = ring.acquire(0s);
  ASSERT_TRUE(slot);
  EXPECT_TRUE(slot->redelivered());
  EXPECT_EQ(value_of(*slot), 7U);
}

TEST_F(RingFile, AForkedChildDoesNotFinishItsParentsSlot) {
  const Ring ring = make();
  auto slot = ring.reserve();
  EXPECT_TRUE(Child([&] { return slot->finish().error().code == EPERM ? 0 : 1; }).succeeded());
  EXPECT_EQ(ring.acquire(0s).error().code, EBUSY);
  EXPECT_TRUE(slot->finish());
  EXPECT_TRUE(ring.acquire(0s));
}

TEST_F(RingFile, Refusals) {
  const auto code = [&](const Shape& item, std::uint64_t slots) {
    return Ring::create(path_, Dtype(), item, slots).error().code;
  };
  EXPECT_EQ(code({1}, 0), EINVAL);
  EXPECT_EQ(code({1}, (1U << 20U) + 1), EINVAL);
  EXPECT_EQ(code({0}, 4), EINVAL);
  EXPECT_EQ(code({std::uint64_t{1} << 62U}, 4), EOVERFLOW);
  EXPECT_EQ(Ring::open(path_).error().code, ENOENT);
  make();
  EXPECT_EQ(code({1}, 4), EEXIST);
  std::filesystem::remove(directory_.path(".q.npy.ring"));
  EXPECT_EQ(Ring::open(path_).error().code, ENOENT);
}

TEST_F(RingFile, TheControlFileOfAnotherArrayIsRefused) {
  make(4);
  std::filesystem::remove(path_);
  ASSERT_TRUE(Array::create(path_, *Dtype::parse("uint64"), {5, 16}));
  EXPECT_EQ(Ring::open(path_).error().code, EINVAL);
  std::filesystem::remove(path_);
  EXPECT_EQ(make(5).slots(), 5U);
}

TEST_F(RingFile, TheSlotOfADeadProducerIsSkipped) {
  const Ring ring = make(2);
  Shared<std::atomic<int>> stage;
  Child producer([&] {
    auto slot = ring.reserve();
    *stage = 1;
    for (;;) ::pause();
    return 0;
  });
  while (*stage == 0) std::this_thread::yield();
  put(ring, 8);
  EXPECT_EQ(ring.acquire(0s).error().code, EBUSY);
  producer.kill();
  auto slot = ring.acquire();
  ASSERT_TRUE(slot);
  EXPECT_EQ(value_of(*slot), 8U);
}

TEST_F(RingFile, TheItemOfADeadConsumerComesAgain) {
  const Ring ring = make(2);
  put(ring, 8);
  Shared<std::atomic<int>> stage;
  Child consumer([&] {
    auto slot = ring.acquire();
    *stage = 1;
    for (;;) ::pause();
    return 0;
  });
  while (*stage == 0) std::this_thread::yield();
  EXPECT_EQ(ring.acquire(0s).error().code, EBUSY);
  consumer.kill();
  auto slot = ring.acquire();
  ASSERT_TRUE(slot);
  EXPECT_TRUE(slot->redelivered());
  EXPECT_EQ(value_of(*slot), 8U);
}

// Two producers and two consumers, one of either side killed at a time and started again. A
// producer continues after the last item that it knows to have published: it may publish one twice,
// and none is lost; what comes is whole, and what was finished does not come again.
TEST_F(RingFile, RandomKills) {
  constexpr std::size_t kSide = 2;
  struct Figures {
    std::atomic<std::uint64_t> next[kSide];
    std::atomic<std::uint64_t> finished{0};
    std::atomic<std::uint64_t> wrong{0};
    std::atomic<std::uint8_t> seen[kSide][1U << 20U];
  };
  Shared<Figures> figures;
  const Ring ring = make(8, {64});
  const auto produce = [&](std::size_t who) {
    for (;;) {
      auto slot = ring.reserve();
      if (!slot) return 1;
      const std::uint64_t item = figures->next[who] << 8U | who;
      auto* words = reinterpret_cast<std::uint64_t*>(slot->bytes().data());
      for (int i = 0; i < 64; ++i) words[i] = item;
      if (!slot->finish()) ++figures->wrong;
      ++figures->next[who];
    }
  };
  const auto consume = [&](std::size_t) {
    for (;;) {
      auto slot = ring.acquire();
      if (!slot) return 1;
      const auto* words = reinterpret_cast<const std::uint64_t*>(slot->bytes().data());
      const std::uint64_t item = words[0];
      for (int i = 0; i < 64; ++i) {
        if (words[i] != item) ++figures->wrong;
      }
      figures->seen[(item & 255U) % kSide][(item >> 8U) % (1U << 20U)] = 1;
      if (!slot->finish()) ++figures->wrong;
      ++figures->finished;
    }
  };
  std::vector<Child> producers;
  std::vector<Child> consumers;
  const auto start = [](auto& work, std::size_t who) {
    return Child([&work, who] { return work(who); });
  };
  for (std::size_t i = 0; i < kSide; ++i) {
    producers.push_back(start(produce, i));
    consumers.push_back(start(consume, i));
  }
  std::mt19937 random(3);
  for (int killed = 0; killed < kills(); ++killed) {
    const std::uint64_t wanted = figures->finished + random() % 100;
    while (figures->finished < wanted) std::this_thread::yield();
    const std::size_t who = random() % kSide;
    if (random() % 2 == 0) {
      ASSERT_TRUE(WIFSIGNALED(producers[who].kill()));
      producers[who] = start(produce, who);
    } else {
      ASSERT_TRUE(WIFSIGNALED(consumers[who].kill()));
      consumers[who] = start(consume, who);
    }
  }
  producers.clear();
  // What is left is drained: nothing that is published stays behind.
  consumers.clear();
  for (;;) {
    auto slot = ring.acquire(0s);
    if (!slot) break;
    const std::uint64_t item = value_of(*slot);
    figures->seen[(item & 255U) % kSide][(item >> 8U) % (1U << 20U)] = 1;
  }
  EXPECT_EQ(figures->wrong, 0U);
  // Tail and head may have been left behind by the dead; who comes next moves them on.
  put(ring, 0);
  auto last = ring.acquire(0s);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->position() + 1, ring.reserved());
  EXPECT_EQ(ring.reserved(), ring.acquired());
  for (std::size_t who = 0; who < kSide; ++who) {
    const std::uint64_t count = std::min<std::uint64_t>(figures->next[who], 1U << 20U);
    for (std::uint64_t i = 0; i < count; ++i)
      ASSERT_EQ(figures->seen[who][i], 1) << who << " " << i;
  }
}

}  // namespace
}  // namespace shm
