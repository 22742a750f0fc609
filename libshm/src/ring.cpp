#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <shm/ring.hpp>
#include <tuple>

#include "control_file.hpp"
#include "machine.hpp"
#include "ring_machine.hpp"

namespace shm {
namespace {

constexpr std::uint64_t kMaxControlBytes = sizeof(RingPage) + kMaxRingSlots * sizeof(Word);
/// The sizes, which a restart of the machine leaves.
constexpr std::size_t kSizesBytes = 3 * sizeof(std::uint64_t);

const ControlKind& ring_kind() {
  static const ControlKind kind{kRingMagic, kMaxControlBytes, [](std::span<std::byte> state) {
                                  std::ranges::fill(state.subspan(kSizesBytes), std::byte{});
                                }};
  return kind;
}

struct Sizes {
  std::uint64_t slots, slot_bytes, data_offset;
};

Sizes sizes_of(const Layout& layout) {
  const std::uint64_t slots = layout.shape.empty() ? 0 : layout.shape.front();
  return {slots, slots == 0 ? 0 : layout.nbytes() / slots, layout.data_offset};
}

robust::RingWords words(RingPage& page) {
  auto* slots = reinterpret_cast<Word*>(reinterpret_cast<std::byte*>(&page) + sizeof page);
  return {page.tail,
          page.head,
          page.filled,
          page.freed,
          std::span(page.participants),
          {slots, static_cast<std::size_t>(page.slots)}};
}

/// Whether the control file is that of an array of these sizes.
bool fits(const posix::Mapping& control, const Sizes& sizes) {
  if (sizes.slots == 0 || sizes.slots > kMaxRingSlots) return false;
  if (control.size() != sizeof(RingPage) + sizes.slots * sizeof(Word)) return false;
  const auto& page = *reinterpret_cast<const RingPage*>(control.data());
  return page.slots == sizes.slots && page.slot_bytes == sizes.slot_bytes &&
         page.data_offset == sizes.data_offset;
}

Result<void> make_control(const std::string& path, mode_t mode, const Sizes& sizes) {
  const std::uint64_t bytes = sizeof(RingPage) + sizes.slots * sizeof(Word);
  ControlKind kind = ring_kind();
  kind.reset = [&sizes](std::span<std::byte> state) {
    std::memcpy(state.data(), &sizes, kSizesBytes);
  };
  return create_control(path, mode, bytes, kind, true);
}

}  // namespace

Result<Ring> Ring::create(const std::string& path, const Dtype& dtype, const Shape& item,
                          std::uint64_t slots, unsigned mode) {
  Shape shape = item;
  shape.insert(shape.begin(), slots);
  const auto header = npy_header(dtype, shape, Order::kC);
  if (!header) return fail(header.error().code, path + ": " + header.error().context);
  const Sizes sizes = sizes_of({dtype, shape, Order::kC, header->size()});
  if (slots == 0 || slots > kMaxRingSlots || sizes.slot_bytes == 0) {
    return fail(EINVAL, path + ": a ring has 1 to 1,048,576 slots of at least a byte");
  }
  // Of several that make a ring of this name, one at a time: the control file that is there when
  // the array appears is the one made for it.
  const auto slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const auto directory = posix::open_at(AT_FDCWD, parent, O_RDONLY | O_DIRECTORY);
  if (!directory) return tl::unexpected(directory.error());
  if (auto locked = posix::lock_whole(directory->get()); !locked) {
    return tl::unexpected(locked.error());
  }
  if (posix::stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)) return fail(EEXIST, path);
  const auto real = posix::real_path(parent);
  if (!real) return tl::unexpected(real.error());
  const std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  if (auto made = make_control(*real + "/." + name + ".ring", mode & 0666U, sizes); !made) {
    return tl::unexpected(made.error());
  }
  auto array = Array::create(path, dtype, shape, {.mode = mode});
  if (!array) return tl::unexpected(array.error());
  return open(path);
}

Result<Ring> Ring::open(const std::string& path) {
  auto array = Array::open(path, Access::kReadWrite);
  if (!array) return tl::unexpected(array.error());
  const auto control_path = sibling_path(path, "ring");
  if (!control_path) return tl::unexpected(control_path.error());
  auto control = map_control(*control_path, ring_kind());
  if (!control) {
    const int code = control.error().code;
    return fail(code, code == ENOENT ? path + ": not a ring" : control.error().context);
  }
  if (!fits(*control, sizes_of(array->layout()))) {
    return fail(EINVAL, *control_path + ": not of this array");
  }
  return Ring(std::move(*array), std::move(*control));
}

RingPage& Ring::page() const {
  return *reinterpret_cast<RingPage*>(control_.data());
}

namespace {

/// One attempt to take a slot, as this process.
template <typename Take>
Result<std::pair<std::uint64_t, robust::Taken>> take_slot(RingPage& page, Timeout timeout,
                                                          const char* why, Take take) {
  const auto self = own_word();
  if (!self) return tl::unexpected(self.error());
  Machine machine(*self, timeout);
  const auto entry = robust::participate(machine, words(page));
  if (entry.code != 0) return fail(entry.code, "more processes than a ring can have");
  const robust::Taken taken = take(machine, words(page), entry.slot);
  if (taken.code == 0) return std::pair(*self, taken);
  return fail(timeout && timeout->count() == 0 ? EBUSY : taken.code, why);
}

}  // namespace

Result<Ring::Slot> Ring::reserve(Timeout timeout) const {
  return take_slot(page(), timeout, "the ring is full",
                   [](Machine& machine, const robust::RingWords& ring, std::size_t participant) {
                     return robust::reserve(machine, ring, participant);
                   })
      .map([this](const auto& taken) {
        return Slot(*this, taken.first, taken.second.position, taken.second.word);
      });
}

Result<Ring::Slot> Ring::acquire(Timeout timeout) const {
  return take_slot(page(), timeout, "the ring is empty",
                   [](Machine& machine, const robust::RingWords& ring, std::size_t participant) {
                     return robust::acquire(machine, ring, participant);
                   })
      .map([this](const auto& taken) {
        return Slot(*this, taken.first, taken.second.position, taken.second.word);
      });
}

std::uint64_t Ring::reserved() const {
  return page().tail.load();
}

std::uint64_t Ring::acquired() const {
  return page().head.load();
}

Ring::Slot::Slot(const Ring& ring, std::uint64_t owner, std::uint64_t position, std::uint64_t word)
    : ring_(&ring), owner_(owner), position_(position), word_(word) {
  const std::uint64_t slots = ring.slots();
  const std::uint64_t slot_bytes = ring.array_.layout().nbytes() / slots;
  bytes_ =
      ring.array_.mutable_bytes().subspan(static_cast<std::size_t>(position % slots * slot_bytes),
                                          static_cast<std::size_t>(slot_bytes));
}

Ring::Slot::Slot(Slot&& other) noexcept
    : ring_(std::exchange(other.ring_, nullptr)),
      owner_(other.owner_),
      position_(other.position_),
      word_(other.word_),
      bytes_(other.bytes_) {}

Ring::Slot::~Slot() {
  const bool consumer = robust::SlotWord::of(word_).state == robust::SlotState::kAcquired;
  // Nothing is left to tell when it is not this process's any more.
  std::ignore = give_back(consumer);
}

bool Ring::Slot::redelivered() const {
  return robust::SlotWord::of(word_).deliveries != 0;
}

Result<void> Ring::Slot::finish() {
  return give_back(true);
}

Result<void> Ring::Slot::give_up() {
  return give_back(false);
}

Result<void> Ring::Slot::give_back(bool done) {
  const Ring* ring = std::exchange(ring_, nullptr);
  if (ring == nullptr) return {};
  const auto self = own_word();
  if (!self) return tl::unexpected(self.error());
  if (*self != owner_) return fail(EPERM, "the slot is of another process");
  Machine machine(*self, {});
  const auto outcome = robust::give_back(machine, words(ring->page()), {0, position_, word_}, done);
  if (outcome.code != 0) return fail(outcome.code, "the slot is not this process's any more");
  return {};
}

}  // namespace shm
