#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <shm/array.hpp>
#include <shm/sync.hpp>
#include <thread>
#include <tuple>

#include "control_file.hpp"
#include "growth.hpp"
#include "machine.hpp"
#include "robust.hpp"

namespace shm {
namespace {

constexpr std::chrono::milliseconds kRowLockPoll{1};

void reset_page(std::span<std::byte> state) {
  // The generation goes on: who waits for one beyond what it saw must not wait for ever.
  const std::size_t kept = sizeof(Word);
  std::ranges::fill(state.subspan(kept), std::byte{});
  const std::uint32_t one = 1;
  std::memcpy(state.data() + offsetof(SyncPage, permits) - sizeof(ControlHeader), &one, sizeof one);
}

const ControlKind& page_kind() {
  static const ControlKind kind{std::string_view("ARRSYNC\0", 8), kSyncPageBytes, reset_page};
  return kind;
}

tl::unexpected<Error> not_acquired(int code, Timeout timeout) {
  const bool tried = timeout && timeout->count() == 0 && code == ETIMEDOUT;
  return fail(tried ? EBUSY : code, "held by another");
}

Result<RowLock> no_rows(const std::string& path, const char* why) {
  return fail(EINVAL, path + ": " + why);
}

Result<posix::Fd> open_for(const std::string& path, posix::LockKind kind) {
  return posix::open_at(AT_FDCWD, path,
                        (kind == posix::LockKind::kShared ? O_RDONLY : O_RDWR) | O_NONBLOCK);
}

Result<void> lock_bytes(const posix::Fd& fd, posix::LockKind kind, posix::ByteRange range,
                        Timeout timeout, const std::string& path) {
  if (!timeout) return posix::lock_range(fd.get(), kind, range, true);
  // The kernel has no such lock with a timeout.
  const Machine patience(0, timeout);
  for (;;) {
    auto locked = posix::lock_range(fd.get(), kind, range, false);
    if (locked || locked.error().code != EAGAIN) return locked;
    if (timeout->count() == 0) return fail(EBUSY, path + ": rows are locked by another");
    if (patience.expired()) return fail(ETIMEDOUT, path + ": rows are locked by another");
    std::this_thread::sleep_for(kRowLockPoll);
  }
}

}  // namespace

Result<std::string> sync_path(const std::string& path) {
  auto beside = sibling_path(path, "sync");
  if (!beside || posix::stat_at(AT_FDCWD, *beside, 0)) return beside;
  // On the link plane this is a path in the store, where every process finds the same.
  auto real = posix::real_path(path);
  if (!real) return real;
  const auto root = mount_root(*real);
  if (!root) return beside;
  const std::string prefix = *root == "/" ? "" : *root;
  std::string page = prefix + "/.arrayfs/sync" + real->substr(prefix.size());
  const auto there = posix::stat_at(AT_FDCWD, page, 0);
  if (there) return page;
  const int why = there.error().code;
  // Anything else passes: two pages would be none.
  if (why == ENOENT || why == ENOTDIR || why == EOPNOTSUPP) return beside;
  return tl::unexpected(there.error());
}

Result<Sync> Sync::open(const std::string& array_path) {
  const auto array = posix::stat_at(AT_FDCWD, array_path, 0);
  if (!array) return tl::unexpected(array.error());
  if (!S_ISREG(array->st_mode)) return fail(EINVAL, array_path + ": not a regular file");
  const auto path = sync_path(array_path);
  if (!path) return tl::unexpected(path.error());
  if (!posix::stat_at(AT_FDCWD, *path, 0)) {
    const mode_t mode = array->st_mode & 0666U;
    if (auto made = create_control(*path, mode, kSyncPageBytes, page_kind(), false); !made) {
      return tl::unexpected(made.error());
    }
  }
  return map_control(*path, page_kind()).map([](posix::Mapping&& mapping) {
    return Sync(std::move(mapping));
  });
}

SyncPage& Sync::page() const {
  return *reinterpret_cast<SyncPage*>(mapping_.data());
}

Result<Sync::Held> Sync::lock(Timeout timeout) {
  const auto self = own_word();
  if (!self) return tl::unexpected(self.error());
  Machine machine(*self, timeout);
  const auto outcome = robust::lock(machine, page().mutex);
  if (outcome.code != 0) return not_acquired(outcome.code, timeout);
  return Held(*this, Held::Kind::kMutex, outcome.owner_died, 0);
}

Result<Sync::Held> Sync::lock_exclusive(Timeout timeout) {
  const auto self = own_word();
  if (!self) return tl::unexpected(self.error());
  Machine machine(*self, timeout);
  const auto outcome = robust::lock_exclusive(machine, page().writer, page().readers_gone,
                                              std::span(page().readers));
  if (outcome.code != 0) return not_acquired(outcome.code, timeout);
  return Held(*this, Held::Kind::kExclusive, outcome.owner_died, 0);
}

Result<Sync::Held> Sync::lock_shared(Timeout timeout) {
  const auto self = own_word();
  if (!self) return tl::unexpected(self.error());
  Machine machine(*self, timeout);
  const auto outcome =
      robust::lock_shared(machine, page().writer, page().readers_gone, std::span(page().readers));
  if (outcome.code != 0) return not_acquired(outcome.code, timeout);
  return Held(*this, Held::Kind::kShared, outcome.owner_died, outcome.slot);
}

Result<Sync::Held> Sync::acquire_permit(Timeout timeout) {
  const auto self = own_word();
  if (!self) return tl::unexpected(self.error());
  Machine machine(*self, timeout);
  const std::size_t count = std::min<std::size_t>(permits(), kMaxPermits);
  const auto outcome = robust::acquire_permit(machine, page().permits_released,
                                              std::span(page().holders).first(count));
  if (outcome.code != 0) return not_acquired(outcome.code, timeout);
  return Held(*this, Held::Kind::kPermit, outcome.owner_died, outcome.slot);
}

Result<void> Sync::set_permits(std::uint32_t count) {
  if (count > kMaxPermits) return fail(EINVAL, "more than " + std::to_string(kMaxPermits));
  Machine machine(0, {});
  machine.store(page().permits, count);
  robust::announce(machine, page().permits_released);
  return {};
}

std::uint32_t Sync::permits() const {
  return page().permits.load();
}

std::uint64_t Sync::generation() const {
  return page().generation.load();
}

std::uint64_t Sync::notify() {
  const std::uint64_t next = page().generation.fetch_add(1) + 1;
  posix::futex_wake(robust::low_half(page().generation), INT_MAX);
  return next;
}

Result<std::uint64_t> Sync::wait_beyond(std::uint64_t seen, Timeout timeout) {
  Machine machine(0, timeout);
  for (;;) {
    const std::uint64_t now = generation();
    if (now > seen) return now;
    if (machine.expired()) {
      return fail(timeout->count() == 0 ? EBUSY : ETIMEDOUT,
                  "no generation beyond " + std::to_string(seen));
    }
    machine.wait(robust::low_half(page().generation), static_cast<std::uint32_t>(now),
                 kLostWakeInterval);
  }
}

Result<void> Sync::release(Held::Kind kind, std::size_t slot, bool damaged) {
  const auto self = own_word();
  if (!self) return tl::unexpected(self.error());
  Machine machine(*self, {});
  robust::Outcome outcome;
  switch (kind) {
    case Held::Kind::kNothing:
      return {};
    case Held::Kind::kMutex:
      outcome = robust::unlock(machine, page().mutex, damaged, false);
      break;
    case Held::Kind::kExclusive:
      outcome = robust::unlock_exclusive(machine, page().writer, damaged);
      break;
    case Held::Kind::kShared:
      outcome =
          robust::unlock_shared(machine, page().readers_gone, std::span(page().readers), slot);
      break;
    case Held::Kind::kPermit:
      outcome =
          robust::release_permit(machine, page().permits_released, std::span(page().holders), slot);
      break;
  }
  if (outcome.code != 0) return fail(outcome.code, "not held by this process");
  return {};
}

Sync::Held::Held(Held&& other) noexcept
    : sync_(other.sync_),
      kind_(std::exchange(other.kind_, Kind::kNothing)),
      owner_died_(other.owner_died_),
      slot_(other.slot_) {}

Sync::Held::~Held() {
  // Nothing is left to tell when it is not held any more, as in a forked child.
  if (kind_ != Kind::kNothing) std::ignore = release();
}

Result<void> Sync::Held::release(bool damaged) {
  return sync_->release(std::exchange(kind_, Kind::kNothing), slot_, damaged);
}

Result<RowLock> RowLock::lock_all(const std::string& path, posix::LockKind kind, Timeout timeout) {
  auto fd = open_for(path, kind);
  if (!fd) return tl::unexpected(fd.error());
  const auto layout = read_growing_npy(fd->get());
  if (!layout) return fail(layout.error().code, path + ": " + layout.error().context);
  if (auto locked = lock_bytes(*fd, kind, {layout->data_offset, 0}, timeout, path); !locked) {
    return tl::unexpected(locked.error());
  }
  return RowLock(std::move(*fd));
}

Result<RowLock> RowLock::lock(const std::string& path, posix::LockKind kind, std::uint64_t begin,
                              std::uint64_t end, Timeout timeout) {
  auto fd = open_for(path, kind);
  if (!fd) return tl::unexpected(fd.error());
  const auto layout = read_growing_npy(fd->get());
  if (!layout) return fail(layout.error().code, path + ": " + layout.error().context);
  if (layout->shape.empty()) return no_rows(path, "a 0-d array has no rows");
  if (layout->order == Order::kFortran && layout->shape.size() > 1) {
    return no_rows(path, "in Fortran order rows are not together");
  }
  if (begin >= end || end > layout->shape.front()) {
    return no_rows(path, "no such rows; the array has fewer, or there are none between these");
  }
  const std::uint64_t row_bytes = layout->nbytes() / layout->shape.front();
  if (row_bytes == 0) return no_rows(path, "its rows have no bytes");
  const posix::ByteRange range{layout->data_offset + begin * row_bytes, (end - begin) * row_bytes};
  if (auto locked = lock_bytes(*fd, kind, range, timeout, path); !locked) {
    return tl::unexpected(locked.error());
  }
  return RowLock(std::move(*fd));
}

}  // namespace shm
