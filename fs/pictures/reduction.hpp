// A large table of numbers as a small one: each cell is the mean of the numbers that fall into it.
//
// Every number counts once; what is not finite is left out of the mean and marks its cell. A row
// and the cells are held in memory, never the table.
#pragma once

#include <cstdint>
#include <vector>

#include "../statistics/numbers.hpp"

namespace arrayfs {

enum CellMark : std::uint8_t { kHasNan = 1, kHasInfinity = 2, kHasNumber = 4 };

struct Cells {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<double> means;
  std::vector<double> lows;   ///< smallest number of each cell
  std::vector<double> highs;  ///< largest
  std::vector<std::uint8_t> marks;

  /// Smallest and largest mean, 0 and 0 without numbers.
  [[nodiscard]] std::pair<double, double> range() const;
  [[nodiscard]] bool any(CellMark mark) const;
};

/// The numbers from `first` on, `rows` times `columns` in C order, in at most so many cells.
/// Errors: those of the source.
[[nodiscard]] shm::Result<Cells> reduce(const NumberSource& source, std::uint64_t first,
                                        std::uint64_t rows, std::uint64_t columns,
                                        std::size_t max_rows, std::size_t max_columns);

}  // namespace arrayfs
