// What happened to the files of a mount, for who waits for it.
//
// The last events are kept in the state memory, so that nobody misses one when a server dies: who
// waits remembers the number of the last event before its time. Nothing is recorded before somebody
// waits for the first time. A view over state memory; used by the session's thread alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "state_memory.hpp"

namespace arrayfs {

enum class EventKind : std::uint32_t {
  kCreated,
  kOpened,
  kReleased,   ///< an open file description is gone
  kPublished,  ///< one that could write is gone
  kResized,
  kRenamed,
  kSealed,
  kUnsealed,
  kRemoved,
  kExpired,   ///< removed at the end of its lifetime
  kNotified,  ///< a program said so
};

/// A file at one moment, to be told about.
struct EventSubject {
  std::uint64_t ino = 0;
  std::uint32_t uid = 0;
  std::string path;  ///< below the mount
  std::string from = {};
  std::int32_t pid = 0;
  std::uint64_t version = 0;
};

class EventLog {
 public:
  explicit EventLog(State& state) : state_(state) {}

  [[nodiscard]] bool wanted() const { return state_.events_wanted != 0; }
  /// Somebody is about to wait: from here on events are recorded.
  void want() { state_.events_wanted = 1; }

  const Event& add(EventKind kind, const EventSubject& subject);
  /// The number of the newest event.
  [[nodiscard]] std::uint64_t last() const { return state_.last_event; }
  /// The event of this number; null when it is no longer kept, or yet to come.
  [[nodiscard]] const Event* find(std::uint64_t number) const;
  /// The number of the oldest event that is kept, or would be.
  [[nodiscard]] std::uint64_t oldest() const {
    return state_.last_event < kEvents ? 1 : state_.last_event - kEvents + 1;
  }
  /// The first event after `number` that changes the file `ino` or what is at that path.
  [[nodiscard]] const Event* first_change(std::uint64_t number, std::uint64_t ino,
                                          std::uint64_t path_hash) const;

  [[nodiscard]] static bool changes(const Event& event, std::uint64_t ino, std::uint64_t path_hash);
  /// Of kPathBits bits: it has to fit a file handle beside other things.
  [[nodiscard]] static std::uint64_t hash(std::string_view path);
  static constexpr unsigned kPathBits = 24;

 private:
  State& state_;
};

/// One line of JSON, as `events` and `wait/PATH` give it.
[[nodiscard]] std::string event_line(const Event& event);
/// The same for changes that are no longer kept one by one.
[[nodiscard]] std::string lost_events_line(std::uint64_t count);
[[nodiscard]] std::string lost_change_line(const std::string& path);

}  // namespace arrayfs
