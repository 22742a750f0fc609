// Child processes of a test: what they run, how they are killed, what they ended with.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <new>
#include <utility>

namespace shm {

/// A forked process that runs `body` and exits with its result; killed and reaped at the latest by
/// the destructor.
class Child {
 public:
  explicit Child(const std::function<int()>& body) : pid_(::fork()) {
    if (pid_ == 0) ::_exit(body());
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }
  ~Child() {
    if (pid_ > 0) kill();
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// What waitpid reports of its end.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }
  int kill() {
    ::kill(pid_, SIGKILL);
    return wait();
  }
  /// Ended by itself with 0.
  bool succeeded() {
    const int status = wait();
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  pid_t pid_;
};

/// Memory that a test shares with its children.
template <typename T>
class Shared {
 public:
  Shared()
      : memory_(
            ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    new (memory_) T();
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(memory_, sizeof(T)); }
  T& operator*() const { return *static_cast<T*>(memory_); }
  T* operator->() const { return static_cast<T*>(memory_); }

 private:
  void* memory_;
};

/// The longer test runs have SHM_TEST_KILLS=100000 or so.
inline int kills() {
  const char* wanted = std::getenv("SHM_TEST_KILLS");
  return wanted == nullptr ? 1000 : std::atoi(wanted);
}

}  // namespace shm
