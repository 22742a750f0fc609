// Floats as NumPy prints them: in an array, with the notation and the widths that its values ask
// for, and alone.
//
// Port of FloatingFormat in numpy/core/arrayprint.py (floatmode maxprec) and of floattype_str and
// cfloattype_str in numpy/core/src/multiarray/scalartypes.c.src. A format is immutable.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "values/decimal.hpp"
#include "values/text_options.hpp"

namespace arrayfs {

enum class Sign { kMinusOnly, kAlways };

class FloatFormat {
 public:
  /// Chooses the notation and the widths. `values`: all that will be printed with it.
  FloatFormat(const std::vector<long double>& values, FloatWidth width, Sign sign,
              const TextOptions& options);

  /// The text of one value, padded so that the points of a column stand below each other.
  [[nodiscard]] std::string operator()(long double value) const;

 private:
  [[nodiscard]] std::string sign_of(long double value) const;

  FloatWidth width_;
  Sign sign_;
  bool scientific_ = false;
  int precision_;
  std::size_t exponent_digits_ = 0;
  std::size_t pad_left_ = 0;   ///< characters before the point, the sign included
  std::size_t pad_right_ = 0;  ///< characters after the point
};

/// str(numpy.float32(value)) and the like: as many digits as identify the value.
[[nodiscard]] std::string float_scalar_text(long double value, FloatWidth width);
/// str(numpy.complex64(real + imag j)) and the like.
[[nodiscard]] std::string complex_scalar_text(long double real, long double imag, FloatWidth width);

}  // namespace arrayfs
