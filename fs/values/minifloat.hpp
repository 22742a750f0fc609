// The floats that NumPy stores as void: bfloat16, float8_e4m3fn, float8_e5m2.
//
// A dtype carries such a name as an alias (Dtype::name). Values convert to and from float.
// Source: ml_dtypes; OCP 8-bit Floating Point Specification (OFP8). Immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <shm/dtype.hpp>

namespace arrayfs {

class Minifloat {
 public:
  /// Nothing when the dtype is no alias of a small float.
  [[nodiscard]] static std::optional<Minifloat> of(const shm::Dtype& dtype);

  /// The value at `at`, little-endian as ml_dtypes writes it. Requires: itemsize readable bytes.
  [[nodiscard]] float load(const std::byte* at) const;
  /// Writes the nearest value, half to even; infinity and NaN where the type has them.
  /// False when it is beyond the largest finite value. Requires: itemsize writable bytes.
  [[nodiscard]] bool store(double value, std::byte* at) const;

 private:
  Minifloat(int exponent_bits, int mantissa_bits, bool has_infinity)
      : exponent_bits_(exponent_bits), mantissa_bits_(mantissa_bits), has_infinity_(has_infinity) {}

  [[nodiscard]] float decode(std::uint32_t code) const;
  [[nodiscard]] std::uint32_t nan_code() const;
  [[nodiscard]] std::uint32_t max_code() const;

  int exponent_bits_;
  int mantissa_bits_;
  bool has_infinity_;  ///< otherwise the last exponent holds numbers, and one NaN
};

}  // namespace arrayfs
