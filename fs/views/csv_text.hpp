// Elements as the cells of a CSV line (RFC 4180), each column with its name and its text.
//
// Numbers are written with the fewest digits that give the same value again; text is quoted where
// it must be. A structured type has a column for each of its fields, sub-arrays and nested fields
// spread out. Immutable; safe to share between threads.
#pragma once

#include <cstddef>
#include <functional>
#include <shm/npy.hpp>
#include <string>
#include <vector>

namespace arrayfs {

class CsvText {
 public:
  /// Errors: EOPNOTSUPP for objects, for more than two axes, for a table of structs, and beyond
  /// 100,000 columns of a struct.
  [[nodiscard]] static shm::Result<CsvText> of(const shm::Layout& layout);

  /// The first line, with the names of the fields; empty unless the type is structured.
  [[nodiscard]] const std::string& heading() const { return heading_; }
  /// Elements on one line, at least 1.
  [[nodiscard]] std::uint64_t elements_per_line() const { return elements_per_line_; }
  /// Appends the element at `at` without a separator.
  void append(std::string& out, const std::byte* at) const;

 private:
  using Cell = std::function<void(std::string& out, const std::byte* at)>;

  [[nodiscard]] static Cell cell_of(const shm::Dtype& dtype);
  [[nodiscard]] shm::Result<void> add_columns(const shm::Dtype& dtype, const std::string& name,
                                              std::uint64_t offset);

  struct Column {
    std::uint64_t offset;  ///< in the element
    Cell cell;
  };
  std::vector<Column> columns_;
  std::string heading_;
  std::uint64_t elements_per_line_ = 1;
};

}  // namespace arrayfs
