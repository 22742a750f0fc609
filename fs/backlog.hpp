// FORGETs that were read and are not done yet.
//
// They have no answer, so the kernel never sends them again: one that was read is lost with the
// server that read it, unless it lies in the state memory. A successor that looks for what is sent
// again reads FORGETs on the way; they wait here until that is done. A view over state memory, used
// by the session's thread alone.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "state_memory.hpp"

namespace arrayfs {

class Backlog {
 public:
  explicit Backlog(State& state);

  /// Where the next message may be read to: room for the largest; empty when there is none.
  [[nodiscard]] std::span<std::byte> room() const;
  /// The message that was read there is to be kept.
  void keep(std::size_t bytes);
  /// Keeps a message that lies elsewhere, unless it was kept before.
  void keep_copy(std::span<const std::byte> message);
  /// Whether a message of this number is kept and not done.
  [[nodiscard]] bool has(std::uint64_t unique) const;
  /// Hands on one message after the other; `process` calls `done` once the message is done.
  void work_off(const std::function<void(std::span<std::byte> message,
                                         const std::function<void()>& done)>& process);

 private:
  State& state_;
};

}  // namespace arrayfs
