#include "values/minifloat.hpp"

#include <cmath>
#include <limits>
#include <string>

namespace arrayfs {

std::optional<Minifloat> Minifloat::of(const shm::Dtype& dtype) {
  if (dtype.kind() != shm::Kind::kVoid) {
    return std::nullopt;
  }
  const std::string name = dtype.name();
  if (name == "bfloat16") {
    return Minifloat(8, 7, true);
  }
  if (name == "float8_e4m3fn") {
    return Minifloat(4, 3, false);
  }
  if (name == "float8_e5m2") {
    return Minifloat(5, 2, true);
  }
  return std::nullopt;
}

float Minifloat::load(const std::byte* at) const {
  auto code = std::to_integer<std::uint32_t>(at[0]);
  if (exponent_bits_ + mantissa_bits_ > 8) {
    code |= std::to_integer<std::uint32_t>(at[1]) << 8U;
  }
  return decode(code);
}

bool Minifloat::store(double value, std::byte* at) const {
  const double magnitude = std::abs(value);
  std::uint32_t code = nan_code();
  if (magnitude <= std::numeric_limits<double>::max()) {
    // The codes of one sign are in the order of their values: the last that is not above.
    std::uint32_t above = max_code() + 1;
    code = 0;
    while (above - code > 1) {
      const std::uint32_t middle = (above + code) / 2;
      (static_cast<double>(decode(middle)) <= magnitude ? code : above) = middle;
    }
    const double low = decode(code);
    const double gap = code == max_code() ? low - static_cast<double>(decode(code - 1))
                                          : static_cast<double>(decode(code + 1)) - low;
    const double excess = magnitude - low;
    if (excess > gap / 2 || (excess == gap / 2 && code % 2 == 1)) {
      ++code;
    }
    if (code > max_code()) {
      return false;
    }
  } else if (!std::isnan(value)) {
    if (!has_infinity_) {
      return false;
    }
    code = max_code() + 1;
  }
  if (std::signbit(value)) {
    code |= 1U << static_cast<unsigned>(exponent_bits_ + mantissa_bits_);
  }
  at[0] = static_cast<std::byte>(code & 0xFFU);
  if (exponent_bits_ + mantissa_bits_ > 8) {
    at[1] = static_cast<std::byte>(code >> 8U);
  }
  return true;
}

float Minifloat::decode(std::uint32_t code) const {
  const auto mantissa_bits = static_cast<unsigned>(mantissa_bits_);
  const auto magnitude_bits = static_cast<unsigned>(exponent_bits_) + mantissa_bits;
  const std::uint32_t magnitude = code & ((1U << magnitude_bits) - 1);
  const float sign = (code >> magnitude_bits) != 0 ? -1.0F : 1.0F;
  if (magnitude > max_code()) {
    return std::copysign(has_infinity_ && magnitude == max_code() + 1
                             ? std::numeric_limits<float>::infinity()
                             : std::numeric_limits<float>::quiet_NaN(),
                         sign);
  }
  const int bias = (1 << (exponent_bits_ - 1)) - 1;
  const int exponent = static_cast<int>(magnitude >> mantissa_bits);
  const std::uint32_t fraction = magnitude & ((1U << mantissa_bits) - 1);
  const std::uint32_t significand = exponent == 0 ? fraction : fraction | (1U << mantissa_bits);
  const int scale = (exponent == 0 ? 1 : exponent) - bias - mantissa_bits_;
  return sign * std::ldexp(static_cast<float>(significand), scale);
}

std::uint32_t Minifloat::nan_code() const {
  const std::uint32_t all_ones = (1U << static_cast<unsigned>(exponent_bits_ + mantissa_bits_)) - 1;
  // The quiet NaN of IEEE 754 has the highest bit of the mantissa alone.
  return has_infinity_ ? all_ones - ((1U << static_cast<unsigned>(mantissa_bits_ - 1)) - 1)
                       : all_ones;
}

std::uint32_t Minifloat::max_code() const {
  const auto mantissa_bits = static_cast<unsigned>(mantissa_bits_);
  const std::uint32_t all_ones =
      (1U << (static_cast<unsigned>(exponent_bits_) + mantissa_bits)) - 1;
  return has_infinity_ ? all_ones - (1U << mantissa_bits) : all_ones - 1;
}

}  // namespace arrayfs
