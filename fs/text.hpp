// Numbers as a person reads them. Stateless.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace arrayfs {

/// `7.6 MiB`, `512 B`.
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);
/// `2 s`, `5 min`, `3 h`, `12 d`: how long ago.
[[nodiscard]] std::string human_duration(std::int64_t seconds);
/// `2026-03-01T12:00:00.123456789Z`.
[[nodiscard]] std::string utc_time(const timespec& time);
/// The text as one line that a terminal shows as it is: control bytes as \n, \t or \xNN.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace arrayfs
