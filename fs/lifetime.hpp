// Lifetimes: when a file's name is removed by itself.
//
// A lifetime is kept in xattrs of the backing file, so that it survives the daemon: `array.expires`
// (seconds since the epoch) and `array.owner` (pid and its start time, which a later process of the
// same pid does not share). Stateless.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <shm/error.hpp>
#include <string>
#include <string_view>

namespace arrayfs {

struct Owner {
  pid_t pid;
  std::uint64_t start_ticks;  ///< /proc/PID/stat, field 22
};

struct Lifetime {
  std::optional<std::int64_t> expires_at;  ///< seconds since the epoch
  std::optional<Owner> owner;

  [[nodiscard]] bool limited() const { return expires_at || owner; }
  /// Why it is over at `now`; empty while it is not.
  [[nodiscard]] std::string over(std::int64_t now) const;
};

/// `prefix` is Store::xattr_prefix().
[[nodiscard]] Lifetime read_lifetime(int fd, const std::string& prefix);

/// Sets or, with an empty value or `0`, clears `ttl` (seconds from now) or `owner_pid`.
/// Errors: EINVAL (no number, no such process), ENOTSUP without store xattrs.
[[nodiscard]] shm::Result<void> set_lifetime(int fd, const std::string& prefix,
                                             std::string_view name, std::string_view value);

/// Whether that very process still runs.
[[nodiscard]] bool is_alive(const Owner& owner);

}  // namespace arrayfs
