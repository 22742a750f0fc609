// One number at an address: any of NumPy's number types, unaligned, in either byte order.
//
// The one place that maps a dtype to a C++ type: with_number_type calls a template with it.
// Stateless.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <shm/dtype.hpp>
#include <type_traits>
#include <utility>
#include <xtl/xhalf_float.hpp>
#include <xtl/xmeta_utils.hpp>

namespace arrayfs {

/// The C++ type of every dtype of the kinds bool, int, uint, float and complex.
using NumberTypes =
    xtl::mpl::vector<bool, std::int8_t, std::int16_t, std::int32_t, std::int64_t, std::uint8_t,
                     std::uint16_t, std::uint32_t, std::uint64_t, xtl::half_float, float, double,
                     long double, std::complex<float>, std::complex<double>,
                     std::complex<long double>>;

template <typename T>
inline constexpr bool kIsComplex = false;
template <typename T>
inline constexpr bool kIsComplex<std::complex<T>> = true;

template <typename T>
[[nodiscard]] constexpr shm::Kind kind_of() {
  if constexpr (std::is_same_v<T, bool>) {
    return shm::Kind::kBool;
  } else if constexpr (std::is_integral_v<T>) {
    return std::is_signed_v<T> ? shm::Kind::kInt : shm::Kind::kUint;
  } else if constexpr (kIsComplex<T>) {
    return shm::Kind::kComplex;
  } else {
    return shm::Kind::kFloat;
  }
}

namespace detail {

template <typename F, typename First, typename... Rest>
decltype(auto) with_number_type(const shm::Dtype& dtype, F& function,
                                xtl::mpl::vector<First, Rest...> /*types*/) {
  if constexpr (sizeof...(Rest) > 0) {
    if (dtype.kind() != kind_of<First>() || dtype.itemsize() != sizeof(First)) {
      return with_number_type(dtype, function, xtl::mpl::vector<Rest...>());
    }
  }
  return function(std::type_identity<First>());
}

}  // namespace detail

/// `function(std::type_identity<T>())` with T of NumberTypes.
/// Requires: dtype is of kind bool, int, uint, float or complex.
template <typename F>
decltype(auto) with_number_type(const shm::Dtype& dtype, F&& function) {
  return detail::with_number_type(dtype, function, NumberTypes());
}

/// Whether the bytes of a number of this dtype are in the other order than this machine's.
[[nodiscard]] inline bool is_swapped(const shm::Dtype& dtype) {
  return dtype.byte_order() == (std::endian::native == std::endian::little
                                    ? shm::ByteOrder::kBig
                                    : shm::ByteOrder::kLittle);
}

/// The number at `at`, which need not be aligned. Requires: sizeof(T) readable bytes.
template <typename T>
[[nodiscard]] T load(const std::byte* at, bool swapped) {
  if constexpr (std::is_same_v<T, bool>) {
    return *at != std::byte{0};
  } else if constexpr (kIsComplex<T>) {
    using Part = typename T::value_type;
    return T(load<Part>(at, swapped), load<Part>(at + sizeof(Part), swapped));
  } else {
    std::array<std::byte, sizeof(T)> bytes;
    std::memcpy(bytes.data(), at, sizeof(T));
    if (swapped) {
      std::reverse(bytes.begin(), bytes.end());
    }
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
}

/// Writes the number to `at`, which need not be aligned. Requires: sizeof(T) writable bytes.
template <typename T>
void store(T value, std::byte* at, bool swapped) {
  if constexpr (kIsComplex<T>) {
    using Part = typename T::value_type;
    store(value.real(), at, swapped);
    store(value.imag(), at + sizeof(Part), swapped);
  } else {
    std::memcpy(at, &value, sizeof(T));
    if (swapped) {
      std::reverse(at, at + sizeof(T));
    }
  }
}

}  // namespace arrayfs
