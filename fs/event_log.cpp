#include "event_log.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <ctime>
#include <nlohmann/json.hpp>

#include "text.hpp"

namespace arrayfs {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 11> kNames = {"created", "opened",  "released", "published",
                                                     "resized", "renamed", "sealed",   "unsealed",
                                                     "removed", "expired", "notified"};

std::string line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::string_view last_bytes(std::string_view text, std::size_t count) {
  return text.substr(text.size() - std::min(text.size(), count));
}

}  // namespace

std::uint64_t EventLog::hash(std::string_view path) {
  std::uint64_t sum = 0xcbf29ce484222325;  // FNV-1a: the same in every build
  for (const char c : path) {
    sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return (sum ^ (sum >> kPathBits)) & ((1U << kPathBits) - 1);
}

const Event& EventLog::add(EventKind kind, const EventSubject& subject) {
  const std::uint64_t number = state_.last_event + 1;
  Event& event = state_.events[number % kEvents];
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  event.number = number;
  event.time_ns = std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  event.ino = subject.ino;
  event.path = hash(subject.path);
  event.version = subject.version;
  event.pid = subject.pid;
  event.uid = subject.uid;
  event.kind = static_cast<std::uint32_t>(kind);
  constexpr std::size_t kHalf = sizeof event.text / 2;
  const auto path = last_bytes(subject.path, subject.from.empty() ? sizeof event.text : kHalf);
  const auto from = last_bytes(subject.from, kHalf);
  std::ranges::copy(path, event.text);
  std::ranges::copy(from, event.text + path.size());
  event.text_bytes = static_cast<std::uint16_t>(path.size() + from.size());
  event.from_bytes = static_cast<std::uint16_t>(from.size());
  std::atomic_signal_fence(std::memory_order_seq_cst);
  state_.last_event = number;
  return event;
}

const Event* EventLog::find(std::uint64_t number) const {
  return number >= oldest() && number <= last() ? &state_.events[number % kEvents] : nullptr;
}

bool EventLog::changes(const Event& event, std::uint64_t ino, std::uint64_t path_hash) {
  const auto kind = static_cast<EventKind>(event.kind);
  const bool quiet =
      kind == EventKind::kCreated || kind == EventKind::kOpened || kind == EventKind::kReleased;
  return !quiet && (event.ino == ino || event.path == path_hash);
}

const Event* EventLog::first_change(std::uint64_t number, std::uint64_t ino,
                                    std::uint64_t path_hash) const {
  for (std::uint64_t at = std::max(number + 1, oldest()); at <= last(); ++at) {
    const Event* event = find(at);
    if (changes(*event, ino, path_hash)) {
      return event;
    }
  }
  return nullptr;
}

std::string event_line(const Event& event) {
  const std::string_view text(event.text,
                              std::min<std::size_t>(event.text_bytes, sizeof event.text));
  const std::size_t path_bytes = text.size() - std::min<std::size_t>(event.from_bytes, text.size());
  Json json;
  json["number"] = event.number;
  json["time"] = utc_time({event.time_ns / 1'000'000'000, event.time_ns % 1'000'000'000});
  json["event"] = event.kind < kNames.size() ? kNames[event.kind] : "unknown";
  json["path"] = text.substr(0, path_bytes);
  if (event.from_bytes != 0) {
    json["from"] = text.substr(path_bytes);
  }
  if (event.version != 0) {
    json["version"] = event.version;
  }
  if (event.pid != 0) {
    json["pid"] = event.pid;
  }
  return line(json);
}

std::string lost_events_line(std::uint64_t count) {
  return line({{"event", "lost"}, {"count", count}});
}

std::string lost_change_line(const std::string& path) {
  return line({{"event", "changed"}, {"path", path}});
}

}  // namespace arrayfs
