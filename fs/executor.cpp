#include "executor.hpp"

#include <csignal>
#include <utility>

namespace arrayfs {

Executor::Executor(unsigned threads) {
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

void Executor::run(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (finished_) {
      return;
    }
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Executor::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) {
      return;
    }
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
  }
}

}  // namespace arrayfs
