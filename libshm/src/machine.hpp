// The real Machine of the state machines: atomics on shared words, futexes, this process.
//
// One lives as long as one call: it holds the moment at which the caller's patience ends. Sleeps
// last at most kLivenessInterval, after which waiters look whether the owner lives; so a death is
// noticed within that time, and a lost wake-up costs no more.
#pragma once

#include <algorithm>
#include <chrono>
#include <climits>
#include <shm/sync.hpp>

#include "sync_page.hpp"

namespace shm {

inline constexpr std::chrono::milliseconds kLivenessInterval{20};
/// For sleeps that no owner's death ends, but a lost wake-up would.
inline constexpr std::chrono::milliseconds kLostWakeInterval{500};

class Machine {
 public:
  using Clock = std::chrono::steady_clock;

  Machine(std::uint64_t self, Timeout timeout) : self_(self) {
    // Not looked at without need: the clock costs more than the lock itself.
    if (!timeout) return;
    const auto now = Clock::now();
    // Centuries are for ever; the sum would overflow.
    if (*timeout < kNever - now) {
      deadline_ = now + std::chrono::duration_cast<Clock::duration>(*timeout);
    }
  }

  template <typename T>
  T load(const std::atomic<T>& word) {
    return word.load(std::memory_order_seq_cst);
  }
  template <typename T>
  void store(std::atomic<T>& word, std::type_identity_t<T> value) {
    word.store(value, std::memory_order_seq_cst);
  }
  bool cas(Word& word, std::uint64_t expected, std::uint64_t desired) {
    return word.compare_exchange_strong(expected, desired, std::memory_order_seq_cst);
  }
  void add(Counter& counter) { counter.fetch_add(1, std::memory_order_seq_cst); }

  bool wait(Counter& counter, std::uint32_t expected,
            std::chrono::nanoseconds limit = kLivenessInterval) {
    if (deadline_ != kNever)
      limit = std::clamp<std::chrono::nanoseconds>(deadline_ - Clock::now(), {}, limit);
    return posix::futex_wait(counter, expected, limit);
  }
  void wake(Counter& counter, bool all) { posix::futex_wake(counter, all ? INT_MAX : 1); }

  [[nodiscard]] std::uint64_t self() const { return self_; }
  [[nodiscard]] bool alive(std::uint64_t identity) const {
    if (identity == self_) return true;
    return posix::is_alive(
        {static_cast<std::uint32_t>(identity), static_cast<std::uint32_t>(identity >> 32U)});
  }
  [[nodiscard]] bool expired() const { return deadline_ != kNever && Clock::now() >= deadline_; }

 private:
  static constexpr Clock::time_point kNever = Clock::time_point::max();

  std::uint64_t self_;
  Clock::time_point deadline_ = kNever;
};

/// The identity of this process as a word: start ticks in the high half, pid in the low one.
[[nodiscard]] inline Result<std::uint64_t> own_word() {
  return posix::own_identity().map(
      [](posix::ProcessIdentity own) { return std::uint64_t{own.start_ticks} << 32U | own.pid; });
}

}  // namespace shm
