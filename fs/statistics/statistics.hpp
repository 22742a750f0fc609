// Statistics of the numbers of an array: moments, percentiles, a histogram.
//
// Moments come from one pass: each block of some thousand numbers is summed in lanes around its own
// mean, and blocks are merged (Chan, Golub and LeVeque 1979), so that nothing is lost to rounding
// where numbers are many or far from zero. A second pass sorts them into bins. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "numbers.hpp"

namespace arrayfs {

/// Of the finite numbers, but for the counts of the others.
struct Moments {
  std::uint64_t finite = 0;
  std::uint64_t nans = 0;
  std::uint64_t infinities = 0;
  std::uint64_t zeros = 0;
  double min = 0;
  double max = 0;
  long double sum = 0;
  long double mean = 0;
  long double squares = 0;  ///< sum of (x - mean)^2

  void add(std::span<const double> values);
  void merge(const Moments& other);
  /// Population standard deviation, numpy.std. Requires: finite > 0.
  [[nodiscard]] double deviation() const;
};

struct Statistics {
  std::uint64_t count = 0;
  Moments moments;
  std::vector<std::pair<double, double>> percentiles;  ///< percent, value as numpy.percentile
  double percentile_error = 0;                         ///< 0: exact; otherwise at most so far off
  std::vector<std::uint64_t> histogram;                ///< equal bins from min to max
};

/// Statistics of `count` numbers, by so many threads, which ask the source at once.
/// `whole`: all numbers are integers. Errors: those of the source.
[[nodiscard]] shm::Result<Statistics> statistics(std::uint64_t count, const NumberSource& source,
                                                 unsigned threads, bool whole);

/// `key: value` lines and the histogram as bars, for a person.
[[nodiscard]] std::string statistics_text(const Statistics& statistics);
/// One object.
[[nodiscard]] std::string statistics_json(const Statistics& statistics);

}  // namespace arrayfs
