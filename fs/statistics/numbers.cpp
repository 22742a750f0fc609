#include "numbers.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "../values/element.hpp"
#include "../values/minifloat.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Kind;
using shm::Result;

template <typename T>
double as_double(T value) {
  if constexpr (kIsComplex<T>) {
    return std::hypot(static_cast<double>(value.real()), static_cast<double>(value.imag()));
  } else if constexpr (std::is_same_v<T, xtl::half_float>) {
    return static_cast<double>(static_cast<float>(value));
  } else {
    return static_cast<double>(value);
  }
}

// Side by side and in this machine's byte order: a loop that the compiler turns into vectors.
template <typename T>
void convert_plain(const std::byte* at, std::span<double> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, at + i * sizeof(T), sizeof(T));
    out[i] = as_double(value);
  }
}

template <typename T>
ToDoubles converter(bool swapped) {
  return [swapped](const std::byte* at, std::int64_t stride_bytes, std::span<double> out) {
    if constexpr (!std::is_same_v<T, bool>) {
      if (!swapped && stride_bytes == static_cast<std::int64_t>(sizeof(T))) {
        return convert_plain<T>(at, out);
      }
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = as_double(load<T>(at + static_cast<std::int64_t>(i) * stride_bytes, swapped));
    }
  };
}

}  // namespace

Result<ToDoubles> to_doubles(const shm::Dtype& dtype) {
  switch (dtype.kind()) {
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kFloat:
    case Kind::kComplex:
      return with_number_type(dtype, [&]<typename T>(std::type_identity<T> /*type*/) {
        return converter<T>(is_swapped(dtype));
      });
    case Kind::kVoid:
      if (const auto minifloat = Minifloat::of(dtype)) {
        return [format = *minifloat](const std::byte* at, std::int64_t stride_bytes,
                                     std::span<double> out) {
          for (std::size_t i = 0; i < out.size(); ++i) {
            out[i] = format.load(at + static_cast<std::int64_t>(i) * stride_bytes);
          }
        };
      }
      [[fallthrough]];
    default:
      return fail(EOPNOTSUPP, "dtype " + dtype.name() + " is no number");
  }
}

Result<NumberSource> numbers_of(const ArrayView& view) {
  return to_doubles(view.dtype).map([&](ToDoubles convert) -> NumberSource {
    return [view, convert = std::move(convert)](std::uint64_t first,
                                                std::span<double> out) -> Result<void> {
      const std::size_t axes = view.shape.size();
      if (axes == 0) {
        convert(view.data, 0, out);
        return {};
      }
      std::vector<std::uint64_t> index = index_of(first, view.shape);
      // One run along the last axis after the other.
      const std::size_t last = axes - 1;
      for (std::size_t done = 0; done < out.size();) {
        const std::byte* at = view.data;
        for (std::size_t axis = 0; axis < axes; ++axis) {
          at += static_cast<std::int64_t>(index[axis]) * view.strides_bytes[axis];
        }
        const auto count = static_cast<std::size_t>(
            std::min<std::uint64_t>(view.shape[last] - index[last], out.size() - done));
        convert(at, view.strides_bytes[last], out.subspan(done, count));
        done += count;
        index[last] += count;
        for (std::size_t axis = last; axis > 0 && index[axis] == view.shape[axis]; --axis) {
          index[axis] = 0;
          ++index[axis - 1];
        }
      }
      return {};
    };
  });
}

}  // namespace arrayfs
