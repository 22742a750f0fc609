// What is in a ring, for people and for tools: a look from outside.
//
// Needs no more than the right to read the control file, takes part in nothing and changes nothing.
// The words are read one after the other while others go on, so it is the truth of a ring that
// rests. Stateless.
#pragma once

#include <cstdint>
#include <shm/error.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace shm {

struct RingStatus {
  enum class State { kReserved = 1, kReady = 2, kAcquired = 3, kSkipped = 4, kOrphaned = 5 };

  /// A slot that is not free.
  struct Item {
    std::uint64_t position = 0;  ///< how many items were reserved before; its slot is this % slots
    State state = State::kReady;
    std::uint32_t pid = 0;  ///< of the producer or consumer that has it; 0: nobody
    bool redelivered = false;
  };

  std::uint64_t slots = 0;
  std::uint64_t reserved = 0;  ///< positions given to producers so far
  std::uint64_t acquired = 0;  ///< positions given to consumers so far
  std::vector<Item> items;     ///< in the order of their positions
};

/// "reserved", "ready", "acquired", "skipped", "orphaned": FORMAT.md's words.
[[nodiscard]] std::string_view to_string(RingStatus::State state);

/// Looks at the ring whose array is `path`.
/// Errors: ENOENT (no such file, or it is no ring), EINVAL (not a ring's control file), those of
/// open(2).
[[nodiscard]] Result<RingStatus> ring_status(const std::string& path);
/// The same of an open control file. Errors: EINVAL, those of read(2).
[[nodiscard]] Result<RingStatus> read_ring_status(int control_fd);

}  // namespace shm
