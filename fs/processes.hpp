// Who uses what, as /proc tells: the processes that map a file or keep a mount busy.
//
// A daemon or command of root sees every process, others see those of their user. Nothing is
// opened or asked on the mount itself, so the daemon may call this about its own files.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace arrayfs {

struct Process {
  pid_t pid;
  std::string command;
  bool writable = false;  ///< its mapping is shared and writable, or it has the file open so
};

/// The processes that map inode `ino` of `device`, which is as in /proc/PID/maps: `00:2a`.
[[nodiscard]] std::vector<Process> mappers_of(const std::string& device, std::uint64_t ino);

/// The processes that have that inode open. Errors of a process that ends meanwhile are none.
[[nodiscard]] std::vector<Process> openers_of(const std::string& device, std::uint64_t ino);

/// The processes that have the file `path` (absolute, resolved) open.
[[nodiscard]] std::vector<Process> openers_of(const std::string& path);

/// The processes that have a file, a mapping or their working directory at or below `path`.
[[nodiscard]] std::vector<Process> users_of(const std::string& path);

/// `pid 12 (python3, writes), pid 15 (bash, reads)`; `nobody` when the list is empty.
[[nodiscard]] std::string describe_use(const std::vector<Process>& processes);

/// `pid 12 (python3), pid 15 (bash)`; `somebody` when the list is empty.
[[nodiscard]] std::string describe(const std::vector<Process>& processes);

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

/// The device of what is mounted at `mountpoint`, as in /proc/PID/maps; empty when nothing is.
[[nodiscard]] std::string device_of_mount(const std::string& mountpoint);

}  // namespace arrayfs
