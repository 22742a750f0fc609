// A few threads for work that must not hold up the session: large allocations, views.
//
// Jobs run in any order and must own what they touch. The destructor finishes what was queued.
#pragma once

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace arrayfs {

class Executor {
 public:
  using Job = std::packaged_task<void()>;

  explicit Executor(unsigned threads);
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  ~Executor();

  void run(Job job);
  /// Waits for the end of what was queued; jobs that come later are dropped. For one thread, once.
  void finish();

 private:
  void work();
  void join();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  bool finished_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace arrayfs
