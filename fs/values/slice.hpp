// NumPy's basic indexing from text: `[0:10, ::2]`, `-1`, `...`, `None`, `['pos'][0:3]`.
//
// Integers, slices, Ellipsis, None or newaxis, and names of fields; several brackets apply one
// after the other. No index arrays: the result is always a view of the same bytes. Stateless.
// Source: numpy/core/src/multiarray/mapping.c (prepare_index), PySlice_AdjustIndices.
#pragma once

#include <string_view>

#include "values/array_view.hpp"

namespace arrayfs {

/// The part of a view that the text selects; the brackets around a single index may be left out,
/// and an empty text selects all.
/// Errors: ERANGE (an index out of bounds), EINVAL (grammar, too many indices, no such field), the
/// reason in NumPy's words.
[[nodiscard]] shm::Result<ArrayView> slice(const ArrayView& view, std::string_view text);

}  // namespace arrayfs
