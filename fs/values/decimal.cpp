#include "values/decimal.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>
#include <xtl/xhalf_float.hpp>

namespace arrayfs {
namespace {

/// d.ddd * 10^exponent, without the point and without trailing zeros.
struct Digits {
  std::string digits;
  int exponent;
};

/// to_chars with or without a precision. Requires: below 1e17 in fixed notation.
template <typename T>
std::string print(T value, std::chars_format format, std::optional<int> precision = {}) {
  constexpr std::size_t kWithoutPrecision = 128;
  std::vector<char> buffer(kWithoutPrecision + static_cast<std::size_t>(precision.value_or(0)));
  char* const end = buffer.data() + buffer.size();
  const std::to_chars_result result =
      precision ? std::to_chars(buffer.data(), end, value, format, *precision)
                : std::to_chars(buffer.data(), end, value, format);
  return {buffer.data(), result.ptr};
}

template <typename T>
T parse(std::string_view text) {
  T value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// The float of that width nearest to a decimal.
long double nearest(std::string_view text, FloatWidth width) {
  switch (width) {
    case FloatWidth::kHalf:
      return static_cast<float>(half_float::half_cast<xtl::half_float>(parse<double>(text)));
    case FloatWidth::kSingle:
      return parse<float>(text);
    case FloatWidth::kDouble:
      return parse<double>(text);
    case FloatWidth::kExtended:
      break;
  }
  return parse<long double>(text);
}

/// The value rounded exactly, half to even, at a number of places after the point.
std::string rounded(long double value, FloatWidth width, std::chars_format format, int places) {
  return width == FloatWidth::kExtended ? print(value, format, places)
                                        : print(static_cast<double>(value), format, places);
}

/// Reads `d.ddde+xx`.
Digits split_scientific(std::string_view text) {
  const std::size_t e = text.find('e');
  const std::string_view exponent = text.substr(e + (text[e + 1] == '+' ? 2 : 1));
  Digits result{std::string(text.substr(0, 1)), 0};
  std::from_chars(exponent.data(), exponent.data() + exponent.size(), result.exponent);
  if (e > 1) {
    result.digits += text.substr(2, e - 2);
  }
  return result;
}

/// One more in the last digit.
Digits next_up(Digits value) {
  for (auto digit = value.digits.rbegin(); digit != value.digits.rend(); ++digit) {
    if (*digit != '9') {
      ++*digit;
      return value;
    }
    *digit = '0';
  }
  value.digits.insert(0, "1");
  value.digits.pop_back();
  ++value.exponent;
  return value;
}

std::string to_text(const Digits& value) {
  return value.digits.substr(0, 1) + '.' + value.digits.substr(1) + 'e' +
         std::to_string(value.exponent);
}

/// to_chars has no half: the first number of digits at which a decimal identifies the value.
Digits shortest_half(long double value) {
  constexpr int kMaxDigits = 5;  // std::numeric_limits<half>::max_digits10
  for (int places = 0; places < kMaxDigits; ++places) {
    Digits digits =
        split_scientific(print(static_cast<double>(value), std::chars_format::scientific, places));
    if (nearest(to_text(digits), FloatWidth::kHalf) == value) {
      return digits;
    }
    // Above a power of two the floats lie twice as far apart as below it, so the decimal above may
    // identify the value although the one below is nearer.
    digits = next_up(digits);
    if (nearest(to_text(digits), FloatWidth::kHalf) == value) {
      return digits;
    }
  }
  return split_scientific(
      print(static_cast<double>(value), std::chars_format::scientific, kMaxDigits));
}

Digits shortest(long double value, FloatWidth width) {
  Digits digits;
  switch (width) {
    case FloatWidth::kHalf:
      digits = shortest_half(value);
      break;
    case FloatWidth::kSingle:
      digits = split_scientific(print(static_cast<float>(value), std::chars_format::scientific));
      break;
    case FloatWidth::kDouble:
      digits = split_scientific(print(static_cast<double>(value), std::chars_format::scientific));
      break;
    case FloatWidth::kExtended:
      digits = split_scientific(print(value, std::chars_format::scientific));
      break;
  }
  while (digits.digits.size() > 1 && digits.digits.back() == '0') {
    digits.digits.pop_back();
  }
  return digits;
}

Decimal lay_out(const Digits& value, Notation notation) {
  if (notation == Notation::kScientific) {
    return {value.digits.substr(0, 1), value.digits.substr(1), value.exponent};
  }
  if (value.exponent < 0) {
    const auto zeros = static_cast<std::size_t>(-value.exponent - 1);
    return {"0", std::string(zeros, '0') + value.digits, 0};
  }
  const auto whole = static_cast<std::size_t>(value.exponent) + 1;
  if (value.digits.size() <= whole) {
    return {value.digits + std::string(whole - value.digits.size(), '0'), "", 0};
  }
  return {value.digits.substr(0, whole), value.digits.substr(whole), 0};
}

Decimal split(std::string_view text, Notation notation) {
  if (notation == Notation::kScientific) {
    return lay_out(split_scientific(text), notation);
  }
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::size_t fraction = std::min(point + 1, text.size());
  return {std::string(text.substr(0, point)), std::string(text.substr(fraction)), 0};
}

}  // namespace

Decimal decimal(long double value, FloatWidth width, Notation notation, int max_fraction,
                int min_fraction) {
  const long double magnitude = std::abs(value);
  const std::chars_format format =
      notation == Notation::kScientific ? std::chars_format::scientific : std::chars_format::fixed;
  const Digits digits = shortest(magnitude, width);
  const int fraction = static_cast<int>(digits.digits.size()) - 1 -
                       (notation == Notation::kScientific ? 0 : digits.exponent);
  if (max_fraction >= 0 && fraction > max_fraction) {
    return split(rounded(magnitude, width, format, max_fraction), notation);
  }
  // More digits than identify the value are the value's own, not zeros: 65504 for the half 6.55e4.
  // Except where its neighbours lie at unequal distances: dragon4 then keeps to the digits that
  // identify the value if the exact ones, rounded down, do not. Not so below the smallest normal
  // number (for which from_chars of a long double fails).
  if (min_fraction >= 0 && fraction < min_fraction) {
    const std::string text = rounded(magnitude, width, format, min_fraction);
    if (magnitude < std::numeric_limits<long double>::min() || nearest(text, width) == magnitude) {
      return split(text, notation);
    }
  }
  return lay_out(digits, notation);
}

}  // namespace arrayfs
