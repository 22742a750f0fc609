// PATH [SLICE] of a command: an array file, mapped, and the part of it that is meant.
//
// Works for .npy files anywhere and for typed raw files on a mount. Owns the mapping that the view
// looks into, and stays whole when the file does not: ask check() before what was read is shown.
// Copies share the mapping.
#pragma once

#include <memory>
#include <string>

#include "../statistics/numbers.hpp"
#include "../values/array_view.hpp"
#include "file_mapping.hpp"

namespace arrayfs {

struct ArrayArgument {
  std::string path;
  shm::Layout layout;
  std::shared_ptr<const FileMapping> mapping;  ///< null without elements
  ArrayView view;

  /// Errors: those of open(2), EOPNOTSUPP when the file is no array or one of pickled objects,
  /// those of slice(), each with the path.
  [[nodiscard]] static shm::Result<ArrayArgument> open(const std::string& path,
                                                       const std::string& slice_text);
  /// Whether all that was read so far are elements of the array. Errors: EIO with path and reason.
  [[nodiscard]] shm::Result<void> check() const;
};

/// The same elements in whatever order as one axis, where they lie side by side; else as it was.
[[nodiscard]] ArrayView flattened(const ArrayView& view);

}  // namespace arrayfs
