// What lies in a store, counted by walking it: for the reports about the whole mount. Stateless.
#pragma once

#include <cstdint>

namespace arrayfs {

struct MountCounts {
  std::uint64_t arrays = 0;           ///< files that begin as .npy does
  std::uint64_t files = 0;            ///< all regular files
  std::uint64_t directories = 0;      ///< below the root
  std::uint64_t array_bytes = 0;      ///< sizes of the arrays
  std::uint64_t allocated_bytes = 0;  ///< of all regular files
};

/// Entries that vanish meanwhile are not counted.
[[nodiscard]] MountCounts count_mount(int root_fd);

}  // namespace arrayfs
