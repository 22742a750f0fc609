#include "statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

namespace arrayfs {
namespace {

using shm::Result;

constexpr std::size_t kLanes = 8;
constexpr std::size_t kBlock = 4096;             // numbers, 32 KiB
constexpr std::uint64_t kPart = 64 * kBlock;     // what a thread takes at once
constexpr std::uint64_t kMaxSorted = 1'000'000;  // numbers that are sorted for exact percentiles
constexpr std::size_t kFineBins = 65536;
constexpr std::size_t kHistogramBins = 20;
constexpr std::array kPercents{1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0};

using Lanes = std::array<double, kLanes>;

struct BlockSums {
  double sum = 0;
  double min = 0;
  double max = 0;
  std::uint64_t zeros = 0;
  bool finite = false;
};

// Lanes are independent, so the compiler may use vectors; a sum of lanes is a pairwise sum.
BlockSums sum_block(std::span<const double> values) {
  Lanes sum{};
  Lanes check{};
  Lanes low;
  Lanes high;
  std::array<std::uint64_t, kLanes> zeros{};
  low.fill(values.front());
  high.fill(values.front());
  const auto take = [&](std::size_t lane, double x) {
    sum[lane] += x;
    check[lane] += x * 0;  // NaN once x is not finite
    low[lane] = x < low[lane] ? x : low[lane];
    high[lane] = x > high[lane] ? x : high[lane];
    zeros[lane] += x == 0 ? 1 : 0;
  };
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      take(lane, values[i + lane]);
    }
  }
  for (; i < values.size(); ++i) {
    take(i % kLanes, values[i]);
  }
  BlockSums sums;
  const auto pairwise = [](const Lanes& l) {
    return ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
  };
  sums.sum = pairwise(sum);
  sums.finite = pairwise(check) == 0;
  sums.min = *std::ranges::min_element(low);
  sums.max = *std::ranges::max_element(high);
  for (const std::uint64_t count : zeros) {
    sums.zeros += count;
  }
  return sums;
}

double sum_of_squares(std::span<const double> values, double mean) {
  Lanes sum{};
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double d = values[i + lane] - mean;
      sum[lane] += d * d;
    }
  }
  for (; i < values.size(); ++i) {
    const double d = values[i] - mean;
    sum[i % kLanes] += d * d;
  }
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

// Calls `visit(state, block)` for every block of numbers, each thread with a state of its own.
template <typename State, typename Visit>
Result<std::vector<State>> visit_all(std::uint64_t count, const NumberSource& source,
                                     unsigned threads, const State& fresh, Visit visit) {
  const std::uint64_t parts = (count + kPart - 1) / kPart;
  threads = static_cast<unsigned>(std::clamp<std::uint64_t>(parts, 1, std::max(1U, threads)));
  std::vector<State> states(threads, fresh);
  std::mutex mutex;
  std::uint64_t next = 0;
  std::optional<shm::Error> error;
  const auto work = [&](State& state) {
    std::vector<double> block(kBlock);
    for (;;) {
      std::uint64_t first = 0;
      {
        const std::lock_guard lock(mutex);
        if (next >= count || error) {
          return;
        }
        first = next;
        next += kPart;
      }
      const std::uint64_t end = std::min(count, first + kPart);
      for (; first < end; first += kBlock) {
        const std::span part = std::span(block).first(
            static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, end - first)));
        if (auto got = source(first, part); !got) {
          const std::lock_guard lock(mutex);
          error = got.error();
          return;
        }
        visit(state, std::span<const double>(part));
      }
    }
  };
  std::vector<std::thread> helpers;
  for (unsigned i = 1; i < threads; ++i) {
    helpers.emplace_back([&, i] { work(states[i]); });
  }
  work(states[0]);
  for (std::thread& helper : helpers) {
    helper.join();
  }
  if (error) {
    return tl::unexpected(*error);
  }
  return states;
}

// The numbers in the order of their size, as far as they are known.
class Sorted {
 public:
  virtual ~Sorted() = default;
  [[nodiscard]] virtual double at(std::uint64_t rank) const = 0;
};

double percentile(const Sorted& sorted, std::uint64_t count, double percent) {
  const double place = percent / 100 * static_cast<double>(count - 1);
  const auto rank = static_cast<std::uint64_t>(place);
  const double low = sorted.at(rank);
  const double high = sorted.at(std::min(rank + 1, count - 1));
  return low + (high - low) * (place - static_cast<double>(rank));
}

class SortedNumbers final : public Sorted {
 public:
  explicit SortedNumbers(std::vector<double> numbers) : numbers_(std::move(numbers)) {
    std::ranges::sort(numbers_);
  }
  [[nodiscard]] double at(std::uint64_t rank) const override { return numbers_[rank]; }

 private:
  std::vector<double> numbers_;
};

// Equal bins from min to max. Where a bin holds one integer only, it is exact.
struct Bins {
  double min = 0;
  double width = 1;
  bool exact = false;
  std::vector<std::uint64_t> counts;

  static Bins of(const Moments& moments, bool whole) {
    Bins bins;
    bins.min = moments.min;
    const double range = moments.max - moments.min;
    bins.exact = range == 0 || (whole && range < kFineBins);
    bins.counts.resize(bins.exact ? static_cast<std::size_t>(range) + 1 : kFineBins);
    // Where the range itself has no double, half of it has.
    bins.width = bins.exact ? 1 : moments.max / kFineBins - moments.min / kFineBins;
    return bins;
  }
  [[nodiscard]] std::size_t bin_of(double value) const {
    const double place = (value / width) - (min / width);
    return std::min(static_cast<std::size_t>(std::max(0.0, place)), counts.size() - 1);
  }
  void add(std::span<const double> values) {
    for (const double value : values) {
      if (std::isfinite(value)) {
        ++counts[bin_of(value)];
      }
    }
  }
};

class SortedBins final : public Sorted {
 public:
  explicit SortedBins(const Bins& bins) : bins_(bins) {}
  [[nodiscard]] double at(std::uint64_t rank) const override {
    std::size_t bin = 0;
    while (rank >= bins_.counts[bin]) {
      rank -= bins_.counts[bin++];
    }
    const double within =
        bins_.exact ? 0
                    : (static_cast<double>(rank) + 0.5) / static_cast<double>(bins_.counts[bin]);
    return bins_.min + (static_cast<double>(bin) + within) * bins_.width;
  }

 private:
  const Bins& bins_;
};

std::vector<std::uint64_t> coarse(const Moments& moments, std::span<const double> values,
                                  std::span<const std::uint64_t> weights) {
  std::vector<std::uint64_t> counts(kHistogramBins);
  const double width = moments.max / kHistogramBins - moments.min / kHistogramBins;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double place = width > 0 ? values[i] / width - moments.min / width : 0;
    counts[std::min(static_cast<std::size_t>(std::max(0.0, place)), kHistogramBins - 1)] +=
        weights.empty() ? 1 : weights[i];
  }
  return counts;
}

Result<void> add_order(Statistics& result, const NumberSource& source, unsigned threads,
                       bool whole) {
  const Moments& moments = result.moments;
  const auto take = [&](const Sorted& sorted) {
    for (const double percent : kPercents) {
      const double value = percentile(sorted, moments.finite, percent);
      result.percentiles.emplace_back(percent, std::clamp(value, moments.min, moments.max));
    }
  };
  if (result.count <= kMaxSorted) {
    const auto gather = [](std::vector<double>& kept, std::span<const double> values) {
      std::ranges::copy_if(values, std::back_inserter(kept),
                           [](double x) { return std::isfinite(x); });
    };
    auto numbers = visit_all(result.count, source, 1, std::vector<double>(), gather);
    if (!numbers) {
      return tl::unexpected(numbers.error());
    }
    result.histogram = coarse(moments, numbers->front(), {});
    take(SortedNumbers(std::move(numbers->front())));
    return {};
  }
  const auto add = [](Bins& bins, std::span<const double> values) { bins.add(values); };
  auto parts = visit_all(result.count, source, threads, Bins::of(moments, whole), add);
  if (!parts) {
    return tl::unexpected(parts.error());
  }
  Bins& bins = parts->front();
  for (std::size_t part = 1; part < parts->size(); ++part) {
    std::ranges::transform(bins.counts, (*parts)[part].counts, bins.counts.begin(), std::plus());
  }
  std::vector<double> middles(bins.counts.size());
  for (std::size_t i = 0; i < middles.size(); ++i) {
    middles[i] = bins.min + (static_cast<double>(i) + (bins.exact ? 0 : 0.5)) * bins.width;
  }
  result.histogram = coarse(moments, middles, bins.counts);
  result.percentile_error = bins.exact ? 0 : bins.width;
  // An array that is written meanwhile may have other numbers in the second pass.
  std::uint64_t counted = 0;
  for (const std::uint64_t count : bins.counts) {
    counted += count;
  }
  if (counted == moments.finite) {
    take(SortedBins(bins));
  }
  return {};
}

}  // namespace

void Moments::add(std::span<const double> values) {
  if (values.empty()) {
    return;
  }
  const BlockSums sums = sum_block(values);
  if (!sums.finite) {
    std::vector<double> kept;
    for (const double value : values) {
      nans += std::isnan(value) ? 1 : 0;
      infinities += std::isinf(value) ? 1 : 0;
      if (std::isfinite(value)) {
        kept.push_back(value);
      }
    }
    // All finite ones together may still not have a finite sum; then they go one by one.
    if (kept.size() < values.size()) {
      return add(kept);
    }
    for (const double value : values) {
      merge({1, 0, 0, value == 0 ? 1U : 0U, value, value, value, value, 0});
    }
    return;
  }
  Moments block;
  block.finite = values.size();
  block.zeros = sums.zeros;
  block.min = sums.min;
  block.max = sums.max;
  block.sum = sums.sum;
  block.mean = block.sum / static_cast<long double>(block.finite);
  block.squares = sum_of_squares(values, static_cast<double>(block.mean));
  merge(block);
}

void Moments::merge(const Moments& other) {
  nans += other.nans;
  infinities += other.infinities;
  zeros += other.zeros;
  if (other.finite == 0) {
    return;
  }
  if (finite == 0) {
    min = other.min;
    max = other.max;
  }
  min = std::min(min, other.min);
  max = std::max(max, other.max);
  const auto mine = static_cast<long double>(finite);
  const auto theirs = static_cast<long double>(other.finite);
  const long double distance = other.mean - mean;
  sum += other.sum;
  finite += other.finite;
  mean += distance * theirs / (mine + theirs);
  squares += other.squares + distance * distance * mine * theirs / (mine + theirs);
}

double Moments::deviation() const {
  return static_cast<double>(std::sqrt(squares / static_cast<long double>(finite)));
}

Result<Statistics> statistics(std::uint64_t count, const NumberSource& source, unsigned threads,
                              bool whole) {
  Statistics result;
  result.count = count;
  const auto add = [](Moments& moments, std::span<const double> values) { moments.add(values); };
  const auto parts = visit_all(count, source, threads, Moments(), add);
  if (!parts) {
    return tl::unexpected(parts.error());
  }
  for (const Moments& part : *parts) {
    result.moments.merge(part);
  }
  if (result.moments.finite != 0) {
    if (auto ordered = add_order(result, source, threads, whole); !ordered) {
      return tl::unexpected(ordered.error());
    }
  }
  return result;
}

std::string statistics_text(const Statistics& statistics) {
  const Moments& moments = statistics.moments;
  std::string text = fmt::format("count: {}\nnan: {}\ninf: {}\nzeros: {}\n", statistics.count,
                                 moments.nans, moments.infinities, moments.zeros);
  if (moments.finite == 0) {
    return text;
  }
  text += fmt::format("min: {:.10g}\nmax: {:.10g}\nsum: {:.10g}\nmean: {:.10g}\nstd: {:.10g}\n",
                      moments.min, moments.max, static_cast<double>(moments.sum),
                      static_cast<double>(moments.mean), moments.deviation());
  text += statistics.percentile_error == 0
              ? "percentiles: exact\n"
              : fmt::format("percentiles: within {:.2g}\n", statistics.percentile_error);
  for (const auto& [percent, value] : statistics.percentiles) {
    text += fmt::format("p{:g}: {:.10g}\n", percent, value);
  }
  constexpr std::uint64_t kBarWidth = 40;
  const std::uint64_t largest = *std::ranges::max_element(statistics.histogram);
  const double bins = static_cast<double>(statistics.histogram.size());
  text += '\n';
  for (std::size_t i = 0; i < statistics.histogram.size(); ++i) {
    const double share = static_cast<double>(i) / bins;
    const double from = moments.min * (1 - share) + moments.max * share;
    const std::uint64_t count = statistics.histogram[i];
    std::string bar;
    const auto eighths = static_cast<std::uint64_t>(
        std::ceil(static_cast<double>(count) / static_cast<double>(largest) * 8 * kBarWidth));
    for (std::uint64_t full = 0; full < eighths / 8; ++full) {
      bar += "█";
    }
    static constexpr std::array kPartial{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    bar += kPartial[eighths % 8];
    text += fmt::format("{:>12.5g} {}{}{}\n", from, bar, bar.empty() ? "" : " ", count);
  }
  return text;
}

std::string statistics_json(const Statistics& statistics) {
  const Moments& moments = statistics.moments;
  nlohmann::ordered_json json{{"count", statistics.count},
                              {"nan", moments.nans},
                              {"inf", moments.infinities},
                              {"zeros", moments.zeros}};
  if (moments.finite != 0) {
    json["min"] = moments.min;
    json["max"] = moments.max;
    json["sum"] = static_cast<double>(moments.sum);
    json["mean"] = static_cast<double>(moments.mean);
    json["std"] = moments.deviation();
    json["percentile_error"] = statistics.percentile_error;
    for (const auto& [percent, value] : statistics.percentiles) {
      json["percentiles"][fmt::format("{:g}", percent)] = value;
    }
    json["histogram"] = statistics.histogram;
  }
  return json.dump(2) + '\n';
}

}  // namespace arrayfs
