// What a server leaves to its successor: FORGETs that it read, and requests that it ended over.
#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backlog.hpp"
#include "fixture.hpp"
#include "journal.hpp"
#include "kernel_protocol.hpp"
#include "raw_kernel.hpp"
#include "suspects.hpp"

namespace arrayfs {
namespace {

std::string forget_message(std::uint64_t unique) {
  const fuse_forget_in body{1};
  return wire(RawKernel::header(FUSE_FORGET, 2, sizeof body, unique), body);
}

class LeftBehind : public testing::Test {
 protected:
  void read_forget(std::uint64_t unique) {
    const std::string message = forget_message(unique);
    Backlog backlog(state_);
    std::memcpy(backlog.room().data(), message.data(), message.size());
    backlog.keep(message.size());
  }
  /// The numbers that are handed on, up to the one at which the server dies before it is done.
  std::vector<std::uint64_t> work_off(std::uint64_t dies_at = 0) {
    struct Death {};
    std::vector<std::uint64_t> seen;
    try {
      Backlog(state_).work_off([&](auto message, const auto& done) {
        seen.push_back(KernelProtocol::header_of(message).unique);
        if (seen.back() == dies_at) {
          throw Death();
        }
        done();
      });
    } catch (const Death&) {
    }
    return seen;
  }

  using Numbers = std::vector<std::uint64_t>;
  StateMemory memory_ = must(StateMemory::create(16));
  State& state_ = memory_.state();
};

TEST_F(LeftBehind, ForgetsAreDoneInTurnAndOnce) {
  for (const std::uint64_t unique : {2, 4, 6}) {
    read_forget(unique);
  }
  EXPECT_TRUE(Backlog(state_).has(4));
  EXPECT_EQ(work_off(), (Numbers{2, 4, 6}));
  EXPECT_FALSE(Backlog(state_).has(4));
  EXPECT_EQ(work_off(), Numbers{});
}

TEST_F(LeftBehind, ForgetsOutliveWhoDiesOverThem) {
  for (const std::uint64_t unique : {2, 4, 6}) {
    read_forget(unique);
  }
  EXPECT_EQ(work_off(4), (Numbers{2, 4}));
  EXPECT_FALSE(Backlog(state_).has(2));
  EXPECT_TRUE(Backlog(state_).has(4));
  read_forget(8);
  EXPECT_EQ(work_off(), (Numbers{4, 6, 8}));
}

TEST_F(LeftBehind, DeathBetweenTheStepsThatEmptyTheBacklog) {
  read_forget(2);
  EXPECT_EQ(work_off(), Numbers{2});
  state_.backlog_done = forget_message(2).size();
  read_forget(4);
  EXPECT_EQ(work_off(), Numbers{4});
}

TEST_F(LeftBehind, AForgetThatWasKeptBeforeIsNotKeptTwice) {
  const std::string message = forget_message(2);
  for (int turn = 0; turn < 2; ++turn) {
    Backlog(state_).keep_copy(std::as_bytes(std::span(message)));
  }
  EXPECT_EQ(work_off(), Numbers{2});
}

TEST_F(LeftBehind, TheBacklogIsBounded) {
  std::uint64_t kept = 0;
  while (!Backlog(state_).room().empty()) {
    read_forget(++kept);
  }
  EXPECT_GT(kept, 20'000U);
  EXPECT_TRUE(ok(memory_.check()));
  EXPECT_EQ(work_off().size(), kept);
}

TEST_F(LeftBehind, ARequestThatEndsThreeServersIsGuilty) {
  Suspects suspects(state_);
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_FALSE(suspects.guilty(10)) << turn;
    state_.journal_unique = 10;
    suspects.server_ended(true);
  }
  EXPECT_TRUE(suspects.guilty(10));
  EXPECT_TRUE(suspects.guilty(10 | kResentBit));
  EXPECT_FALSE(suspects.guilty(12));
}

TEST_F(LeftBehind, NothingIsHeldAgainstRequestsWhenServersAreKilled) {
  Suspects suspects(state_);
  for (int turn = 0; turn < 10; ++turn) {
    state_.journal_unique = 10;
    suspects.server_ended(false);
  }
  EXPECT_FALSE(suspects.guilty(10));
}

TEST_F(LeftBehind, HelpersAreAtRequestsToo) {
  Suspects suspects(state_);
  for (int turn = 0; turn < 3; ++turn) {
    std::thread([&] {
      const AtHand first(state_, 20);
      const AtHand second(state_, 22 + static_cast<std::uint64_t>(turn));
      suspects.server_ended(true);
    }).join();
  }
  EXPECT_TRUE(suspects.guilty(20));
  EXPECT_FALSE(suspects.guilty(22));
}

TEST_F(LeftBehind, ARequestAtHandTwiceEndsOneServer) {
  Suspects suspects(state_);
  for (int turn = 0; turn < 2; ++turn) {
    const AtHand helper(state_, 20);
    state_.journal_unique = 20;
    suspects.server_ended(true);
  }
  EXPECT_FALSE(suspects.guilty(20));
}

TEST_F(LeftBehind, WhatIsNoLongerAtHandIsNoSuspect) {
  Suspects suspects(state_);
  for (int turn = 0; turn < 3; ++turn) {
    { const AtHand over(state_, 20); }
    suspects.server_ended(true);
  }
  EXPECT_FALSE(suspects.guilty(20));
}

TEST_F(LeftBehind, MoreHelpersThanPlacesAreNotNoted) {
  std::vector<std::unique_ptr<AtHand>> all;
  for (std::uint64_t unique = 1; unique <= std::uint64_t{2} * kHelpers; ++unique) {
    all.push_back(std::make_unique<AtHand>(state_, unique));
  }
  all.clear();
  EXPECT_EQ(std::ranges::count(state_.at_hand, 0U), kHelpers);
}

}  // namespace
}  // namespace arrayfs
