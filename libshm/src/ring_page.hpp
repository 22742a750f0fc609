// The control file of a ring: libshm/FORMAT.md as C++.
//
// The array holds the slots' bytes alone; who has which slot, and what comes next, is here. Every
// word is accessed atomically. All zero but the sizes is the first state: an empty ring.
#pragma once

#include <string_view>

#include "sync_page.hpp"

namespace shm {

inline constexpr std::string_view kRingMagic("ARRRING\0", 8);
inline constexpr std::size_t kMaxParticipants = 1024;
inline constexpr std::uint64_t kMaxRingSlots = std::uint64_t{1} << 20U;

struct RingPage {
  ControlHeader header;
  std::uint64_t slots;        ///< extent of the array's first axis
  std::uint64_t slot_bytes;   ///< of one step along it
  std::uint64_t data_offset;  ///< of the array, bytes
  alignas(64) Word tail;      ///< position that is reserved next
  alignas(64) Word head;      ///< position that is acquired next
  alignas(64) Signal filled;
  alignas(64) Signal freed;
  alignas(4096) std::array<Word, kMaxParticipants> participants;
  // Followed by one Word per slot.
};
static_assert(offsetof(RingPage, slots) == 64);
static_assert(offsetof(RingPage, tail) == 128);
static_assert(offsetof(RingPage, head) == 192);
static_assert(offsetof(RingPage, filled) == 256);
static_assert(offsetof(RingPage, freed) == 320);
static_assert(offsetof(RingPage, participants) == 4096);
static_assert(sizeof(RingPage) == 12'288);

}  // namespace shm
