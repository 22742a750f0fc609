// Tasks from other threads for the session's thread, which sits in a blocking read most of the
// time.
//
// post() may be called from any thread and returns when the task was taken over; run_pending() is
// the session's. Waking costs a signal and nothing on the request path: SIGUSR1 ends the read.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace arrayfs {

class Mailbox {
 public:
  using Task = std::function<void()>;

  /// The calling thread is the one that runs the tasks.
  Mailbox();

  void post(Task task);
  void run_pending() {
    if (pending_.load(std::memory_order_acquire)) {
      run_all();
    }
  }
  /// Lets go of who waits in post(); tasks that come later are dropped.
  void close();

 private:
  void run_all();

  pthread_t reader_;
  std::mutex mutex_;
  std::condition_variable taken_;
  std::deque<Task> tasks_;
  std::atomic<bool> pending_{false};
  bool closed_ = false;
};

}  // namespace arrayfs
