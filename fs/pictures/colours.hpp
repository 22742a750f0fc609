// Numbers as colours: viridis, or a diverging map for numbers around zero. Stateless.
#pragma once

#include "canvas.hpp"

namespace arrayfs {

inline constexpr Colour kNanColour{230, 40, 200};
inline constexpr Colour kInfinityColour{0, 0, 0};

/// Which colours stand for which numbers.
struct ColourScale {
  double low = 0;
  double high = 1;
  bool diverging = false;  ///< low is -high

  /// The scale for numbers of this range: diverging when it reaches about as far below as above 0.
  [[nodiscard]] static ColourScale of(double min, double max);
  [[nodiscard]] Colour colour(double value) const;
};

}  // namespace arrayfs
