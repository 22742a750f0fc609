// What the request at hand has changed so far, so that it can be taken back.
//
// A server that dies before the kernel has its answer is asked again, with bit 63 of the request's
// number set. Its successor then takes back what the first attempt did to the counts in the state
// memory; what it did to the store is told by the intent: a file that must not have been there
// before is the one that the first attempt made. Used by the session's thread alone.
#pragma once

#include <cstdint>
#include <optional>

#include "state_memory.hpp"

namespace arrayfs {

class KeptFds;

class Journal {
 public:
  explicit Journal(StateMemory& memory) : memory_(memory), state_(memory.state()) {}

  /// The request that changes belong to from here on; outside of requests nothing is recorded.
  void begin(std::uint64_t unique);
  /// The kernel has its answer.
  void end();

  /// Sets a count of a node: lookups, views or users.
  void set(std::uint64_t& word, std::uint64_t value);
  /// A descriptor is about to be kept under this handle.
  void keeps(std::uint64_t handle);
  /// Whether one request has changed about as much as can be recorded.
  [[nodiscard]] bool nearly_full() const { return state_.journal_used + 64 > kJournalEntries; }

  /// Says what the request is about to do to the store.
  void intend(const Intent& intent);
  /// What the attempt of an earlier server intended, when this request is seen again.
  [[nodiscard]] const std::optional<Intent>& earlier() const { return earlier_; }

  // For a successor, in this order.
  /// Completes a change that was interrupted; returns the request that may not have been answered,
  /// 0 for none.
  [[nodiscard]] std::uint64_t recover();
  /// Whether that request comes again: then its changes are taken back, else they stay.
  void resolve(bool comes_again, KeptFds& kept);

 private:
  /// The count that the entry is about; null when there is none: the record is damaged.
  [[nodiscard]] std::uint64_t* count(const JournalEntry& entry) const;
  void append(const JournalEntry& entry);

  StateMemory& memory_;
  State& state_;
  bool recording_ = false;
  std::uint64_t again_unique_ = 0;  ///< the request that comes again
  Intent again_intent_{};
  bool again_intends_ = false;
  std::optional<Intent> earlier_;
};

/// The number of a request without the bit that says it was sent before.
inline constexpr std::uint64_t kResentBit = 1ULL << 63;

}  // namespace arrayfs
