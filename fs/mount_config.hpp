// What a mount is asked to be: the options of `arrayfs mount`, checked.
//
// Plain values, filled by the command line and read by the daemon; immutable after validate().
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <shm/error.hpp>
#include <string>
#include <string_view>

namespace arrayfs {

/// How the pages reach a process (product: data planes).
enum class Io { kAuto, kPassthrough, kCached, kLink };

/// Whom a store's root directory is given to; what is left out stays.
struct RootOwner {
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
};

struct MountConfig {
  std::string mountpoint;            ///< absolute, resolved by validate()
  std::string name;                  ///< of the store; from the mount point unless given
  std::string store_dir;             ///< `--store`; empty for a private tmpfs
  std::uint64_t capacity_bytes = 0;  ///< 0: half of the machine's memory
  Io io = Io::kAuto;
  std::string huge = "within_size";  ///< the tmpfs option: never, within_size, always, advise
  mode_t root_mode = 01777;          ///< of a new store's root directory
  std::optional<RootOwner> owner;    ///< `--owner`, which sets root_mode each time
  bool sparse = false;               ///< do not reserve the pages of holes
  bool show_control = false;         ///< list `.arrayfs` in the root directory
  bool foreground = false;
  std::string log_file;  ///< empty: stderr in the foreground, otherwise syslog
  std::string log_level = "info";
  std::string log_format = "text";  ///< or json
};

/// Bytes from `8G`, `512M`, `4096`, `1.5T`, `50%` (of the memory of this machine); powers of 1024.
/// Errors: EINVAL with what is accepted.
[[nodiscard]] shm::Result<std::uint64_t> parse_size(std::string_view text);

/// `alice`, `alice:users` or `:users`, by names or numbers. Errors: EINVAL with who is not known.
[[nodiscard]] shm::Result<RootOwner> parse_owner(const std::string& text);

/// Memory plus swap of this machine, bytes. A store beyond it could not be filled.
[[nodiscard]] std::uint64_t memory_and_swap_bytes();

/// `/mnt/my arrays` -> `mnt-my\x20arrays`: the name of a mount point as systemd-escape --path
/// writes it, so that it is also a unit's instance name. Requires: `path` is absolute and resolved.
[[nodiscard]] std::string escape_path(std::string_view path);

/// The configuration as JSON, for a program that takes over, and back; without the owner, who was
/// seen to when the store was opened. Errors: EPROTO.
[[nodiscard]] std::string to_json(const MountConfig& config);
[[nodiscard]] shm::Result<MountConfig> config_from_json(std::string_view text);

/// Resolves the mount point, completes what was left out, and refuses what cannot work.
/// Errors: ENOENT, ENOTDIR (mount point, store), EINVAL (size, name), with one line of advice.
[[nodiscard]] shm::Result<void> validate(MountConfig& config);

}  // namespace arrayfs
