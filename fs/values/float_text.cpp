#include "values/float_text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <xtl/xhalf_float.hpp>

namespace arrayfs {
namespace {

/// max / min as the type itself divides, which decides about the notation near the limit.
long double ratio(long double max, long double min, FloatWidth width) {
  switch (width) {
    case FloatWidth::kHalf:
      return static_cast<float>(half_float::half_cast<xtl::half_float>(static_cast<float>(max) /
                                                                       static_cast<float>(min)));
    case FloatWidth::kSingle:
      return static_cast<float>(max) / static_cast<float>(min);
    case FloatWidth::kDouble:
      return static_cast<double>(max) / static_cast<double>(min);
    case FloatWidth::kExtended:
      break;
  }
  return max / min;
}

bool wants_scientific(const std::vector<long double>& finite, FloatWidth width) {
  long double max = 0;
  long double min = 0;
  for (const long double value : finite) {
    const long double magnitude = std::abs(value);
    if (magnitude != 0) {
      max = std::max(max, magnitude);
      min = min == 0 ? magnitude : std::min(min, magnitude);
    }
  }
  // The limits are Python floats, hence doubles, and 0.0001 is not exact.
  return max != 0 &&
         (max >= 1e8 || min < static_cast<long double>(0.0001) || ratio(max, min, width) > 1000);
}

void trim_zeros(std::string& digits) {
  digits.erase(digits.find_last_not_of('0') + 1);
}

std::string exponent_text(int exponent, std::size_t digits) {
  std::string number = std::to_string(std::abs(exponent));
  if (number.size() < digits) {
    number.insert(0, digits - number.size(), '0');
  }
  return (exponent < 0 ? "e-" : "e+") + number;
}

std::string padded_left(std::string text, std::size_t width) {
  if (text.size() < width) {
    text.insert(0, width - text.size(), ' ');
  }
  return text;
}

constexpr std::size_t kMinExponentDigits = 2;

}  // namespace

FloatFormat::FloatFormat(const std::vector<long double>& values, FloatWidth width, Sign sign,
                         const TextOptions& options)
    : width_(width), sign_(sign), precision_(options.precision) {
  std::vector<long double> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite),
               [](long double value) { return std::isfinite(value); });
  scientific_ = wants_scientific(finite, width);

  std::size_t fraction_digits = 0;
  for (const long double value : finite) {
    Decimal text = decimal(value, width,
                           scientific_ ? Notation::kScientific : Notation::kPositional, precision_);
    trim_zeros(text.fraction);
    pad_left_ = std::max(pad_left_, sign_of(value).size() + text.whole.size());
    fraction_digits = std::max(fraction_digits, text.fraction.size());
    if (scientific_) {
      exponent_digits_ =
          std::max(exponent_digits_, exponent_text(text.exponent, kMinExponentDigits).size() - 2);
    }
  }
  pad_right_ = fraction_digits;
  if (scientific_) {
    precision_ = static_cast<int>(fraction_digits);
    pad_right_ = exponent_digits_ + 2 + fraction_digits;
  }

  if (finite.size() != values.size()) {
    const bool wide_infinity =
        sign == Sign::kAlways || std::any_of(values.begin(), values.end(), [](long double value) {
          return std::isinf(value) && value < 0;
        });
    const std::size_t special_width = wide_infinity ? 4 : 3;  // -inf, else inf or nan
    const std::size_t after_point = pad_right_ + 1;
    if (special_width > after_point) {
      pad_left_ = std::max(pad_left_, special_width - after_point);
    }
  }
}

std::string FloatFormat::sign_of(long double value) const {
  if (std::signbit(value) && !std::isnan(value)) {
    return "-";
  }
  return sign_ == Sign::kAlways ? "+" : "";
}

std::string FloatFormat::operator()(long double value) const {
  const std::string sign = sign_of(value);
  if (!std::isfinite(value)) {
    return padded_left(sign + (std::isnan(value) ? "nan" : "inf"), pad_left_ + pad_right_ + 1);
  }
  if (scientific_) {
    Decimal text = decimal(value, width_, Notation::kScientific, precision_, precision_);
    text.fraction.resize(static_cast<std::size_t>(precision_), '0');
    return padded_left(sign + text.whole, pad_left_) + '.' + text.fraction +
           exponent_text(text.exponent, exponent_digits_);
  }
  Decimal text = decimal(value, width_, Notation::kPositional, precision_, 0);
  trim_zeros(text.fraction);
  text.fraction.resize(std::max(pad_right_, text.fraction.size()), ' ');
  return padded_left(sign + text.whole, pad_left_) + '.' + text.fraction;
}

namespace {

/// Whether a number without a fraction keeps a `.0` in positional notation.
enum class Trim { kLeaveOneZero, kNoPoint };

std::string scalar_text(long double value, FloatWidth width, Trim trim, Sign sign) {
  std::string result = std::signbit(value) && !std::isnan(value) ? "-"
                       : sign == Sign::kAlways                   ? "+"
                                                                 : "";
  if (!std::isfinite(value)) {
    return result + (std::isnan(value) ? "nan" : "inf");
  }
  const long double magnitude = std::abs(value);
  const bool positional = magnitude == 0 || (magnitude < 1e16L && magnitude >= 1e-4L);
  const Decimal text =
      decimal(value, width, positional ? Notation::kPositional : Notation::kScientific);
  result += text.whole;
  if (!text.fraction.empty()) {
    result += '.' + text.fraction;
  } else if (positional && trim == Trim::kLeaveOneZero) {
    result += ".0";
  }
  return positional ? result : result + exponent_text(text.exponent, kMinExponentDigits);
}

}  // namespace

std::string float_scalar_text(long double value, FloatWidth width) {
  return scalar_text(value, width, Trim::kLeaveOneZero, Sign::kMinusOnly);
}

std::string complex_scalar_text(long double real, long double imag, FloatWidth width) {
  if (real == 0 && !std::signbit(real)) {
    return scalar_text(imag, width, Trim::kNoPoint, Sign::kMinusOnly) + 'j';
  }
  return '(' + scalar_text(real, width, Trim::kNoPoint, Sign::kMinusOnly) +
         scalar_text(imag, width, Trim::kNoPoint, Sign::kAlways) + "j)";
}

}  // namespace arrayfs
