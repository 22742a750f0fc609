// The state of a mount at one moment, as `status` shows it. A plain value.
#pragma once

#include <cstdint>
#include <string>

namespace arrayfs {

struct MountStatus {
  std::string version;
  std::string mountpoint;
  std::string name;
  std::string plane;         ///< passthrough or cached
  std::string plane_reason;  ///< why this one
  std::string store_path;
  std::string store_description;
  int store_root_fd = -1;  ///< borrowed from the store
  std::uint64_t capacity_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t free_bytes = 0;
  bool sparse = false;               ///< holes are not filled
  std::uint64_t nameless_files = 0;  ///< old versions and removed files that are still in use
  std::uint64_t nameless_bytes = 0;
  std::uint64_t nodes = 0;  ///< names and files that the kernel holds on to
  std::uint64_t open_files = 0;
  std::int64_t uptime_seconds = 0;
  int server_pid = 0;
  int supervisor_pid = 0;       ///< 0: it was killed
  bool can_resend = false;      ///< the kernel asks a new server what the last one left unanswered
  std::uint64_t restarts = 0;   ///< servers that were replaced
  std::uint64_t upgrades = 0;   ///< programs that took over from an older one
  std::string last_restart;     ///< why; empty while none was
  std::string log_destination;  ///< syslog, stderr, journal, or the path of a file
  std::string log_format;       ///< text or json
  std::string log_level;        ///< of kLogLevels
};

}  // namespace arrayfs
