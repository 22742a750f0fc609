// The elements of an array as doubles, whatever their type: for statistics and pictures.
//
// Booleans count as 0 and 1, complex numbers as their magnitude; 64-bit integers and long doubles
// are rounded to the nearest double. Stateless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <shm/npy.hpp>
#include <span>

#include "../values/array_view.hpp"

namespace arrayfs {

/// Writes `out.size()` elements, the first at `at` and the others `stride_bytes` apart.
using ToDoubles =
    std::function<void(const std::byte* at, std::int64_t stride_bytes, std::span<double> out)>;

/// Errors: EOPNOTSUPP for a dtype that is no number (text, structs, times, objects).
[[nodiscard]] shm::Result<ToDoubles> to_doubles(const shm::Dtype& dtype);

/// The numbers of an array by their place in C order. Fills `out` from number `first` on.
using NumberSource = std::function<shm::Result<void>(std::uint64_t first, std::span<double> out)>;

/// The numbers of a view in memory; may be asked by several threads. Errors: those of to_doubles.
[[nodiscard]] shm::Result<NumberSource> numbers_of(const ArrayView& view);

}  // namespace arrayfs
