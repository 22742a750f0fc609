// Descriptors that outlive the server process.
//
// All servers of a mount share one table of descriptors with the supervisor, so that nothing is
// closed when one of them dies. What each is for is recorded in the state memory; a successor
// closes the rest, which belonged to its predecessor alone. Used by the session's thread alone.
#pragma once

#include <cstdint>
#include <shm/posix.hpp>

#include "journal.hpp"
#include "state_memory.hpp"

namespace arrayfs {

class KeptFds {
 public:
  KeptFds(StateMemory& memory, Journal& journal) : state_(memory.state()), journal_(journal) {}

  /// Keeps an open file or directory; the handle names it for good, also when the number of the
  /// descriptor is used again. Returns 0 when the table is full.
  [[nodiscard]] std::uint64_t keep(shm::posix::Fd fd, FdUse use);
  /// The descriptor behind a handle; -1 when it was dropped.
  [[nodiscard]] int get(std::uint64_t handle) const;
  void drop(std::uint64_t handle);

  /// Keeps the descriptor of a node; false when the table is full.
  [[nodiscard]] bool keep_node(int fd, std::uint32_t slot);
  /// Whether keep_node() took this descriptor for this slot.
  [[nodiscard]] bool keeps_node(int fd, std::uint32_t slot) const;
  /// Closes a descriptor that keep_node() took.
  void close_node(int fd);

  /// Keeps what the mount is made of, for as long as it is there.
  static void keep_mount(State& state, int fd);
  /// The opposite; the descriptor stays open.
  static void let_go(State& state, int fd);

  /// For a successor, before it opens anything: closes every descriptor that nothing is known of.
  static void close_unknown(const StateMemory& memory);
  /// For an upgrade: lets the descriptors that are kept pass through execve(2), or no longer.
  static void pass_through_exec(const State& state, bool pass);

 private:
  [[nodiscard]] static bool record(State& state, int fd, FdUse use, std::uint32_t owner);

  State& state_;
  Journal& journal_;
};

}  // namespace arrayfs
