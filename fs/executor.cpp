#include "executor.hpp"

#include <algorithm>
#include <csignal>
#include <utility>

namespace arrayfs {

Executor::Executor(unsigned threads, unsigned most_of_one) : most_of_one_(most_of_one) {
  // Signals are for the session's thread: threads inherit the mask that they start with.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { work(); });
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Executor::~Executor() {
  join();
}

void Executor::finish() {
  {
    const std::lock_guard lock(mutex_);
    finished_ = true;
  }
  join();
}

void Executor::join() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) {
      thread.join();
    }
  }
}

void Executor::run(Job job, std::uint32_t user) {
  {
    const std::lock_guard lock(mutex_);
    if (finished_) {
      return;
    }
    jobs_.push_back({std::move(job), user});
  }
  wake_.notify_one();
}

// The first one whose user has not got enough threads yet.
std::deque<Executor::Queued>::iterator Executor::next() {
  return std::ranges::find_if(jobs_, [this](const Queued& queued) {
    const auto running = running_.find(queued.user);
    return running == running_.end() || running->second < most_of_one_;
  });
}

void Executor::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return next() != jobs_.end() || (stopping_ && jobs_.empty()); });
    const auto found = next();
    if (found == jobs_.end()) {
      return;
    }
    Queued queued = std::move(*found);
    jobs_.erase(found);
    ++running_[queued.user];
    lock.unlock();
    queued.job();
    queued.job = {};  // what it owns goes before the lock is taken
    lock.lock();
    if (--running_[queued.user] == 0) {
      running_.erase(queued.user);
    }
    // This thread takes what may run now; the others end with the last job.
    if (stopping_) {
      wake_.notify_all();
    }
  }
}

}  // namespace arrayfs
