#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <shm/posix.hpp>
#include <shm/ring_status.hpp>

#include "control_file.hpp"
#include "ring_machine.hpp"

namespace shm {
namespace {

constexpr std::size_t kMaxBytes = sizeof(RingPage) + kMaxRingSlots * sizeof(Word);

std::uint64_t word_at(const std::string& file, std::size_t offset) {
  std::uint64_t word = 0;
  std::memcpy(&word, file.data() + offset, sizeof word);
  return word;
}

RingStatus::Item item_of(const std::string& file, std::uint64_t slots, std::uint64_t slot,
                         const robust::SlotWord& word) {
  RingStatus::Item item;
  item.position = word.turn * slots + slot;
  item.state = static_cast<RingStatus::State>(word.state);
  item.redelivered = word.deliveries != 0;
  if (word.owned()) {
    const std::size_t entry = offsetof(RingPage, participants) + word.participant * sizeof(Word);
    item.pid = static_cast<std::uint32_t>(word_at(file, entry));
  }
  return item;
}

}  // namespace

std::string_view to_string(RingStatus::State state) {
  switch (state) {
    case RingStatus::State::kReserved:
      return "reserved";
    case RingStatus::State::kReady:
      return "ready";
    case RingStatus::State::kAcquired:
      return "acquired";
    case RingStatus::State::kSkipped:
      return "skipped";
    case RingStatus::State::kOrphaned:
      return "orphaned";
  }
  return "unknown";
}

Result<RingStatus> ring_status(const std::string& path) {
  const auto control_path = sibling_path(path, "ring");
  if (!control_path) return tl::unexpected(control_path.error());
  const auto refused = [&] { return fail(EINVAL, *control_path + ": not a ring's control file"); };
  const auto attributes = posix::stat_at(AT_FDCWD, *control_path, 0);
  if (!attributes) return tl::unexpected(attributes.error());
  if (!S_ISREG(attributes->st_mode)) return refused();
  const auto file = posix::read_file(*control_path, kMaxBytes);
  if (!file) return tl::unexpected(file.error());
  if (file->size() < sizeof(RingPage) || !file->starts_with(kRingMagic)) return refused();
  RingStatus status;
  status.slots = word_at(*file, offsetof(RingPage, slots));
  if (status.slots == 0 || status.slots > kMaxRingSlots ||
      file->size() != sizeof(RingPage) + status.slots * sizeof(Word)) {
    return refused();
  }
  const auto boot = posix::boot_id();
  if (!boot) return tl::unexpected(boot.error());
  // Of an earlier boot: who opens it next begins with an empty ring.
  if (file->compare(offsetof(ControlHeader, boot), boot->size(), *boot) != 0) return status;
  status.reserved = word_at(*file, offsetof(RingPage, tail));
  status.acquired = word_at(*file, offsetof(RingPage, head));
  for (std::uint64_t slot = 0; slot < status.slots; ++slot) {
    const auto word = robust::SlotWord::of(word_at(*file, sizeof(RingPage) + slot * sizeof(Word)));
    if (word.state == robust::SlotState::kFree) continue;
    if (word.state > robust::SlotState::kOrphaned) return refused();
    status.items.push_back(item_of(*file, status.slots, slot, word));
  }
  std::ranges::sort(status.items, {}, &RingStatus::Item::position);
  return status;
}

}  // namespace shm
