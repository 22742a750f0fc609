#include "reduction.hpp"

#include <algorithm>
#include <cmath>

namespace arrayfs {
namespace {

constexpr std::uint64_t kBlock = 8192;

// The cell that number `at` of `count` falls into.
std::size_t cell_of(std::uint64_t at, std::uint64_t count, std::size_t cells) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::size_t>(Wide{at} * cells / count);
}

// The first number of the next cell.
std::uint64_t end_of(std::size_t cell, std::uint64_t count, std::size_t cells) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((Wide{cell + 1} * count + cells - 1) / cells);
}

}  // namespace

std::pair<double, double> Cells::range() const {
  std::pair<double, double> range{0, 0};
  bool first = true;
  for (std::size_t i = 0; i < means.size(); ++i) {
    if ((marks[i] & kHasNumber) != 0) {
      range.first = first ? means[i] : std::min(range.first, means[i]);
      range.second = first ? means[i] : std::max(range.second, means[i]);
      first = false;
    }
  }
  return range;
}

bool Cells::any(CellMark mark) const {
  return std::ranges::find_if(marks, [&](std::uint8_t each) { return (each & mark) != 0; }) !=
         marks.end();
}

shm::Result<Cells> reduce(const NumberSource& source, std::uint64_t first, std::uint64_t rows,
                          std::uint64_t columns, std::size_t max_rows, std::size_t max_columns) {
  Cells cells;
  cells.rows = static_cast<std::size_t>(std::min<std::uint64_t>(rows, max_rows));
  cells.columns = static_cast<std::size_t>(std::min<std::uint64_t>(columns, max_columns));
  const std::size_t size = cells.rows * cells.columns;
  cells.means.resize(size);
  cells.lows.resize(size);
  cells.highs.resize(size);
  cells.marks.resize(size);
  std::vector<std::uint64_t> counts(size);
  std::vector<double> block(static_cast<std::size_t>(std::min(columns, kBlock)));
  for (std::uint64_t row = 0; row < rows; ++row) {
    const std::size_t cell_row = cell_of(row, rows, cells.rows) * cells.columns;
    for (std::uint64_t begin = 0; begin < columns; begin += block.size()) {
      const std::span part = std::span(block).first(
          static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), columns - begin)));
      if (auto got = source(first + row * columns + begin, part); !got) {
        return tl::unexpected(got.error());
      }
      for (std::uint64_t at = 0; at < part.size();) {
        const std::size_t column = cell_of(begin + at, columns, cells.columns);
        const std::size_t cell = cell_row + column;
        const std::uint64_t end =
            std::min<std::uint64_t>(part.size(), end_of(column, columns, cells.columns) - begin);
        double sum = 0;
        std::uint64_t count = 0;
        for (; at < end; ++at) {
          const double value = part[at];
          if (std::isfinite(value)) {
            const bool fresh = counts[cell] + count == 0;
            cells.lows[cell] = fresh ? value : std::min(cells.lows[cell], value);
            cells.highs[cell] = fresh ? value : std::max(cells.highs[cell], value);
            sum += value;
            ++count;
          } else {
            cells.marks[cell] |= std::isnan(value) ? kHasNan : kHasInfinity;
          }
        }
        cells.means[cell] += sum;
        counts[cell] += count;
      }
    }
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (counts[i] != 0) {
      cells.means[i] /= static_cast<double>(counts[i]);
      cells.marks[i] |= kHasNumber;
    }
  }
  return cells;
}

}  // namespace arrayfs
