#include "values/scalar.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "values/datetime.hpp"
#include "values/element.hpp"
#include "values/minifloat.hpp"
#include "values/python_literal.hpp"

namespace arrayfs {
namespace {

tl::unexpected<shm::Error> not_a_value(const shm::Dtype& dtype, std::string_view text) {
  return shm::fail(EINVAL, "'" + std::string(text) + "' is no value of type " + dtype.name());
}

tl::unexpected<shm::Error> out_of_range(const shm::Dtype& dtype, std::string_view text) {
  return shm::fail(ERANGE, "'" + std::string(text) + "' is out of range for type " + dtype.name());
}

struct Magnitude {
  bool negative;
  std::uint64_t value;
  bool fits;
};

/// An integer of Python: decimal, or with the prefix 0x, 0o or 0b.
std::optional<Magnitude> parse_integer(std::string_view text) {
  Magnitude result{text.starts_with('-'), 0, true};
  if (text.starts_with('-') || text.starts_with('+')) {
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.size() > 2 && text[0] == '0') {
    const char prefix = text[1];
    base = prefix == 'x' || prefix == 'X'   ? 16
           : prefix == 'o' || prefix == 'O' ? 8
           : prefix == 'b' || prefix == 'B' ? 2
                                            : 10;
    text.remove_prefix(base == 10 ? 0 : 2);
  }
  const char* const end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, result.value, base);
  if (error == std::errc::invalid_argument || last != end) {
    return std::nullopt;
  }
  result.fits = error == std::errc();
  return result;
}

enum class Parsed { kOk, kNoNumber, kOutOfRange };

template <typename T>
Parsed parse_complex(std::string_view text, T* real, T* imag);

template <typename T>
Parsed parse_number(std::string_view text, T* value) {
  if constexpr (std::is_same_v<T, bool>) {
    *value = text == "True" || text == "true" || text == "1";
    return *value || text == "False" || text == "false" || text == "0" ? Parsed::kOk
                                                                       : Parsed::kNoNumber;
  } else if constexpr (std::is_integral_v<T>) {
    const std::optional<Magnitude> magnitude = parse_integer(text);
    if (!magnitude) {
      return Parsed::kNoNumber;
    }
    const auto max = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    const std::uint64_t limit = !magnitude->negative ? max : std::is_signed_v<T> ? max + 1 : 0;
    if (!magnitude->fits || magnitude->value > limit) {
      return Parsed::kOutOfRange;
    }
    *value = static_cast<T>(magnitude->negative ? 0 - magnitude->value : magnitude->value);
    return Parsed::kOk;
  } else if constexpr (std::is_same_v<T, xtl::half_float>) {
    double wide = 0;
    const Parsed parsed = parse_number(text, &wide);
    *value = half_float::half_cast<xtl::half_float>(wide);
    return parsed == Parsed::kOk && std::isfinite(wide) && !half_float::isfinite(*value)
               ? Parsed::kOutOfRange
               : parsed;
  } else if constexpr (kIsComplex<T>) {
    typename T::value_type real{};
    typename T::value_type imag{};
    const Parsed parsed = parse_complex(text, &real, &imag);
    *value = T(real, imag);
    return parsed;
  } else {
    if (text.starts_with('+')) {
      text.remove_prefix(1);
      if (text.starts_with('-')) {
        return Parsed::kNoNumber;
      }
    }
    const char* const end = text.data() + text.size();
    const auto [last, error] = std::from_chars(text.data(), end, *value);
    if (last == end && error != std::errc::invalid_argument) {
      return error == std::errc() ? Parsed::kOk : Parsed::kOutOfRange;
    }
    const std::optional<Magnitude> integer = parse_integer(text);
    if (!integer) {
      return Parsed::kNoNumber;
    }
    *value = static_cast<T>(integer->value) * (integer->negative ? T{-1} : T{1});
    return integer->fits ? Parsed::kOk : Parsed::kOutOfRange;
  }
}

/// `1+2j`, `(1+2j)`, `2j`, `1`.
template <typename T>
Parsed parse_complex(std::string_view text, T* real, T* imag) {
  if (text.starts_with('(') && text.ends_with(')')) {
    text = text.substr(1, text.size() - 2);
  }
  if (!text.ends_with('j') && !text.ends_with('J')) {
    return parse_number(text, real);
  }
  text.remove_suffix(1);
  // The imaginary part begins at the last sign that belongs to no exponent.
  std::size_t split = text.size();
  do {
    split = split == 0 ? std::string_view::npos : text.find_last_of("+-", split - 1);
  } while (split != std::string_view::npos && split > 0 &&
           std::tolower(static_cast<unsigned char>(text[split - 1])) == 'e');
  split = split == std::string_view::npos ? 0 : split;
  const std::string_view imag_text = text.substr(split);
  if (split > 0) {
    if (const Parsed parsed = parse_number(text.substr(0, split), real); parsed != Parsed::kOk) {
      return parsed;
    }
  }
  if (imag_text.empty() || imag_text == "+" || imag_text == "-") {
    *imag = imag_text == "-" ? T{-1} : T{1};
    return Parsed::kOk;
  }
  return parse_number(imag_text, imag);
}

/// Writes the value that a text stands for into elements of any dtype.
class ScalarWriter {
 public:
  explicit ScalarWriter(std::string_view text) : text_(text) {}

  shm::Result<void> write(const shm::Dtype& dtype, std::byte* at) const {
    switch (dtype.kind()) {
      case shm::Kind::kBool:
      case shm::Kind::kInt:
      case shm::Kind::kUint:
      case shm::Kind::kFloat:
      case shm::Kind::kComplex:
        return with_number_type(dtype, [&]<typename T>(std::type_identity<T> /*type*/) {
          return write_number<T>(dtype, at);
        });
      case shm::Kind::kDatetime:
      case shm::Kind::kTimedelta:
        return write_time(dtype, at);
      case shm::Kind::kBytes:
        return write_bytes(dtype, at);
      case shm::Kind::kUnicode:
        return write_unicode(dtype, at);
      case shm::Kind::kVoid:
        return Minifloat::of(dtype) ? write_minifloat(dtype, at) : write_bytes(dtype, at);
      case shm::Kind::kStruct:
        return write_fields(dtype, at);
      case shm::Kind::kObject:
        break;
    }
    return shm::fail(EINVAL, "an object array cannot be filled");
  }

 private:
  template <typename T>
  shm::Result<void> checked(const shm::Dtype& dtype, Parsed parsed, T value, std::byte* at) const {
    if (parsed == Parsed::kOk) {
      store(value, at, is_swapped(dtype));
      return {};
    }
    return parsed == Parsed::kNoNumber ? not_a_value(dtype, text_) : out_of_range(dtype, text_);
  }

  template <typename T>
  shm::Result<void> write_number(const shm::Dtype& dtype, std::byte* at) const {
    T value{};
    const Parsed parsed = parse_number(text_, &value);
    return checked(dtype, parsed, value, at);
  }

  shm::Result<void> write_time(const shm::Dtype& dtype, std::byte* at) const {
    std::int64_t value = kNaT;
    if (dtype.kind() == shm::Kind::kDatetime || text_ == "NaT") {
      const auto parsed = parse_datetime(unquoted(), time_step(dtype.unit()));
      if (!parsed) {
        return tl::unexpected(parsed.error());
      }
      return checked(dtype, Parsed::kOk, *parsed, at);
    }
    const Parsed parsed = parse_number(text_, &value);
    return checked(dtype, parsed, value, at);
  }

  shm::Result<void> write_minifloat(const shm::Dtype& dtype, std::byte* at) const {
    double value = 0;
    const Parsed parsed = parse_number(text_, &value);
    if (parsed == Parsed::kOk && Minifloat::of(dtype)->store(value, at)) {
      return {};
    }
    return parsed == Parsed::kNoNumber ? not_a_value(dtype, text_) : out_of_range(dtype, text_);
  }

  shm::Result<void> write_bytes(const shm::Dtype& dtype, std::byte* at) const {
    const shm::Result<std::u32string> content = parse_string(text_);
    if (!content) {
      return tl::unexpected(content.error());
    }
    const bool is_bytes = text_.starts_with("b'") || text_.starts_with("b\"");
    const bool is_ascii = std::all_of(content->begin(), content->end(),
                                      [](char32_t code_point) { return code_point < 0x80; });
    if (!is_bytes && !is_ascii) {
      return not_a_value(dtype, text_);
    }
    const std::string bytes(content->begin(), content->end());
    if (bytes.size() > dtype.itemsize()) {
      return out_of_range(dtype, text_);
    }
    std::transform(bytes.begin(), bytes.end(), at,
                   [](char byte) { return static_cast<std::byte>(byte); });
    return {};
  }

  shm::Result<void> write_unicode(const shm::Dtype& dtype, std::byte* at) const {
    const shm::Result<std::u32string> content = parse_string(text_);
    if (!content) {
      return tl::unexpected(content.error());
    }
    if (content->size() > dtype.itemsize() / sizeof(char32_t)) {
      return out_of_range(dtype, text_);
    }
    for (const char32_t code_point : *content) {
      store(static_cast<std::uint32_t>(code_point), at, is_swapped(dtype));
      at += sizeof(char32_t);
    }
    return {};
  }

  shm::Result<void> write_fields(const shm::Dtype& dtype, std::byte* at) const {
    for (const shm::Field& field : dtype.fields()) {
      std::byte* element = at + field.offset;
      std::byte* const end = element + field.itemsize;
      const std::uint64_t size = field.dtype.itemsize();
      for (; size > 0 && element != end; element += size) {
        if (auto written = write(field.dtype, element); !written) {
          return written;
        }
      }
    }
    return {};
  }

  [[nodiscard]] std::string_view unquoted() const {
    const bool quoted = text_.size() >= 2 && (text_.front() == '\'' || text_.front() == '"') &&
                        text_.back() == text_.front();
    return quoted ? text_.substr(1, text_.size() - 2) : text_;
  }

  std::string_view text_;
};

}  // namespace

shm::Result<std::vector<std::byte>> parse_scalar(const shm::Dtype& dtype, std::string_view text) {
  std::vector<std::byte> bytes(dtype.itemsize());
  if (auto written = ScalarWriter(text).write(dtype, bytes.data()); !written) {
    return tl::unexpected(written.error());
  }
  return bytes;
}

}  // namespace arrayfs
