// NumPy's print options (numpy.set_printoptions), with NumPy's defaults.
#pragma once

#include <cstdint>

namespace arrayfs {

struct TextOptions {
  std::uint64_t threshold = 1000;  ///< more elements than this are summarised
  std::uint64_t edge_items = 3;    ///< shown at each end of an axis in a summary; at least 1
  std::int64_t line_width = 75;    ///< in code points
  int precision = 8;               ///< digits after the point, at most; 0 to 100
  /// Bytes of elements that a text may be made from: beyond it array_text fails with EFBIG.
  std::uint64_t limit_bytes = 16U << 20U;
};

}  // namespace arrayfs
