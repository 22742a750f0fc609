// One element from text, for `create --fill`.
//
// Stateless. The reverse, scalar_text, is in element_format.hpp.
#pragma once

#include <cstddef>
#include <shm/dtype.hpp>
#include <string_view>
#include <vector>

namespace arrayfs {

/// The bytes of one element in the dtype's byte order, itemsize of them.
/// Accepts what Python and NumPy write: `True`, `-3`, `0x10`, `1.5`, `nan`, `1+2j`, `'abc'`,
/// `b'\x00'`, `2020-01-01T12:30`, `NaT`. A structured type takes the value in each field, as NumPy
/// assigns a scalar. Errors: EINVAL (not such a value, object dtypes), ERANGE (does not fit).
[[nodiscard]] shm::Result<std::vector<std::byte>> parse_scalar(const shm::Dtype& dtype,
                                                               std::string_view text);

}  // namespace arrayfs
