// PATH [SLICE] of a command: an array file, mapped, and the part of it that is meant.
//
// Works for .npy files anywhere and for typed raw files on a mount. Owns the mapping that the view
// looks into; movable.
#pragma once

#include <shm/posix.hpp>
#include <string>

#include "../statistics/numbers.hpp"
#include "../values/array_view.hpp"

namespace arrayfs {

struct ArrayArgument {
  shm::Layout layout;
  shm::posix::Mapping mapping;
  ArrayView view;

  /// Errors: those of open(2), EOPNOTSUPP when the file is no array or one of pickled objects,
  /// those of slice(), each with the path.
  [[nodiscard]] static shm::Result<ArrayArgument> open(const std::string& path,
                                                       const std::string& slice_text);
};

/// The same elements in whatever order as one axis, where they lie side by side; else as it was.
[[nodiscard]] ArrayView flattened(const ArrayView& view);

}  // namespace arrayfs
