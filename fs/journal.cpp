#include "journal.hpp"

#include <atomic>
#include <cstddef>

#include "kept_fds.hpp"

namespace arrayfs {
namespace {

// What comes after is stored after, as seen by who looks at the memory when this thread is dead.
void fence() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace

void Journal::begin(std::uint64_t unique) {
  recording_ = true;
  earlier_.reset();
  if (again_unique_ != 0 && (unique & ~kResentBit) == again_unique_) {
    if (again_intends_) {
      earlier_ = again_intent_;
    }
    again_unique_ = 0;
  }
  state_.journal_used = 0;
  // A second attempt keeps the intent of the first: what that found, this one does not.
  state_.journal_intends = earlier_ ? 1 : 0;
  if (earlier_) {
    state_.intent = *earlier_;
  }
  fence();
  state_.journal_unique = unique & ~kResentBit;
  fence();
}

void Journal::end() {
  fence();
  state_.journal_unique = 0;
  fence();
  state_.journal_used = 0;
  state_.journal_intends = 0;
  recording_ = false;
  earlier_.reset();
}

std::uint64_t* Journal::count(const JournalEntry& entry) const {
  const std::uint64_t slot = (entry.offset - sizeof(State)) / sizeof(Inode);
  if (entry.offset < sizeof(State) || slot > memory_.max_inodes()) {
    return nullptr;
  }
  Inode& inode = memory_.inodes()[slot];
  switch ((entry.offset - sizeof(State)) % sizeof(Inode)) {
    case offsetof(Inode, lookups):
      return &inode.lookups;
    case offsetof(Inode, views):
      return &inode.views;
    case offsetof(Inode, users):
      return &inode.users;
    default:
      return nullptr;
  }
}

void Journal::append(const JournalEntry& entry) {
  if (!recording_ || state_.journal_used == kJournalEntries) {
    return;
  }
  state_.journal[state_.journal_used] = entry;
  fence();
  ++state_.journal_used;
  fence();
}

void Journal::set(std::uint64_t& target, std::uint64_t value) {
  const auto offset = static_cast<std::uint64_t>(reinterpret_cast<std::byte*>(&target) -
                                                 reinterpret_cast<std::byte*>(&state_));
  append({offset, target, value});
  target = value;
  fence();
}

void Journal::keeps(std::uint64_t handle) {
  append({0, 0, handle});
}

void Journal::intend(const Intent& intent) {
  if (!recording_ || earlier_) {
    return;
  }
  state_.intent = intent;
  fence();
  state_.journal_intends = 1;
  fence();
}

std::uint64_t Journal::recover() {
  if (state_.journal_unique == 0) {
    state_.journal_used = 0;
    state_.journal_intends = 0;
    return 0;
  }
  if (state_.journal_used != 0) {
    const JournalEntry& last = state_.journal[state_.journal_used - 1];
    if (std::uint64_t* const interrupted = count(last)) {
      *interrupted = last.after;
    }
  }
  return state_.journal_unique;
}

void Journal::resolve(bool comes_again, KeptFds& kept) {
  if (state_.journal_unique == 0) {
    return;
  }
  if (comes_again) {
    while (state_.journal_used != 0) {
      const JournalEntry& entry = state_.journal[state_.journal_used - 1];
      if (entry.offset == 0) {
        kept.drop(entry.after);
      } else if (std::uint64_t* const changed = count(entry)) {
        *changed += entry.before - entry.after;  // others may have changed it since
      }
      fence();
      --state_.journal_used;
      fence();
    }
    again_intent_ = state_.intent;
    again_intends_ = state_.journal_intends != 0;
    again_unique_ = state_.journal_unique;
  } else {
    end();
  }
}

}  // namespace arrayfs
