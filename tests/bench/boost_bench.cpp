// Boost.Interprocess: its mutex, which no death of an owner frees, and its message queue.
#include <unistd.h>

#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <shm/error.hpp>
#include <vector>

#include "peers.hpp"

namespace shm::bench {
namespace {

namespace ipc = boost::interprocess;

class BoostMutex {
 public:
  void lock_and_unlock() {
    mutex_->lock();
    mutex_->unlock();
  }

 private:
  Shared<ipc::interprocess_mutex> mutex_;
};

class MessageQueue {
 public:
  explicit MessageQueue(std::size_t item_bytes)
      : item_(item_bytes), queue_(ipc::create_only, name().c_str(), kSlots, item_bytes) {}
  ~MessageQueue() { ipc::message_queue::remove(name().c_str()); }
  MessageQueue(const MessageQueue&) = delete;
  MessageQueue& operator=(const MessageQueue&) = delete;
  void put(std::uint64_t number) {
    fill(item_, number);
    queue_.send(item_.data(), item_.size(), 0);
  }
  std::uint64_t get() {
    ipc::message_queue::size_type size = 0;
    unsigned priority = 0;
    queue_.receive(item_.data(), item_.size(), size, priority);
    return read_all(item_);
  }

 private:
  // Of /dev/shm, where Boost puts it; a child has another pid, but never asks.
  static const std::string& name() {
    static const std::string unique = "arrayfs-bench-" + std::to_string(getpid());
    return unique;
  }

  std::vector<std::byte> item_;
  ipc::message_queue queue_;
};

BENCHMARK(mutex_alone<BoostMutex>)->Name("libshm/mutex, not contended/boost")->UseRealTime();
BENCHMARK(mutex_of_two<BoostMutex>)->Name("libshm/mutex, contended/boost")->UseRealTime();
BENCHMARK(stream<MessageQueue>)->Name("libshm/queue, items/boost")->Apply(item_sizes);

}  // namespace
}  // namespace shm::bench
