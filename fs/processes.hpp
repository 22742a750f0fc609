// The processes and threads of this machine, as /proc shows them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace arrayfs {

struct Process {
  pid_t pid;
  std::string command;
};

/// Visits every process that this one sees, with its directory in /proc.
void each_process(const std::function<void(pid_t pid, const std::string& directory)>& visit);

/// The name of the process with this directory in /proc; `?` when it is gone.
[[nodiscard]] std::string command_of(const std::string& directory);

/// What /proc/PID/stat says of a process or thread that this one sees.
struct ProcessStatus {
  char state;  ///< R runs or could, S and D sleep, Z and X have ended
  std::uint64_t
      start_ticks;  ///< since the machine's start; with the pid it names a process for good
};
[[nodiscard]] std::optional<ProcessStatus> process_status(pid_t pid);

/// Waits until the thread sleeps or is gone, that is until a system call which was just answered is
/// over, but not longer than `limit`. Returns at once for a thread that this process cannot see.
void await_system_call(pid_t thread, std::chrono::milliseconds limit);

}  // namespace arrayfs
