#include "state_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;
using shm::posix::Fd;
using shm::posix::Mapping;

constexpr std::uint64_t kMagic = 0x7366'7961'7272'61ULL;  // "arrayfs"

size_t size_for(std::uint32_t max_inodes) {
  return sizeof(State) + (size_t{max_inodes} + 1) * sizeof(Inode);
}

Result<Mapping> map(const Fd& fd, size_t size_bytes) {
  return Mapping::map(fd.get(), 0, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE);
}

}  // namespace

Result<StateMemory> StateMemory::create(std::uint32_t max_inodes) {
  StateMemory memory;
  const size_t size_bytes = size_for(max_inodes);
  memory.fd_ = Fd(memfd_create("arrayfs-state", MFD_CLOEXEC));
  if (!memory.fd_.valid() || ftruncate(memory.fd_.get(), static_cast<off_t>(size_bytes)) != 0) {
    return shm::posix::fail_errno("state memory");
  }
  auto mapping = map(memory.fd_, size_bytes);
  if (!mapping) {
    return tl::unexpected(mapping.error());
  }
  memory.mapping_ = std::move(*mapping);
  State& state = memory.state();
  state.version = kStateVersion;
  state.max_inodes = max_inodes;
  state.memory_fd = memory.fd_.get();
  state.device_fd = -1;
  state.used_slots = 1;
  state.magic = kMagic;
  return memory;
}

Result<StateMemory> StateMemory::adopt(Fd fd) {
  const auto st = shm::posix::stat_fd(fd.get());
  if (!st || static_cast<size_t>(st->st_size) < sizeof(State)) {
    return fail(EPROTO, "state memory: too small");
  }
  const auto size_bytes = static_cast<size_t>(st->st_size);
  StateMemory memory;
  auto mapping = map(fd, size_bytes);
  if (!mapping) {
    return tl::unexpected(mapping.error());
  }
  memory.fd_ = std::move(fd);
  memory.mapping_ = std::move(*mapping);
  return memory.check().map([&] { return std::move(memory); });
}

Result<void> StateMemory::check() const {
  const State& its = state();
  if (its.magic != kMagic || its.version != kStateVersion ||
      mapping_.size() != size_for(its.max_inodes)) {
    return fail(EPROTO, "state memory: of another version of arrayfs");
  }
  const bool fits = its.used_slots != 0 && its.used_slots - 1 <= its.max_inodes &&
                    its.used_fds <= kMaxFds && its.backlog_bytes <= sizeof its.backlog &&
                    its.journal_used <= kJournalEntries && its.config_bytes <= sizeof its.config &&
                    its.init_bytes <= sizeof its.init &&
                    memchr(its.supervision.last_reason, 0, sizeof its.supervision.last_reason);
  if (!fits) {
    return fail(EPROTO, "state memory: damaged");
  }
  return {};
}

std::int64_t monotonic_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace arrayfs
