// Requests over which servers end, so that one of them cannot stop all others.
//
// What a server is at, on its own thread and on the executor's, is noted in the state memory. When
// it crashes or hangs, each of these has ended one server; the kernel sends it again, and a request
// that ended several is refused. Which one it was of several at hand shows by the next time.
#pragma once

#include <cstdint>

#include "state_memory.hpp"

namespace arrayfs {

class Suspects {
 public:
  explicit Suspects(State& state) : state_(state) {}

  /// For a successor, before it reads anything: its predecessor ended over what was at hand.
  /// `by_itself`: it crashed or hung; else somebody ended it, and nothing is held against requests.
  void server_ended(bool by_itself);
  /// Whether so many servers ended over this request that no other is to try.
  [[nodiscard]] bool guilty(std::uint64_t unique) const;

 private:
  void blame(std::uint64_t unique);

  State& state_;
};

/// A request is at hand on the calling thread while this lives. From any thread.
class AtHand {
 public:
  AtHand(State& state, std::uint64_t unique);
  AtHand(const AtHand&) = delete;
  AtHand& operator=(const AtHand&) = delete;
  ~AtHand();

 private:
  std::uint64_t* place_ = nullptr;  ///< null: all places are taken
};

}  // namespace arrayfs
