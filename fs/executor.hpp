// A few threads for work that must not hold up the session: large allocations, views.
//
// Jobs run in any order and must own what they touch. Of the jobs of one user, some at most run at
// the same time, so that nobody takes all threads. The destructor finishes what was queued.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace arrayfs {

class Executor {
 public:
  using Job = std::packaged_task<void()>;

  /// `most_of_one`: how many jobs of one user run at the same time; all where nothing is said.
  explicit Executor(unsigned threads, unsigned most_of_one = UINT32_MAX);
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  ~Executor();

  /// `user` is who waits for it.
  void run(Job job, std::uint32_t user = 0);
  /// Waits for the end of what was queued; jobs that come later are dropped. For one thread, once.
  void finish();

 private:
  struct Queued {
    Job job;
    std::uint32_t user;
  };

  void work();
  [[nodiscard]] std::deque<Queued>::iterator next();
  void join();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Queued> jobs_;
  std::map<std::uint32_t, unsigned> running_;  ///< jobs by user
  unsigned most_of_one_;
  bool stopping_ = false;
  bool finished_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace arrayfs
