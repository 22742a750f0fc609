// Who wrote a moment ago through the daemon, on the cached plane.
//
// Between the daemon's answer to a WRITE and the moment at which the kernel lets programs touch
// what the file gained, the file's size must not be told: who maps the file then dies with SIGBUS.
// Volatile: what is forgotten costs nothing but that moment. Used by the session's thread alone.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <optional>

#include "inode_table.hpp"

namespace arrayfs {

class RecentWrites {
 public:
  using Clock = std::chrono::steady_clock;
  /// A thread that still runs after so long is not kept in the kernel by a write.
  static constexpr std::chrono::milliseconds kMoment{50};

  void add(NodeId node, pid_t thread) {
    writes_[next_++ % writes_.size()] = {node, thread, Clock::now()};
  }

  /// A thread other than `asker` that wrote to the node within the last moment.
  [[nodiscard]] std::optional<pid_t> writer_of(NodeId node, pid_t asker) const {
    for (const Write& write : writes_) {
      if (write.node == node && write.thread != asker && Clock::now() - write.at < kMoment) {
        return write.thread;
      }
    }
    return std::nullopt;
  }

 private:
  struct Write {
    NodeId node = 0;
    pid_t thread = 0;
    Clock::time_point at;
  };
  std::array<Write, 32> writes_;
  size_t next_ = 0;
};

}  // namespace arrayfs
