// The mutex of the sync page against a robust mutex of pthreads, and its event against eventfds.
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <shm/array.hpp>
#include <shm/sync.hpp>

#include "peers.hpp"

namespace shm::bench {
namespace {

Sync sync_of(const std::string& name) {
  const std::string path = on_tmpfs(name);
  unlink(path.c_str());
  must(Array::create(path, *Dtype::parse("int8"), {1}));
  return must(Sync::open(path));
}

class ShmMutex {
 public:
  void lock_and_unlock() { must(must(sync_.lock()).release()); }

 private:
  Sync sync_ = sync_of("mutex.npy");
};

class PthreadMutex {
 public:
  PthreadMutex() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&*mutex_, &attributes);
  }
  void lock_and_unlock() {
    pthread_mutex_lock(&*mutex_);
    pthread_mutex_unlock(&*mutex_);
  }

 private:
  Shared<pthread_mutex_t> mutex_;
};

class ShmEvents {
 public:
  void send(int direction) { (direction == 0 ? there_ : back_).notify(); }
  void receive(int direction) {
    std::uint64_t& seen = seen_[direction];
    seen = must((direction == 0 ? there_ : back_).wait_beyond(seen));
  }

 private:
  Sync there_ = sync_of("there.npy");
  Sync back_ = sync_of("back.npy");
  std::uint64_t seen_[2] = {there_.generation(), back_.generation()};
};

class Eventfds {
 public:
  Eventfds() = default;
  Eventfds(const Eventfds&) = delete;
  Eventfds& operator=(const Eventfds&) = delete;
  ~Eventfds() {
    for (const int fd : fds_) close(fd);
  }
  void send(int direction) { eventfd_write(fds_[direction], 1); }
  void receive(int direction) {
    eventfd_t value = 0;
    eventfd_read(fds_[direction], &value);
  }

 private:
  int fds_[2] = {eventfd(0, 0), eventfd(0, 0)};
};

// To another process that sleeps and back.
template <typename Events>
void wake_and_back(benchmark::State& state) {
  Events events;
  const Child other([&]() -> int {
    for (;;) {
      events.receive(0);
      events.send(1);
    }
  });
  for ([[maybe_unused]] auto _ : state) {
    events.send(0);
    events.receive(1);
  }
}

BENCHMARK(mutex_alone<ShmMutex>)->Name("libshm/mutex, not contended/arrayfs")->UseRealTime();
BENCHMARK(mutex_alone<PthreadMutex>)
    ->Name("libshm/mutex, not contended/pthreads, robust")
    ->UseRealTime();
BENCHMARK(mutex_of_two<ShmMutex>)->Name("libshm/mutex, contended/arrayfs")->UseRealTime();
BENCHMARK(mutex_of_two<PthreadMutex>)
    ->Name("libshm/mutex, contended/pthreads, robust")
    ->UseRealTime();
BENCHMARK(wake_and_back<ShmEvents>)->Name("libshm/wake and be woken/arrayfs")->UseRealTime();
BENCHMARK(wake_and_back<Eventfds>)->Name("libshm/wake and be woken/eventfds")->UseRealTime();

}  // namespace
}  // namespace shm::bench
