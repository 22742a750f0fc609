// What the unit tests share: NumPy's files and what NumPy says about them, headers written by
// hand, a directory that goes away.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <shm/npy.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shm {

/// One entry of fixtures/manifest.json.
struct Fixture {
  std::string file;
  bool canonical;  ///< NumPy wrote the header
  std::string typestr, descr, name;
  std::uint64_t itemsize;
  bool native, object;
  Shape shape;
  Order order;
  std::vector<std::uint64_t> strides;
  std::uint64_t offset;

  [[nodiscard]] std::string path() const;
  [[nodiscard]] std::string bytes() const;
};

/// For GoogleTest, which shows parameters and names tests by them.
std::ostream& operator<<(std::ostream& out, const Fixture& fixture);
std::string fixture_name(const testing::TestParamInfo<Fixture>& info);

const std::vector<Fixture>& fixtures();

std::span<const std::byte> as_bytes(std::string_view text);

/// A .npy file: magic, version, the length of `header`, `header`, zeros.
std::string npy_file(std::string_view header, std::size_t data_bytes, int version = 1);

/// A file with the header `{'descr': DESCR, 'fortran_order': False, 'shape': SHAPE}`.
std::string npy_file_with(std::string_view descr, std::string_view shape, std::size_t data_bytes);

Result<Layout> parse_file(std::string_view bytes);

/// A new directory, removed with all that it contains.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();

  [[nodiscard]] std::string path(std::string_view name) const;
  /// The names in it, sorted, hidden ones included.
  [[nodiscard]] std::vector<std::string> names() const;
  /// Writes a file and returns its path.
  [[nodiscard]] std::string write(std::string_view name, std::string_view content) const;

 private:
  std::string path_;
};

}  // namespace shm
