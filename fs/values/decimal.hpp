// Decimal digits of a binary float: as few as identify it among the floats of its width, or rounded
// exactly at a decimal place.
//
// Gives what NumPy's dragon4 in unique mode gives (numpy/core/src/multiarray/dragon4.c), from
// std::to_chars. Stateless.
#pragma once

#include <string>

namespace arrayfs {

/// NumPy's float types: half, single, double, and long double.
enum class FloatWidth { kHalf, kSingle, kDouble, kExtended };

enum class Notation { kPositional, kScientific };

/// `whole.fraction` or `whole.fraction e exponent`, without the sign.
struct Decimal {
  std::string whole;     ///< at least one digit
  std::string fraction;  ///< may be empty
  int exponent = 0;      ///< of ten; 0 in positional notation
};

/// The digits of |value|: the fewest that identify it, at most `max_fraction` after the point, and
/// at least down to the `min_fraction`-th place after it; -1 is no limit.
/// Requires: value is finite and one of the floats of that width.
[[nodiscard]] Decimal decimal(long double value, FloatWidth width, Notation notation,
                              int max_fraction = -1, int min_fraction = -1);

}  // namespace arrayfs
