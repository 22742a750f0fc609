// How the elements of one array print: with widths that all of them share.
//
// Port of _get_format_function and the format classes in numpy/core/arrayprint.py. A format is
// immutable; the bytes that it reads must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <shm/dtype.hpp>
#include <string>
#include <vector>

#include "values/text_options.hpp"

namespace arrayfs {

/// Addresses of elements of one dtype.
using Elements = std::vector<const std::byte*>;

/// The text of the element at an address.
using ElementFormat = std::function<std::string(const std::byte*)>;

/// The format for these elements, which are all that will be printed with it. `is_scalar`: they are
/// not an array, so booleans are not padded. Requires: the dtype contains no object.
[[nodiscard]] ElementFormat element_format(const shm::Dtype& dtype, const Elements& elements,
                                           bool is_scalar, const TextOptions& options);

/// str() of the element alone, as of a 0-d array: `1.5`, `abc`, `(1, 2.)`.
/// Requires: the dtype contains no object.
[[nodiscard]] std::string scalar_text(const shm::Dtype& dtype, const std::byte* at,
                                      const TextOptions& options = {});

/// Bytes that formatting one element reads, at least 1; empty sub-arrays count, for their brackets.
[[nodiscard]] std::uint64_t format_cost_bytes(const shm::Dtype& dtype);

}  // namespace arrayfs
