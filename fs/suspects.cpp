#include "suspects.hpp"

#include <algorithm>
#include <atomic>

#include "journal.hpp"

namespace arrayfs {
namespace {

constexpr std::uint32_t kTooManyEnds = 3;

}  // namespace

void Suspects::server_ended(bool by_itself) {
  if (by_itself) {
    blame(state_.journal_unique);
    for (const std::uint64_t unique : state_.at_hand) {
      if (unique != state_.journal_unique) {  // which a helper may have begun already
        blame(unique);
      }
    }
  }
  std::ranges::fill(state_.at_hand, 0);
}

void Suspects::blame(std::uint64_t unique) {
  if (unique == 0) {
    return;
  }
  const auto known = std::ranges::find(state_.suspects, unique, &Suspect::unique);
  if (known != std::end(state_.suspects)) {
    ++known->ends;
  } else {
    state_.suspects[state_.blamed++ % kSuspects] = {unique, 1};
  }
}

bool Suspects::guilty(std::uint64_t unique) const {
  return std::ranges::any_of(state_.suspects, [&](const Suspect& suspect) {
    return suspect.unique == (unique & ~kResentBit) && suspect.ends >= kTooManyEnds;
  });
}

AtHand::AtHand(State& state, std::uint64_t unique) {
  for (std::uint64_t& place : state.at_hand) {
    std::uint64_t empty = 0;
    if (std::atomic_ref(place).compare_exchange_strong(empty, unique)) {
      place_ = &place;
      return;
    }
  }
}

AtHand::~AtHand() {
  if (place_ != nullptr) {
    std::atomic_ref(*place_).store(0);
  }
}

}  // namespace arrayfs
