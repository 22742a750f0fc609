// Round numbers for the ticks of an axis. Stateless.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace arrayfs {

/// Multiples of 1, 2 or 5 times a power of ten from low to high, at most `max_ticks` of them.
[[nodiscard]] std::vector<double> ticks(double low, double high, int max_ticks);
/// The same for the indices 0 to count - 1.
[[nodiscard]] std::vector<std::uint64_t> index_ticks(std::uint64_t count, int max_ticks);
/// `0.25`, `1e+06`.
[[nodiscard]] std::string tick_text(double value);

}  // namespace arrayfs
