#include "executor.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <latch>
#include <set>
#include <stdexcept>
#include <thread>

namespace arrayfs {
namespace {

TEST(ExecutorTest, RunsAllThatWasQueuedBeforeItEnds) {
  std::atomic<int> done{0};
  {
    Executor executor(3);
    for (int i = 0; i < 1000; ++i) {
      executor.run(Executor::Job([&] { ++done; }));
    }
  }
  EXPECT_EQ(done, 1000);
}

TEST(ExecutorTest, JobsRunBesideEachOther) {
  Executor executor(4);
  std::latch all_at_once(5);  // only done when four jobs wait together
  for (int i = 0; i < 4; ++i) {
    executor.run(Executor::Job([&] { all_at_once.arrive_and_wait(); }));
  }
  all_at_once.arrive_and_wait();
}

TEST(ExecutorTest, OneUserLeavesThreadsToOthers) {
  std::latch wanted(1);
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  {
    Executor executor(3, 2);
    for (int i = 0; i < 10; ++i) {
      executor.run(Executor::Job([&] {
                     most = std::max<int>(most, ++running);
                     wanted.wait();
                     --running;
                   }),
                   7);
    }
    executor.run(Executor::Job([&] { wanted.count_down(); }), 8);  // else nothing ever ends
  }
  EXPECT_LE(most, 2);
}

TEST(ExecutorTest, AJobThatThrowsHarmsNoOther) {
  Executor executor(1);
  executor.run(Executor::Job([] { throw std::runtime_error("a job's own affair"); }));
  Executor::Job next([] {});
  auto done = next.get_future();
  executor.run(std::move(next));
  done.get();
}

TEST(ExecutorTest, AJobMayQueueAnother) {
  std::atomic<bool> done{false};
  {
    Executor executor(1);
    executor.run(Executor::Job([&] { executor.run(Executor::Job([&] { done = true; })); }));
  }
  EXPECT_TRUE(done);
}

TEST(ExecutorTest, WithNothingToDoItEnds) {
  const Executor executor(4);
}

TEST(ExecutorTest, SignalsAreNotForItsThreads) {
  Executor executor(1);
  sigset_t blocked;
  sigemptyset(&blocked);
  Executor::Job job([&] { pthread_sigmask(SIG_SETMASK, nullptr, &blocked); });
  auto done = job.get_future();
  executor.run(std::move(job));
  done.get();
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP}) {
    EXPECT_EQ(sigismember(&blocked, signal), 1) << signal;
  }
  sigset_t here;
  pthread_sigmask(SIG_SETMASK, nullptr, &here);
  EXPECT_EQ(sigismember(&here, SIGTERM), 0);
}

}  // namespace
}  // namespace arrayfs
