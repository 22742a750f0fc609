// The daemon's log: where its lines go, in which form, and which of them.
//
// The lines themselves are written through spdlog, from any thread. What a line is about goes
// beside its text: in JSON and in the system's journal as fields. The level can be changed while a
// mount is served; it then lies in the state memory, for every server and program that comes later.
#pragma once

#include <spdlog/formatter.h>
#include <spdlog/spdlog.h>
#include <sys/types.h>

#include <array>
#include <memory>
#include <shm/error.hpp>
#include <string>
#include <string_view>

#include "mount_config.hpp"
#include "state_memory.hpp"

namespace arrayfs {

/// What a line is about; what is empty or 0 is not known.
struct LogFields {
  std::string path{};  ///< below the mount, or absolute; any bytes
  pid_t pid = 0;       ///< of the process that is meant
  int code = 0;        ///< errno
};

/// From the one that says most to the one that says nothing.
inline constexpr std::array<const char*, 6> kLogLevels{"trace",   "debug", "info",
                                                       "warning", "error", "off"};
/// From a process with the right to signal the daemon: its value is an index into kLogLevels.
inline constexpr int kLogLevelSignal = 23;  // SIGURG, from `arrayfs log`: others ignore it

/// Opens the log of a mount for this process. Errors: why a file cannot be written.
[[nodiscard]] shm::Result<void> open_log(const MountConfig& config, const State& state);
/// Where open_log() lets the lines go: `syslog`, `stderr`, `journal`, or the path of a file.
[[nodiscard]] std::string log_destination(const MountConfig& config);

/// The level that the log of this process obeys.
[[nodiscard]] std::string log_level();
/// Keeps a level, by its index, for the servers to come; false when there is no such level.
[[nodiscard]] bool keep_log_level(State& state, int level);
/// Lets the log of this process obey the level that was kept, or else the configuration.
void obey_log_level(const MountConfig& config, const State& state);

/// One line with its fields; the text is to say all that they say.
void log_line(spdlog::level::level_enum level, const std::string& text, const LogFields& fields);
/// For formatters and sinks: the fields of the line that this thread is writing.
[[nodiscard]] const LogFields& fields_at_hand();

/// One JSON object a line: time, level, mount, message, and the fields that are known. Bytes that
/// are no UTF-8 become U+FFFD. Each line ends with `end`.
[[nodiscard]] std::unique_ptr<spdlog::formatter> make_json_formatter(std::string mountpoint,
                                                                     std::string end);
/// spdlog's `pattern`, with the message as one line however hostile a name in it is.
[[nodiscard]] std::unique_ptr<spdlog::formatter> make_text_formatter(std::string pattern,
                                                                     std::string end);

}  // namespace arrayfs
