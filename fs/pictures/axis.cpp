#include "axis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace arrayfs {
namespace {

double round_step(double width, int max_ticks) {
  const double raw = width / std::max(1, max_ticks - 1);
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (power * factor >= raw * (1 - 1e-9)) {
      return power * factor;
    }
  }
  return power * 10;
}

}  // namespace

std::vector<double> ticks(double low, double high, int max_ticks) {
  const double width = high - low;
  if (!(width > 0) || !std::isfinite(width)) {
    return low == high ? std::vector{low} : std::vector{low, high};
  }
  const double step = round_step(width, max_ticks);
  std::vector<double> all;
  const double slack = width * 1e-9;
  for (double count = std::ceil((low - slack) / step); count * step <= high + slack; ++count) {
    all.push_back(count == 0 ? 0 : count * step);
    if (all.size() > 100) {
      return {low, high};  // the step is lost in the rounding of such numbers
    }
  }
  return all;
}

std::vector<std::uint64_t> index_ticks(std::uint64_t count, int max_ticks) {
  const double last = static_cast<double>(count - 1);
  const double step = last > 0 ? std::max(1.0, round_step(last, max_ticks)) : 1;
  std::vector<std::uint64_t> all;
  for (std::uint64_t at = 0; at < count; at += static_cast<std::uint64_t>(step)) {
    all.push_back(at);
  }
  return all;
}

std::string tick_text(double value) {
  return fmt::format("{:.5g}", value);
}

}  // namespace arrayfs
