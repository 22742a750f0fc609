#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <shm/posix.hpp>
#include <shm/ring_status.hpp>
#include <span>

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
  const auto control = posix::open_at(AT_FDCWD, *control_path, O_RDONLY | O_NONBLOCK);
  if (!control) return tl::unexpected(control.error());
  auto status = read_ring_status(control->get());
  if (!status) return fail(status.error().code, *control_path + ": " + status.error().context);
  return status;
}

Result<RingStatus> read_ring_status(int control_fd) {
  const auto refused = [] { return fail(EINVAL, "not a ring's control file"); };
  const auto attributes = posix::stat_fd(control_fd);
  if (!attributes) return tl::unexpected(attributes.error());
  if (!S_ISREG(attributes->st_mode)) return refused();
  std::string file(std::min<std::size_t>(static_cast<std::size_t>(attributes->st_size), kMaxBytes),
                   '\0');
  const auto got = posix::pread_full(control_fd, std::as_writable_bytes(std::span(file)), 0);
  if (!got) return tl::unexpected(got.error());
  file.resize(*got);
  if (file.size() < sizeof(RingPage) || !file.starts_with(kRingMagic)) return refused();
  RingStatus status;
  status.slots = word_at(file, offsetof(RingPage, slots));
  const std::size_t size = sizeof(RingPage) + status.slots * sizeof(Word);
  if (status.slots == 0 || status.slots > kMaxRingSlots || file.size() != size ||
      attributes->st_size != static_cast<off_t>(size)) {
    return refused();
  }
  const auto boot = posix::boot_id();
  if (!boot) return tl::unexpected(boot.error());
  // Of an earlier boot: who opens it next begins with an empty ring.
  if (file.compare(offsetof(ControlHeader, boot), boot->size(), *boot) != 0) return status;
  status.reserved = word_at(file, offsetof(RingPage, tail));
  status.acquired = word_at(file, offsetof(RingPage, head));
  for (std::uint64_t slot = 0; slot < status.slots; ++slot) {
    const auto word = robust::SlotWord::of(word_at(file, sizeof(RingPage) + slot * sizeof(Word)));
    if (word.state == robust::SlotState::kFree) continue;
    if (word.state > robust::SlotState::kOrphaned) return refused();
    status.items.push_back(item_of(file, status.slots, slot, word));
  }
  std::ranges::sort(status.items, {}, &RingStatus::Item::position);
  return status;
}

}  // namespace shm
