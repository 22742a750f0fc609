// The values of an array as text, exactly as str() of a numpy.ndarray gives it.
//
// Port of array2string in numpy/core/arrayprint.py, NumPy 1.24 to 1.26. Large arrays are
// summarised, and only the elements that are printed are read: a mapping of 100 GB costs a few
// pages. Stateless.
#pragma once

#include <shm/npy.hpp>
#include <span>
#include <string>

#include "values/array_view.hpp"
#include "values/text_options.hpp"

namespace arrayfs {

/// str(numpy.ndarray) in UTF-8, without a newline at the end; of a 0-d array the text of the
/// scalar. bfloat16 and float8 print as the float32 of the same value.
/// Errors: EINVAL (an object dtype), EFBIG (beyond options.limit_bytes).
[[nodiscard]] shm::Result<std::string> array_text(const ArrayView& view,
                                                  const TextOptions& options = {});

/// The same of a whole array. `data` begins at the first element. Errors: also those of view_of.
[[nodiscard]] shm::Result<std::string> array_text(const shm::Layout& layout,
                                                  std::span<const std::byte> data,
                                                  const TextOptions& options = {});

}  // namespace arrayfs
