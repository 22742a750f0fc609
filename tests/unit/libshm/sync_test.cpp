// The sync page across real processes: what is exclusive, what is told, what outlives a kill.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <shm/array.hpp>
#include <shm/sync.hpp>
#include <thread>

#include "../fixture.hpp"
#include "children.hpp"
#include "sync_page.hpp"

namespace shm {
namespace {

using namespace std::chrono_literals;

class SyncFile : public testing::Test {
 protected:
  SyncFile() {
    auto array = Array::create(path_, *Dtype::parse("int64"), {100, 4});
    EXPECT_TRUE(array);
  }

  Sync open() { return std::move(*Sync::open(path_)); }
  std::string page_path() { return directory_.path(".w.npy.sync"); }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path("w.npy");
};

TEST_F(SyncFile, ThePageIsAHiddenFileBesideTheArray) {
  ::chmod(path_.c_str(), 0640);
  open();
  EXPECT_EQ(*sync_path(path_), std::filesystem::canonical(page_path()));
  struct stat status {};
  ASSERT_EQ(::stat(page_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 4096);
  EXPECT_EQ(status.st_mode & 0777U, 0640U);
  EXPECT_EQ(directory_.names(), (std::vector<std::string>{".w.npy.sync", "w.npy"}));
}

TEST_F(SyncFile, AMountsOwnPageComesFirst) {
  std::filesystem::create_directories(directory_.path(".arrayfs/sync"));
  std::ofstream(directory_.path(".arrayfs/status")) << "here\n";
  EXPECT_EQ(*sync_path(path_), std::filesystem::canonical(path_).parent_path() / ".w.npy.sync");
  const std::string page = directory_.path(".arrayfs/sync/w.npy");
  std::ofstream(page) << std::string(4096, '\0');
  EXPECT_EQ(*sync_path(path_), std::filesystem::canonical(page));
  EXPECT_EQ(open().permits(), 1U);
  EXPECT_FALSE(std::filesystem::exists(page_path()));
}

TEST_F(SyncFile, ASymlinkLeadsToTheSamePage) {
  std::filesystem::create_symlink("w.npy", directory_.path("link.npy"));
  EXPECT_EQ(*sync_path(directory_.path("link.npy")), *sync_path(path_));
}

TEST_F(SyncFile, WhatIsNoPageIsRefused) {
  EXPECT_EQ(Sync::open(directory_.path("missing.npy")).error().code, ENOENT);
  EXPECT_EQ(Sync::open(directory_.path(".")).error().code, EINVAL);
  std::ofstream(page_path()) << "short";
  EXPECT_EQ(Sync::open(path_).error().code, EINVAL);
  std::ofstream(page_path()) << std::string(4096, 'x');
  EXPECT_EQ(Sync::open(path_).error().code, EINVAL);
}

TEST_F(SyncFile, AnotherPidNamespaceIsRefused) {
  open();
  std::fstream file(page_path(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(offsetof(SyncPage, header) + offsetof(ControlHeader, pid_namespace));
  file.put('\x01').flush();
  EXPECT_EQ(Sync::open(path_).error().code, EXDEV);
}

TEST_F(SyncFile, LocksOfAnEarlierBootAreForgottenAndTheGenerationIsNot) {
  {
    Sync sync = open();
    sync.notify();
    ASSERT_TRUE(sync.set_permits(7));
    auto held = sync.lock();
    std::fstream file(page_path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offsetof(SyncPage, header) + offsetof(ControlHeader, boot));
    file.put('x').flush();
    Sync after = open();
    EXPECT_FALSE(after.lock(0s)->owner_died());
    EXPECT_EQ(after.generation(), 1U);
    EXPECT_EQ(after.permits(), 1U);
  }
}

TEST_F(SyncFile, TheMutexExcludes) {
  Sync sync = open();
  auto held = sync.lock();
  ASSERT_TRUE(held);
  EXPECT_FALSE(held->owner_died());
  EXPECT_EQ(sync.lock(0s).error().code, EBUSY);
  EXPECT_EQ(open().lock(1ms).error().code, ETIMEDOUT);
  ASSERT_TRUE(held->release());
  EXPECT_TRUE(sync.lock(0s));
}

TEST_F(SyncFile, AForkedChildDoesNotOwnWhatItsParentHolds) {
  Sync sync = open();
  auto held = sync.lock();
  EXPECT_TRUE(Child([&] {
                const bool refused = held->release().error().code == EPERM;
                return refused && sync.lock(0s).error().code == EBUSY ? 0 : 1;
              }).succeeded());
  EXPECT_TRUE(held->release());
}

TEST_F(SyncFile, ReadersShareAndWritersDoNot) {
  Sync sync = open();
  auto first = sync.lock_shared();
  auto second = sync.lock_shared();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(sync.lock_exclusive(0s).error().code, EBUSY);
  ASSERT_TRUE(first->release());
  EXPECT_EQ(sync.lock_exclusive(1ms).error().code, ETIMEDOUT);
  ASSERT_TRUE(second->release());
  auto writer = sync.lock_exclusive(0s);
  ASSERT_TRUE(writer);
  EXPECT_EQ(sync.lock_shared(0s).error().code, EBUSY);
}

TEST_F(SyncFile, AsManyReadersAsThePageHas) {
  Sync sync = open();
  std::vector<Sync::Held> readers;
  for (std::size_t i = 0; i < kMaxReaders; ++i) readers.push_back(std::move(*sync.lock_shared()));
  EXPECT_EQ(sync.lock_shared(0s).error().code, EBUSY);
  readers.pop_back();
  EXPECT_TRUE(sync.lock_shared(0s));
}

TEST_F(SyncFile, PermitsAreCounted) {
  Sync sync = open();
  EXPECT_EQ(sync.permits(), 1U);
  ASSERT_TRUE(sync.set_permits(2));
  auto first = sync.acquire_permit();
  auto second = sync.acquire_permit();
  EXPECT_EQ(sync.acquire_permit(0s).error().code, EBUSY);
  ASSERT_TRUE(first->release());
  EXPECT_TRUE(sync.acquire_permit(0s));
  EXPECT_EQ(sync.set_permits(kMaxPermits + 1).error().code, EINVAL);
}

TEST_F(SyncFile, WaitersSeeTheNextGeneration) {
  Sync sync = open();
  EXPECT_EQ(sync.wait_beyond(0, 0s).error().code, EBUSY);
  EXPECT_EQ(sync.wait_beyond(0, 1ms).error().code, ETIMEDOUT);
  Child waiter([&] { return sync.wait_beyond(0).value_or(0) == 1 ? 0 : 1; });
  EXPECT_EQ(sync.notify(), 1U);
  EXPECT_TRUE(waiter.succeeded());
  EXPECT_EQ(*sync.wait_beyond(0), 1U);
}

// Every lock, held by a process that is killed.
TEST_F(SyncFile, ADeathInsideIsReportedToTheNextOwnerOnce) {
  Sync sync = open();
  Shared<std::atomic<int>> inside;
  const auto die_with = [&](auto acquire) {
    *inside = 0;
    Child child([&] {
      auto held = acquire(sync);
      if (!held) return 1;
      *inside = 1;
      for (;;) ::pause();
      return 0;
    });
    while (*inside == 0) std::this_thread::yield();
    child.kill();
  };
  die_with([](Sync& s) { return s.lock(); });
  EXPECT_TRUE(sync.lock()->owner_died());
  EXPECT_FALSE(sync.lock()->owner_died());

  die_with([](Sync& s) { return s.lock_exclusive(); });
  EXPECT_TRUE(sync.lock_shared()->owner_died());
  EXPECT_TRUE(sync.lock_shared(0s)->owner_died());
  EXPECT_TRUE(sync.lock_exclusive(0s)->owner_died());
  EXPECT_FALSE(sync.lock_shared(0s)->owner_died());

  die_with([](Sync& s) { return s.lock_shared(); });
  EXPECT_FALSE(sync.lock_exclusive()->owner_died());

  die_with([](Sync& s) { return s.acquire_permit(); });
  EXPECT_TRUE(sync.acquire_permit()->owner_died());
  EXPECT_FALSE(sync.acquire_permit(0s)->owner_died());
}

TEST_F(SyncFile, DamageThatCannotBeRepairedIsHandedOn) {
  Sync sync = open();
  ASSERT_TRUE(sync.lock()->release(true));
  EXPECT_TRUE(sync.lock(0s)->owner_died());
  EXPECT_FALSE(sync.lock(0s)->owner_died());
}

TEST_F(SyncFile, AZombieIsDeadAndAProcessWithoutItsFirstThreadIsNot) {
  Shared<std::atomic<int>> stage;
  Sync sync = open();
  Child child([&] {
    static auto held = sync.lock();
    std::thread([&] {
      // Inside of a process whose first thread has ended.
      while (*stage != 2) std::this_thread::yield();
      ::_exit(0);
    }).detach();
    *stage = 1;
    // This thread alone, and without unwinding into the test.
    ::syscall(SYS_exit, 0);
    return 0;
  });
  const std::string stat = "/proc/" + std::to_string(child.pid()) + "/stat";
  const auto state = [&] {
    const auto text = posix::read_file(stat, 4096);
    return text ? (*text)[text->rfind(')') + 2] : '?';
  };
  while (*stage == 0 || state() != 'Z') std::this_thread::yield();
  EXPECT_EQ(sync.lock(0s).error().code, EBUSY);
  *stage = 2;
  // Not reaped: now it is a zombie, whose threads have all gone.
  EXPECT_TRUE(sync.lock()->owner_died());
}

// Processes that are killed wherever they are; the figures that they keep under the locks show
// whether two were ever inside.
TEST_F(SyncFile, RandomKills) {
  struct Figures {
    std::atomic<std::uint64_t> rounds{0};
    std::atomic<std::uint64_t> wrong{0};
    // Changed only under the mutex: equal unless a process died in between.
    std::uint64_t a = 0, b = 0;
    // Changed only under the exclusive lock.
    std::uint64_t c = 0, d = 0;
    std::atomic<std::uint64_t> deaths_told{0};
  };
  Shared<Figures> figures;
  Sync sync = open();
  ASSERT_TRUE(sync.set_permits(2));
  const auto work = [&] {
    std::mt19937 random(static_cast<unsigned>(::getpid()));
    for (;;) {
      switch (random() % 4) {
        case 0: {
          auto held = sync.lock();
          if (!held) return 1;
          if (held->owner_died()) {
            ++figures->deaths_told;
            figures->a = figures->b;
          }
          if (figures->a != figures->b) ++figures->wrong;
          ++figures->a;
          std::atomic_signal_fence(std::memory_order_seq_cst);
          ++figures->b;
          break;
        }
        case 1: {
          auto held = sync.lock_exclusive();
          if (!held) return 1;
          if (held->owner_died()) {
            ++figures->deaths_told;
            figures->c = figures->d;
          }
          if (figures->c != figures->d) ++figures->wrong;
          ++figures->c;
          std::atomic_signal_fence(std::memory_order_seq_cst);
          ++figures->d;
          break;
        }
        case 2: {
          auto held = sync.lock_shared();
          if (!held) return 1;
          if (!held->owner_died() && figures->c != figures->d) ++figures->wrong;
          break;
        }
        default: {
          auto held = sync.acquire_permit();
          if (!held) return 1;
        }
      }
      ++figures->rounds;
    }
  };
  std::vector<Child> workers;
  workers.reserve(4);
  for (int i = 0; i < 4; ++i) workers.emplace_back(work);
  std::mt19937 random(7);
  for (int killed = 0; killed < kills(); ++killed) {
    const std::uint64_t wanted = figures->rounds + random() % 200;
    while (figures->rounds < wanted) std::this_thread::yield();
    const std::size_t victim = random() % workers.size();
    ASSERT_TRUE(WIFSIGNALED(workers[victim].kill()));
    workers[victim] = Child(work);
  }
  workers.clear();
  EXPECT_EQ(figures->wrong, 0U);
  RecordProperty("deaths_told", std::to_string(figures->deaths_told));
  EXPECT_TRUE(sync.lock());
  EXPECT_TRUE(sync.lock_exclusive());
  EXPECT_TRUE(sync.acquire_permit());
}

TEST_F(SyncFile, ThreadsShareOneSync) {
  Sync sync = open();
  int counter = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 2000; ++j) {
        auto held = sync.lock();
        if (held) ++counter;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter, 8000);
}

TEST_F(SyncFile, RowsAreLockedApart) {
  auto first = RowLock::lock(path_, posix::LockKind::kExclusive, 0, 50);
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_TRUE(RowLock::lock(path_, posix::LockKind::kExclusive, 50, 100, 0s));
  EXPECT_EQ(RowLock::lock(path_, posix::LockKind::kShared, 49, 51, 0s).error().code, EBUSY);
  EXPECT_EQ(RowLock::lock(path_, posix::LockKind::kShared, 49, 51, 2ms).error().code, ETIMEDOUT);
  EXPECT_EQ(RowLock::lock_all(path_, posix::LockKind::kShared, 0s).error().code, EBUSY);
  first->unlock();
  auto readers = RowLock::lock_all(path_, posix::LockKind::kShared, 0s);
  EXPECT_TRUE(readers);
  EXPECT_TRUE(RowLock::lock(path_, posix::LockKind::kShared, 3, 4, 0s));
}

TEST_F(SyncFile, RowLocksOfTheDeadAreGone) {
  Shared<std::atomic<int>> inside;
  Child child([&] {
    auto held = RowLock::lock_all(path_, posix::LockKind::kExclusive);
    *inside = 1;
    for (;;) ::pause();
    return 0;
  });
  while (*inside == 0) std::this_thread::yield();
  EXPECT_EQ(RowLock::lock(path_, posix::LockKind::kShared, 1, 2, 0s).error().code, EBUSY);
  child.kill();
  EXPECT_TRUE(RowLock::lock(path_, posix::LockKind::kExclusive, 1, 2));
}

TEST_F(SyncFile, RowsThatAreNotThereAreRefused) {
  const auto code = [&](std::uint64_t begin, std::uint64_t end) {
    return RowLock::lock(path_, posix::LockKind::kShared, begin, end).error().code;
  };
  EXPECT_EQ(code(3, 3), EINVAL);
  EXPECT_EQ(code(4, 3), EINVAL);
  EXPECT_EQ(code(0, 101), EINVAL);
  EXPECT_EQ(RowLock::lock_all(directory_.path("no.npy"), posix::LockKind::kShared).error().code,
            ENOENT);
  ASSERT_TRUE(Array::create(directory_.path("scalar.npy"), Dtype(), {}));
  EXPECT_EQ(
      RowLock::lock(directory_.path("scalar.npy"), posix::LockKind::kShared, 0, 1).error().code,
      EINVAL);
}

}  // namespace
}  // namespace shm
