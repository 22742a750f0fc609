#include "memory_limit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <shm/posix.hpp>
#include <sstream>

namespace arrayfs {
namespace {

constexpr std::size_t kMaxBytes = 1U << 16;
constexpr std::uint64_t kNoLimit = 1ULL << 62;  // version 1 says so with a number beyond it

std::optional<std::uint64_t> limit_in(const std::string& path) {
  const auto text = shm::posix::read_file(path, kMaxBytes);
  std::uint64_t bytes = 0;
  if (!text ||
      std::from_chars(text->data(), text->data() + text->size(), bytes).ec != std::errc{}) {
    return std::nullopt;  // "max"
  }
  return bytes < kNoLimit ? std::optional(bytes) : std::nullopt;
}

// From the group itself up to the root of its hierarchy.
std::optional<std::uint64_t> least_limit(const std::string& root, std::string group,
                                         const std::string& file) {
  std::optional<std::uint64_t> least;
  for (;;) {
    if (const auto limit = limit_in(fmt::format("{}{}/{}", root, group, file))) {
      least = std::min(least.value_or(*limit), *limit);
    }
    const std::size_t slash = group.rfind('/');
    if (slash == std::string::npos) {
      return least;
    }
    group.resize(slash);
  }
}

}  // namespace

std::optional<std::uint64_t> memory_limit_of(const std::string& pid) {
  const auto groups = shm::posix::read_file("/proc/" + pid + "/cgroup", kMaxBytes);
  std::istringstream lines(groups ? *groups : std::string());
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    const auto limit = controllers == "memory"
                           ? least_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes")
                       : controllers.empty() ? least_limit("/sys/fs/cgroup", group, "memory.max")
                                             : std::nullopt;
    if (limit) {
      return limit;
    }
  }
  return std::nullopt;
}

}  // namespace arrayfs
