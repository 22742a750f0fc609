// The state machines of the mutex, the reader-writer lock and the permits.
//
// Written over a Machine, which does every access to shared words: the real one (machine.hpp), or
// that of the model check, which lets processes interleave and die at each access. An owner is
// named in the very word whose change makes it the owner, so no death goes unseen; wake-ups may be
// lost with the process that owes them, so every sleep is bounded by the Machine.
//
//   Machine: load(word), store(word, value), cas(word, expected, desired), add(counter),
//   wait(counter, expected) -> true when woken by the end of the bound alone, wake(counter, all),
//   self() -> own identity, alive(identity), expired() -> whether the caller's time is over.
#pragma once

#include <cerrno>
#include <cstdint>
#include <optional>
#include <span>

#include "sync_page.hpp"

namespace shm::robust {

// A lock word: 22 bits pid, then the flags, in the low half, which is what waiters sleep on; the
// owner's start ticks in the high half.
inline constexpr std::uint64_t kDied = std::uint64_t{1} << 30U;
inline constexpr std::uint64_t kWaiters = std::uint64_t{1} << 31U;
inline constexpr std::uint64_t kOwner = ~(kDied | kWaiters);

/// What an attempt came to: 0, or a positive errno.
struct Outcome {
  int code = 0;
  bool owner_died = false;
  std::size_t slot = 0;  ///< of a reader or a permit
};

/// The half of a lock word that its waiters sleep on.
inline Counter& low_half(Word& word) {
  return reinterpret_cast<Counter&>(word);  // little-endian
}

template <typename Machine>
bool owner_is_dead(Machine& machine, std::uint64_t value) {
  const std::uint64_t owner = value & kOwner;
  return owner != 0 && !machine.alive(owner);
}

/// Sleeps until the word is no longer `value`, which has an owner; its new value is for the caller
/// to look up. True when the owner's life should be looked at.
template <typename Machine>
bool wait_for_change(Machine& machine, Word& word, std::uint64_t value) {
  if ((value & kWaiters) == 0 && !machine.cas(word, value, value | kWaiters)) return false;
  return machine.wait(low_half(word), static_cast<std::uint32_t>(value | kWaiters));
}

template <typename Machine>
Outcome lock(Machine& machine, Word& word) {
  bool suspicious = false;
  std::uint64_t keep = 0;  // who has slept may have been woken alone: others sleep on
  for (;;) {
    const std::uint64_t value = machine.load(word);
    const bool expired = (value & kOwner) != 0 && machine.expired();
    if ((value & kOwner) == 0 || ((suspicious || expired) && owner_is_dead(machine, value))) {
      const bool died = value != (value & kWaiters);
      const std::uint64_t mine = machine.self() | (died ? kDied : 0) | (value & kWaiters) | keep;
      if (machine.cas(word, value, mine)) return {0, died};
      continue;
    }
    if (expired) return {ETIMEDOUT};
    suspicious = wait_for_change(machine, word, value);
    keep = kWaiters;
  }
}

/// `damaged` hands on that an owner died before what the lock protects was repaired.
template <typename Machine>
Outcome unlock(Machine& machine, Word& word, bool damaged, bool wake_all) {
  for (;;) {
    const std::uint64_t value = machine.load(word);
    if ((value & kOwner) != machine.self()) return {EPERM};
    if (!machine.cas(word, value, damaged ? kDied : 0)) continue;
    if ((value & kWaiters) != 0) machine.wake(low_half(word), wake_all);
    return {};
  }
}

template <typename Machine>
void announce(Machine& machine, Signal& signal) {
  const bool wanted = machine.load(signal.wanted) != 0;
  // Before the count: who wants it from here on reads the new count, or stays on record.
  if (wanted) machine.store(signal.wanted, 0);
  machine.add(signal.count);
  if (wanted) machine.wake(signal.count, true);
}

template <typename Machine>
Outcome lock_exclusive(Machine& machine, Word& writer, Signal& gone, std::span<Word> readers) {
  const Outcome outcome = lock(machine, writer);
  if (outcome.code != 0) return outcome;
  // From here on no reader enters; those that are in go, or are dead.
  for (Word& reader : readers) {
    bool suspicious = false;
    for (;;) {
      const std::uint32_t seen = machine.load(gone.count);
      machine.store(gone.wanted, 1);
      const std::uint64_t value = machine.load(reader);
      if (value == 0) break;
      const bool expired = machine.expired();
      if ((suspicious || expired) && owner_is_dead(machine, value)) {
        machine.cas(reader, value, 0);
        continue;
      }
      if (expired) {
        unlock(machine, writer, outcome.owner_died, true);
        return {ETIMEDOUT};
      }
      suspicious = machine.wait(gone.count, seen);
    }
  }
  return outcome;
}

template <typename Machine>
Outcome unlock_exclusive(Machine& machine, Word& writer, bool damaged) {
  return unlock(machine, writer, damaged, true);
}

template <typename Machine>
Outcome unlock_shared(Machine& machine, Signal& gone, std::span<Word> readers, std::size_t slot) {
  if (slot >= readers.size() || machine.load(readers[slot]) != machine.self()) return {EPERM};
  machine.store(readers[slot], 0);
  announce(machine, gone);
  return {};
}

/// A slot that is free, or else, when `suspicious`, one of a dead owner.
template <typename Machine>
std::optional<Outcome> claim_slot(Machine& machine, std::span<Word> slots, bool suspicious) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const std::uint64_t value = machine.load(slots[i]);
    const bool dead = value != 0 && suspicious && owner_is_dead(machine, value);
    if ((value == 0 || dead) && machine.cas(slots[i], value, machine.self())) {
      return Outcome{0, dead, i};
    }
  }
  return std::nullopt;
}

/// Claims a slot, sleeping while there is none.
template <typename Machine>
Outcome wait_for_slot(Machine& machine, Signal& freed, std::span<Word> slots) {
  if (auto claimed = claim_slot(machine, slots, false)) return *claimed;
  bool suspicious = false;
  for (;;) {
    const std::uint32_t seen = machine.load(freed.count);
    machine.store(freed.wanted, 1);
    const bool expired = machine.expired();
    if (auto claimed = claim_slot(machine, slots, suspicious || expired)) return *claimed;
    if (expired) return {ETIMEDOUT};
    suspicious = machine.wait(freed.count, seen);
  }
}

/// owner_died tells that a writer died and that no writer has repaired things since.
template <typename Machine>
Outcome lock_shared(Machine& machine, Word& writer, Signal& gone, std::span<Word> readers) {
  bool suspicious = false;
  for (;;) {
    const std::uint64_t value = machine.load(writer);
    if ((value & kOwner) != 0) {
      const bool expired = machine.expired();
      if ((suspicious || expired) && owner_is_dead(machine, value)) {
        // Free, and damaged until a writer has been told.
        if (machine.cas(writer, value, kDied)) machine.wake(low_half(writer), true);
        continue;
      }
      if (expired) return {ETIMEDOUT};
      suspicious = wait_for_change(machine, writer, value);
      continue;
    }
    const Outcome slot = wait_for_slot(machine, gone, readers);
    if (slot.code != 0) return slot;
    const std::uint64_t now = machine.load(writer);
    if ((now & kOwner) == 0) return {0, (now & kDied) != 0, slot.slot};
    // A writer came in between; it may have missed this reader, so the reader gives way.
    machine.store(readers[slot.slot], 0);
    announce(machine, gone);
  }
}

/// owner_died tells that the permit's last holder died with it.
template <typename Machine>
Outcome acquire_permit(Machine& machine, Signal& released, std::span<Word> holders) {
  return wait_for_slot(machine, released, holders);
}

template <typename Machine>
Outcome release_permit(Machine& machine, Signal& released, std::span<Word> holders,
                       std::size_t slot) {
  if (slot >= holders.size() || machine.load(holders[slot]) != machine.self()) return {EPERM};
  machine.store(holders[slot], 0);
  announce(machine, released);
  return {};
}

}  // namespace shm::robust
