// What a process's control groups allow it of memory. Stateless.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace arrayfs {

/// The least of the limits of a process's memory control group and of those above it, bytes, of
/// control groups version 2 and 1; nothing where there is no limit, or it cannot be seen.
[[nodiscard]] std::optional<std::uint64_t> memory_limit_of(const std::string& pid);

}  // namespace arrayfs
