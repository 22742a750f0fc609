#include "mailbox.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace arrayfs {
namespace {

// A pipe that never has anything to read: this thread blocks in it as the session does in its
// device.
class Idle {
 public:
  Idle() { EXPECT_EQ(pipe(ends_), 0); }
  Idle(const Idle&) = delete;
  Idle& operator=(const Idle&) = delete;
  ~Idle() {
    close(ends_[0]);
    close(ends_[1]);
  }
  void block_until_woken() const {
    char byte;
    EXPECT_EQ(read(ends_[0], &byte, 1), -1);
    EXPECT_EQ(errno, EINTR);
  }

 private:
  int ends_[2] = {-1, -1};
};

TEST(MailboxTest, ATaskRunsOnTheReadersThread) {
  Mailbox mailbox;
  const Idle idle;
  std::thread::id ran_on;
  std::thread poster([&] { mailbox.post([&] { ran_on = std::this_thread::get_id(); }); });
  while (ran_on == std::thread::id()) {
    idle.block_until_woken();
    mailbox.run_pending();
  }
  poster.join();
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST(MailboxTest, WakesAReaderThatBlocksEachTime) {
  Mailbox mailbox;
  const Idle idle;
  int done = 0;
  std::thread poster([&] {
    for (int i = 0; i < 200; ++i) {
      mailbox.post([&] { ++done; });
    }
  });
  while (done < 200) {
    idle.block_until_woken();
    mailbox.run_pending();
  }
  poster.join();
}

TEST(MailboxTest, ManyPosters) {
  Mailbox mailbox;
  const Idle idle;
  int done = 0;
  std::vector<std::thread> posters;
  posters.reserve(8);
  for (int i = 0; i < 8; ++i) {
    posters.emplace_back([&] {
      for (int j = 0; j < 20; ++j) {
        mailbox.post([&] { ++done; });
      }
    });
  }
  while (done < 160) {
    idle.block_until_woken();
    mailbox.run_pending();
  }
  for (std::thread& poster : posters) {
    poster.join();
  }
}

TEST(MailboxTest, NothingPendingIsNothingDone) {
  Mailbox mailbox;
  mailbox.run_pending();
}

TEST(MailboxTest, ClosingLetsPostersGo) {
  Mailbox mailbox;
  std::atomic<bool> ran{false};
  std::thread poster([&] { mailbox.post([&] { ran = true; }); });
  mailbox.close();  // whether the post came before or after
  poster.join();
  EXPECT_FALSE(ran);
}

TEST(MailboxTest, AfterClosingTasksAreDropped) {
  Mailbox mailbox;
  mailbox.close();
  bool ran = false;
  mailbox.post([&] { ran = true; });
  mailbox.run_pending();
  EXPECT_FALSE(ran);
}

TEST(MailboxTest, ATaskMayCloseTheMailbox) {
  Mailbox mailbox;
  const Idle idle;
  bool closed = false;
  std::thread poster([&] {
    mailbox.post([&] {
      mailbox.close();
      closed = true;
    });
  });
  while (!closed) {
    idle.block_until_woken();
    mailbox.run_pending();
  }
  poster.join();
}

}  // namespace
}  // namespace arrayfs
