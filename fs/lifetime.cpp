#include "lifetime.hpp"

#include <fmt/format.h>
#include <sys/xattr.h>

#include <cerrno>
#include <charconv>
#include <ctime>
#include <shm/posix.hpp>

#include "processes.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr std::int64_t kMaxTtlSeconds = 100LL * 365 * 86400;
// Beyond it nothing was set by this program; up to it, sums with times of this age fit.
constexpr std::int64_t kLatestExpiry = 1LL << 40;

std::string expires_name(const std::string& prefix) {
  return prefix + "array.expires";
}
std::string owner_name(const std::string& prefix) {
  return prefix + "array.owner";
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

std::string read_value(int fd, const std::string& name) {
  char text[64];
  const ssize_t size = fgetxattr(fd, name.c_str(), text, sizeof text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : std::string();
}

// A process that ended and was not waited for yet has none.
std::optional<std::uint64_t> start_ticks(pid_t pid) {
  const auto process = process_status(pid);
  const bool alive = process && process->state != 'Z' && process->state != 'X';
  return alive ? std::optional(process->start_ticks) : std::nullopt;
}

Result<void> store_value(int fd, const std::string& name, const std::string& value) {
  const int result = value.empty() ? fremovexattr(fd, name.c_str())
                                   : fsetxattr(fd, name.c_str(), value.data(), value.size(), 0);
  if (result != 0 && errno != ENODATA) {
    return shm::posix::fail_errno(name);
  }
  return {};
}

}  // namespace

bool is_alive(const Owner& owner) {
  const auto ticks = start_ticks(owner.pid);
  return ticks && *ticks == owner.start_ticks;
}

std::string Lifetime::over(std::int64_t now) const {
  if (expires_at && *expires_at <= now) {
    return "its ttl ran out";
  }
  if (owner && !is_alive(*owner)) {
    return fmt::format("its owner, pid {}, ended", owner->pid);
  }
  return {};
}

Lifetime read_lifetime(int fd, const std::string& prefix) {
  Lifetime lifetime;
  if (prefix.empty()) {
    return lifetime;
  }
  const auto expires_at = parse_number<std::int64_t>(read_value(fd, expires_name(prefix)));
  if (expires_at && *expires_at >= 0 && *expires_at <= kLatestExpiry) {
    lifetime.expires_at = expires_at;
  }
  const std::string owner = read_value(fd, owner_name(prefix));
  if (const size_t blank = owner.find(' '); blank != std::string::npos) {
    const auto pid = parse_number<pid_t>(std::string_view(owner).substr(0, blank));
    const auto ticks = parse_number<std::uint64_t>(std::string_view(owner).substr(blank + 1));
    if (pid && ticks) {
      lifetime.owner = Owner{*pid, *ticks};
    }
  }
  return lifetime;
}

Result<void> set_lifetime(int fd, const std::string& prefix, std::string_view name,
                          std::string_view value) {
  if (prefix.empty()) {
    return fail(ENOTSUP, "the store has no xattrs to keep a lifetime in");
  }
  const bool clear = value.empty() || value == "0";
  if (name == "ttl") {
    const auto seconds = parse_number<std::int64_t>(clear ? "0" : value);
    if (!seconds || *seconds < 0 || *seconds > kMaxTtlSeconds) {
      return fail(EINVAL, fmt::format("ttl '{}': give seconds", value));
    }
    return store_value(fd, expires_name(prefix),
                       clear ? "" : std::to_string(time(nullptr) + *seconds));
  }
  if (clear) {
    return store_value(fd, owner_name(prefix), "");
  }
  const auto pid = parse_number<pid_t>(value);
  const auto ticks = pid && *pid > 0 ? start_ticks(*pid) : std::nullopt;
  if (!ticks) {
    return fail(EINVAL, fmt::format("owner_pid '{}': no such process", value));
  }
  return store_value(fd, owner_name(prefix), fmt::format("{} {}", *pid, *ticks));
}

}  // namespace arrayfs
