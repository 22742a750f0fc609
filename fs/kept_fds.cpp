#include "kept_fds.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>

namespace arrayfs {

bool KeptFds::record(State& state, int fd, FdUse use, std::uint32_t owner) {
  const auto number = static_cast<std::uint32_t>(fd);
  if (fd < 0 || number >= kMaxFds) {
    return false;
  }
  state.used_fds = std::max(state.used_fds, number + 1);
  state.fds[number].owner = owner;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  state.fds[number].use = static_cast<std::uint32_t>(use);
  return true;
}

std::uint64_t KeptFds::keep(shm::posix::Fd fd, FdUse use) {
  const std::uint32_t stamp = ++state_.fd_stamp;
  const std::uint64_t handle = std::uint64_t{stamp} << 32 | static_cast<std::uint32_t>(fd.get());
  journal_.keeps(handle);
  if (!record(state_, fd.get(), use, stamp)) {
    return 0;
  }
  static_cast<void>(fd.release());
  return handle;
}

int KeptFds::get(std::uint64_t handle) const {
  const auto number = static_cast<std::uint32_t>(handle);
  if (number >= kMaxFds) {
    return -1;
  }
  const FdRecord& known = state_.fds[number];
  const bool live = (known.use == static_cast<std::uint32_t>(FdUse::kFile) ||
                     known.use == static_cast<std::uint32_t>(FdUse::kDirectory)) &&
                    known.owner == handle >> 32;
  return live ? static_cast<int>(number) : -1;
}

void KeptFds::drop(std::uint64_t handle) {
  if (const int fd = get(handle); fd >= 0) {
    state_.fds[fd].use = static_cast<std::uint32_t>(FdUse::kNone);
    close(fd);
  }
}

bool KeptFds::keep_node(int fd, std::uint32_t slot) {
  return record(state_, fd, FdUse::kNode, slot);
}

bool KeptFds::keeps_node(int fd, std::uint32_t slot) const {
  return fd >= 0 && static_cast<std::uint32_t>(fd) < kMaxFds &&
         state_.fds[fd].use == static_cast<std::uint32_t>(FdUse::kNode) &&
         state_.fds[fd].owner == slot;
}

void KeptFds::close_node(int fd) {
  state_.fds[fd].use = static_cast<std::uint32_t>(FdUse::kNone);
  close(fd);
}

void KeptFds::keep_mount(State& state, int fd) {
  static_cast<void>(record(state, fd, FdUse::kMount, 0));
}

void KeptFds::let_go(State& state, int fd) {
  state.fds[fd].use = static_cast<std::uint32_t>(FdUse::kNone);
}

void KeptFds::close_unknown(const StateMemory& memory) {
  if (!memory.check()) {
    return;  // nothing can be served from it
  }
  State& state = memory.state();
  const Inode* inodes = memory.inodes();
  unsigned unknown_from = STDERR_FILENO + 1;
  for (std::uint32_t fd = unknown_from; fd < state.used_fds; ++fd) {
    FdRecord& known = state.fds[fd];
    if (known.use == static_cast<std::uint32_t>(FdUse::kNode) &&
        (known.owner >= state.used_slots || inodes[known.owner].ino == 0 ||
         inodes[known.owner].fd != static_cast<int>(fd))) {
      known.use = static_cast<std::uint32_t>(FdUse::kNone);
    }
    if (known.use != static_cast<std::uint32_t>(FdUse::kNone)) {
      if (unknown_from < fd) {
        close_range(unknown_from, fd - 1, 0);
      }
      unknown_from = fd + 1;
    }
  }
  close_range(unknown_from, UINT_MAX, 0);
}

void KeptFds::pass_through_exec(const State& state, bool pass) {
  for (std::uint32_t fd = 0; fd < state.used_fds; ++fd) {
    if (state.fds[fd].use != static_cast<std::uint32_t>(FdUse::kNone)) {
      fcntl(static_cast<int>(fd), F_SETFD, pass ? 0 : FD_CLOEXEC);
    }
  }
}

}  // namespace arrayfs
