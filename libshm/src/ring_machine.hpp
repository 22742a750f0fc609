// The state machine of the ring, over the same Machine as the locks (robust.hpp).
//
// The word of a slot is the truth: its state, whose it is, and its turn (how often the ring went
// round), in 64 bits that change in one compare-and-swap. Position p is turn p / slots of slot
// p % slots. Head and tail only tell where to look, and whoever finds one behind moves it on, so a
// process may die between any two accesses. A slot goes
//
//   free -> reserved -> ready -> acquired -> free of the next turn
//
// and, when its owner dies, reserved -> skipped (consumers pass over it) or acquired -> orphaned
// (another consumer gets it again).
#pragma once

#include "ring_page.hpp"
#include "robust.hpp"

namespace shm::robust {

enum class SlotState : unsigned {
  kFree = 0,
  kReserved = 1,
  kReady = 2,
  kAcquired = 3,
  kSkipped = 4,
  kOrphaned = 5,
};

/// The word of a slot, taken apart: 3 bits state, 10 participant, 11 deliveries, 40 turn.
struct SlotWord {
  SlotState state = SlotState::kFree;
  std::uint64_t participant = 0;
  std::uint64_t deliveries = 0;  ///< how often a consumer died with it, modulo 2048
  std::uint64_t turn = 0;

  [[nodiscard]] static SlotWord of(std::uint64_t word) {
    return {static_cast<SlotState>(word & 7U), (word >> 3U) & 1023U, (word >> 13U) & 2047U,
            word >> 24U};
  }
  [[nodiscard]] std::uint64_t word() const {
    return static_cast<std::uint64_t>(state) | participant << 3U | (deliveries & 2047U) << 13U |
           turn << 24U;
  }
  [[nodiscard]] bool owned() const {
    return state == SlotState::kReserved || state == SlotState::kAcquired;
  }
};

struct RingWords {
  Word& tail;
  Word& head;
  Signal& filled;
  Signal& freed;
  std::span<Word> participants;
  std::span<Word> slots;
};

/// A slot that the caller got: its word is what the slot's word must still be to give it back.
struct Taken {
  int code = 0;
  std::uint64_t position = 0;
  std::uint64_t word = 0;
};

/// Takes the slots of the dead away from them.
template <typename Machine>
void recover(Machine& machine, const RingWords& ring) {
  bool changed = false;
  for (Word& slot : ring.slots) {
    // The slot first, then who its participant is: an entry is given to another process only after
    // all slots of the dead one have changed, so a word read before cannot be the new owner's.
    const std::uint64_t value = machine.load(slot);
    SlotWord word = SlotWord::of(value);
    if (!word.owned()) continue;
    const std::uint64_t owner =
        machine.load(ring.participants[word.participant % ring.participants.size()]);
    if (owner == machine.self() || (owner != 0 && machine.alive(owner))) continue;
    const bool reserved = word.state == SlotState::kReserved;
    word.state = reserved ? SlotState::kSkipped : SlotState::kOrphaned;
    word.participant = 0;
    if (!reserved) ++word.deliveries;
    changed = machine.cas(slot, value, word.word()) || changed;
  }
  if (changed) announce(machine, ring.filled);
}

/// The entry of this process among the participants. Errors: EAGAIN when all are of the living.
template <typename Machine>
Outcome participate(Machine& machine, const RingWords& ring) {
  for (std::size_t i = 0; i < ring.participants.size(); ++i) {
    const std::uint64_t entry = machine.load(ring.participants[i]);
    if (entry == machine.self()) return {0, false, i};
    if (entry == 0 && machine.cas(ring.participants[i], 0, machine.self())) return {0, false, i};
  }
  for (std::size_t i = 0; i < ring.participants.size(); ++i) {
    const std::uint64_t entry = machine.load(ring.participants[i]);
    if (entry == 0 || machine.alive(entry)) continue;
    recover(machine, ring);
    if (machine.cas(ring.participants[i], entry, machine.self())) return {0, false, i};
  }
  return {EAGAIN};
}

/// Reserves the position at the tail, if its slot is free.
template <typename Machine>
std::optional<Taken> try_reserve(Machine& machine, const RingWords& ring, std::size_t participant) {
  for (;;) {
    const std::uint64_t tail = machine.load(ring.tail);
    const std::uint64_t turn = tail / ring.slots.size();
    Word& slot = ring.slots[tail % ring.slots.size()];
    const std::uint64_t value = machine.load(slot);
    const SlotWord word = SlotWord::of(value);
    if (word.turn < turn) return std::nullopt;  // still in use since the last time round
    if (word.turn == turn && word.state == SlotState::kFree) {
      const std::uint64_t mine = SlotWord{SlotState::kReserved, participant, 0, turn}.word();
      if (!machine.cas(slot, value, mine)) continue;
      machine.cas(ring.tail, tail, tail + 1);
      return Taken{0, tail, mine};
    }
    machine.cas(ring.tail, tail, tail + 1);
  }
}

/// Acquires the position at the head, if it is ready; passes over skipped ones.
template <typename Machine>
std::optional<Taken> try_acquire(Machine& machine, const RingWords& ring, std::size_t participant) {
  for (;;) {
    const std::uint64_t head = machine.load(ring.head);
    const std::uint64_t turn = head / ring.slots.size();
    Word& slot = ring.slots[head % ring.slots.size()];
    const std::uint64_t value = machine.load(slot);
    SlotWord word = SlotWord::of(value);
    if (word.turn < turn) return std::nullopt;
    if (word.turn == turn) {
      if (word.state == SlotState::kFree || word.state == SlotState::kReserved) return std::nullopt;
      if (word.state == SlotState::kReady) {
        word.state = SlotState::kAcquired;
        word.participant = participant;
        if (!machine.cas(slot, value, word.word())) continue;
        machine.cas(ring.head, head, head + 1);
        return Taken{0, head, word.word()};
      }
      if (word.state == SlotState::kSkipped) {
        const bool mine = machine.cas(slot, value, SlotWord{.turn = turn + 1}.word());
        machine.cas(ring.head, head, head + 1);
        if (mine) announce(machine, ring.freed);
        continue;
      }
    }
    machine.cas(ring.head, head, head + 1);
  }
}

/// What a consumer died with, the oldest or any other.
template <typename Machine>
std::optional<Taken> try_adopt(Machine& machine, const RingWords& ring, std::size_t participant) {
  for (std::size_t i = 0; i < ring.slots.size(); ++i) {
    const std::uint64_t value = machine.load(ring.slots[i]);
    SlotWord word = SlotWord::of(value);
    if (word.state != SlotState::kOrphaned) continue;
    word.state = SlotState::kAcquired;
    word.participant = participant;
    if (!machine.cas(ring.slots[i], value, word.word())) continue;
    return Taken{0, word.turn * ring.slots.size() + i, word.word()};
  }
  return std::nullopt;
}

/// Reserves the next position, sleeping while the ring is full.
template <typename Machine>
Taken reserve(Machine& machine, const RingWords& ring, std::size_t participant) {
  if (auto taken = try_reserve(machine, ring, participant)) return *taken;
  for (bool suspicious = false;;) {
    const std::uint32_t seen = machine.load(ring.freed.count);
    machine.store(ring.freed.wanted, 1);
    const bool expired = machine.expired();
    if (suspicious || expired) recover(machine, ring);
    if (auto taken = try_reserve(machine, ring, participant)) return *taken;
    if (expired) return {ETIMEDOUT};
    suspicious = machine.wait(ring.freed.count, seen);
  }
}

/// Acquires the next position, sleeping while there is none.
template <typename Machine>
Taken acquire(Machine& machine, const RingWords& ring, std::size_t participant) {
  if (auto taken = try_acquire(machine, ring, participant)) return *taken;
  for (bool suspicious = false;;) {
    const std::uint32_t seen = machine.load(ring.filled.count);
    machine.store(ring.filled.wanted, 1);
    const bool expired = machine.expired();
    if (suspicious || expired) {
      recover(machine, ring);
      if (auto taken = try_adopt(machine, ring, participant)) return *taken;
    }
    if (auto taken = try_acquire(machine, ring, participant)) return *taken;
    if (expired) return {ETIMEDOUT};
    suspicious = machine.wait(ring.filled.count, seen);
  }
}

/// Gives a slot back: a producer's as ready or skipped, a consumer's as free or orphaned.
template <typename Machine>
Outcome give_back(Machine& machine, const RingWords& ring, const Taken& taken, bool done) {
  SlotWord word = SlotWord::of(taken.word);
  const bool reserved = word.state == SlotState::kReserved;
  if (reserved) {
    word = {done ? SlotState::kReady : SlotState::kSkipped, 0, 0, word.turn};
  } else if (done) {
    word = {SlotState::kFree, 0, 0, word.turn + 1};
  } else {
    word = {SlotState::kOrphaned, 0, word.deliveries + 1, word.turn};
  }
  Word& slot = ring.slots[taken.position % ring.slots.size()];
  if (!machine.cas(slot, taken.word, word.word())) return {EPERM};
  announce(machine, reserved || !done ? ring.filled : ring.freed);
  return {};
}

}  // namespace shm::robust
