// From a parsed Python literal to a dtype and a shape: the rules of numpy's descr_to_dtype.
//
// Internal to libshm: shared by Dtype::parse and the .npy header. Stateless.
#pragma once

#include <shm/dtype.hpp>
#include <shm/error.hpp>

#include "literal.hpp"

namespace shm {

/// Bytes of one element beyond this are refused: the limit of NumPy 1 (a C int).
inline constexpr std::uint64_t kMaxItemsize = 0x7fff'ffff;

/// The dtype of a descr: a type string or a list of fields. Errors: EINVAL with the reason.
[[nodiscard]] Result<Dtype> dtype_from_literal(const Literal& descr);

/// An extent. Errors: EINVAL (not an integer, negative), EOVERFLOW (beyond int64).
[[nodiscard]] Result<std::uint64_t> extent_from_literal(const Literal& value);

}  // namespace shm
