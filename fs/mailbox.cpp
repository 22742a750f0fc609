#include "mailbox.hpp"

#include <chrono>
#include <csignal>
#include <utility>

namespace arrayfs {

Mailbox::Mailbox() : reader_(pthread_self()) {
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};  // without SA_RESTART: the read ends with EINTR
  sigaction(SIGUSR1, &nothing, nullptr);
}

void Mailbox::post(Task task) {
  std::unique_lock lock(mutex_);
  if (closed_) {
    return;
  }
  tasks_.push_back(std::move(task));
  pending_.store(true, std::memory_order_release);
  // A signal that comes just before the read blocks is lost, so it is sent until it was heard.
  do {
    pthread_kill(reader_, SIGUSR1);
  } while (!taken_.wait_for(lock, std::chrono::milliseconds(5),
                            [this] { return tasks_.empty() || closed_; }));
}

void Mailbox::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  taken_.notify_all();
}

void Mailbox::run_all() {
  std::deque<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
    pending_.store(false, std::memory_order_release);
  }
  taken_.notify_all();
  for (Task& task : tasks) {
    task();
  }
}

}  // namespace arrayfs
