// Items from one process to another: the ring, a pipe, and slots of shared memory with two
// eventfds.
#include <sys/eventfd.h>
#include <unistd.h>

#include <shm/ring.hpp>
#include <vector>

#include "peers.hpp"

namespace shm::bench {
namespace {

class RingQueue {
 public:
  explicit RingQueue(std::size_t item_bytes) : ring_(make(item_bytes)) {}
  void put(std::uint64_t number) {
    auto slot = must(ring_.reserve());
    fill(slot.bytes(), number);
    must(slot.finish());
  }
  std::uint64_t get() {
    auto slot = must(ring_.acquire());
    const std::uint64_t sum = read_all(slot.bytes());
    must(slot.finish());
    return sum;
  }

 private:
  static Ring make(std::size_t item_bytes) {
    const std::string path = on_tmpfs("ring.npy");
    unlink(path.c_str());
    return must(Ring::create(path, *Dtype::parse("uint8"), {item_bytes}, kSlots));
  }

  Ring ring_;
};

class Pipe {
 public:
  explicit Pipe(std::size_t item_bytes) : item_(item_bytes) {
    if (pipe(ends_) != 0) throw std::runtime_error("pipe");
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    for (const int end : ends_) close(end);
  }
  void put(std::uint64_t number) {
    fill(item_, number);
    for (std::size_t done = 0; done < item_.size();) {
      const ssize_t count = write(ends_[1], item_.data() + done, item_.size() - done);
      if (count < 0) return;
      done += static_cast<std::size_t>(count);
    }
  }
  std::uint64_t get() {
    for (std::size_t done = 0; done < item_.size();) {
      const ssize_t count = read(ends_[0], item_.data() + done, item_.size() - done);
      if (count <= 0) return 0;
      done += static_cast<std::size_t>(count);
    }
    return read_all(item_);
  }

 private:
  std::vector<std::byte> item_;
  int ends_[2];
};

// What one writes by hand: no copy either, but a system call or two an item, one producer, one
// consumer, and nothing when one of them dies.
class EventfdQueue {
 public:
  explicit EventfdQueue(std::size_t item_bytes)
      : item_bytes_(item_bytes), bytes_(kSlots * item_bytes), memory_(map(bytes_)) {}
  EventfdQueue(const EventfdQueue&) = delete;
  EventfdQueue& operator=(const EventfdQueue&) = delete;
  ~EventfdQueue() {
    munmap(memory_, bytes_);
    close(free_);
    close(filled_);
  }
  void put(std::uint64_t number) {
    wait(free_);
    fill(slot(number), number);
    eventfd_write(filled_, 1);
  }
  std::uint64_t get() {
    wait(filled_);
    const std::uint64_t sum = read_all(slot(next_++));
    eventfd_write(free_, 1);
    return sum;
  }

 private:
  static std::byte* map(std::size_t bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap");
    return static_cast<std::byte*>(memory);
  }
  static void wait(int semaphore) {
    eventfd_t value = 0;
    eventfd_read(semaphore, &value);
  }
  [[nodiscard]] std::span<std::byte> slot(std::uint64_t number) const {
    return {memory_ + number % kSlots * item_bytes_, item_bytes_};
  }

  std::size_t item_bytes_;
  std::size_t bytes_;
  std::byte* memory_;
  int free_ = eventfd(kSlots, EFD_SEMAPHORE);
  int filled_ = eventfd(0, EFD_SEMAPHORE);
  std::uint64_t next_ = 0;
};

BENCHMARK(stream<RingQueue>)->Name("libshm/queue, items/arrayfs")->Apply(item_sizes);
BENCHMARK(stream<Pipe>)->Name("libshm/queue, items/pipe")->Apply(item_sizes);
BENCHMARK(stream<EventfdQueue>)->Name("libshm/queue, items/eventfds and slots")->Apply(item_sizes);

}  // namespace
}  // namespace shm::bench
