#include "values/element_format.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <span>

#include "values/array_view.hpp"
#include "values/datetime.hpp"
#include "values/element.hpp"
#include "values/float_text.hpp"
#include "values/minifloat.hpp"
#include "values/python_literal.hpp"

namespace arrayfs {
namespace {

template <typename T>
constexpr FloatWidth width_of() {
  if constexpr (std::is_same_v<T, xtl::half_float>) {
    return FloatWidth::kHalf;
  } else if constexpr (std::is_same_v<T, float>) {
    return FloatWidth::kSingle;
  } else if constexpr (std::is_same_v<T, double>) {
    return FloatWidth::kDouble;
  } else {
    return FloatWidth::kExtended;
  }
}

/// Every float fits a long double exactly.
template <typename T>
long double widened(T value) {
  if constexpr (std::is_same_v<T, xtl::half_float>) {
    return static_cast<float>(value);
  } else {
    return value;
  }
}

std::string right_aligned(std::string text, std::size_t width) {
  if (text.size() < width) {
    text.insert(0, width - text.size(), ' ');
  }
  return text;
}

template <typename T, typename Load>
ElementFormat float_format(const Elements& elements, const TextOptions& options, Load load_value) {
  std::vector<long double> values;
  values.reserve(elements.size());
  for (const std::byte* const at : elements) {
    values.push_back(widened(load_value(at)));
  }
  return [load_value, format = FloatFormat(values, width_of<T>(), Sign::kMinusOnly, options)](
             const std::byte* at) { return format(widened(load_value(at))); };
}

template <typename T>
ElementFormat complex_format(const Elements& elements, const TextOptions& options, bool swapped) {
  using Part = typename T::value_type;
  std::vector<long double> reals;
  std::vector<long double> imags;
  for (const std::byte* const at : elements) {
    const T value = load<T>(at, swapped);
    reals.push_back(widened(value.real()));
    imags.push_back(widened(value.imag()));
  }
  return
      [swapped, real = FloatFormat(reals, width_of<Part>(), Sign::kMinusOnly, options),
       imag = FloatFormat(imags, width_of<Part>(), Sign::kAlways, options)](const std::byte* at) {
        const T value = load<T>(at, swapped);
        // The j stands before the padding.
        std::string text = imag(widened(value.imag()));
        text.insert(text.find_last_not_of(' ') + 1, 1, 'j');
        return real(widened(value.real())) + text;
      };
}

template <typename T>
ElementFormat integer_format(const Elements& elements, bool swapped) {
  std::size_t width = 0;
  for (const std::byte* const at : elements) {
    width = std::max(width, std::to_string(load<T>(at, swapped)).size());
  }
  return [width, swapped](const std::byte* at) {
    return right_aligned(std::to_string(load<T>(at, swapped)), width);
  };
}

template <typename T>
ElementFormat number_format(const shm::Dtype& dtype, const Elements& elements, bool is_scalar,
                            const TextOptions& options) {
  const bool swapped = is_swapped(dtype);
  if constexpr (std::is_same_v<T, bool>) {
    return [is_scalar](const std::byte* at) -> std::string {
      return !load<bool>(at, false) ? "False" : is_scalar ? "True" : " True";
    };
  } else if constexpr (std::is_integral_v<T>) {
    return integer_format<T>(elements, swapped);
  } else if constexpr (kIsComplex<T>) {
    return complex_format<T>(elements, options, swapped);
  } else {
    return float_format<T>(elements, options,
                           [swapped](const std::byte* at) { return load<T>(at, swapped); });
  }
}

/// datetime64 and timedelta64: quoted dates or counts, as wide as the extremes and as 'NaT'.
ElementFormat time_format(const shm::Dtype& dtype, const Elements& elements) {
  const auto text = [is_date = dtype.kind() == shm::Kind::kDatetime,
                     step = time_step(dtype.unit())](std::int64_t value) {
    return is_date ? '\'' + datetime_text(value, step) + '\'' : std::to_string(value);
  };
  constexpr std::string_view kNotATime = "'NaT'";
  const bool swapped = is_swapped(dtype);
  std::optional<std::int64_t> min;
  std::optional<std::int64_t> max;
  std::size_t width = 0;
  for (const std::byte* const at : elements) {
    const auto value = load<std::int64_t>(at, swapped);
    if (value == kNaT) {
      width = kNotATime.size();
    } else {
      min = std::min(value, min.value_or(value));
      max = std::max(value, max.value_or(value));
    }
  }
  if (min) {
    width = std::max({width, text(*min).size(), text(*max).size()});
  }
  return [=](const std::byte* at) {
    const auto value = load<std::int64_t>(at, swapped);
    return right_aligned(value == kNaT ? std::string(kNotATime) : text(value), width);
  };
}

std::span<const std::byte> without_trailing_zeros(const std::byte* at, std::uint64_t size) {
  while (size > 0 && at[size - 1] == std::byte{0}) {
    --size;
  }
  return {at, static_cast<std::size_t>(size)};
}

std::u32string code_points(const shm::Dtype& dtype, const std::byte* at) {
  const bool swapped = is_swapped(dtype);
  std::u32string text;
  for (std::uint64_t offset = 0; offset < dtype.itemsize(); offset += sizeof(char32_t)) {
    text += static_cast<char32_t>(load<std::uint32_t>(at + offset, swapped));
  }
  text.erase(text.find_last_not_of(U'\0') + 1);
  return text;
}

std::uint64_t element_count(const shm::Shape& shape) {
  return ArrayView{{}, shape, {}, nullptr}.size();
}

/// A field, its sub-array in brackets: SubArrayFormat.
class FieldFormat {
 public:
  FieldFormat(const shm::Field& field, ElementFormat format)
      : field_(field), format_(std::move(format)) {}

  void append(std::string& out, const std::byte* at) const {
    at += field_.offset;
    append(out, at, 0);
  }

 private:
  void append(std::string& out, const std::byte*& at, std::size_t axis) const {
    if (axis == field_.shape.size()) {
      out += format_(at);
      at += field_.dtype.itemsize();
      return;
    }
    out += '[';
    for (std::uint64_t index = 0; index < field_.shape[axis]; ++index) {
      if (index != 0) {
        out += ", ";
      }
      append(out, at, axis + 1);
    }
    out += ']';
  }

  shm::Field field_;
  ElementFormat format_;
};

ElementFormat struct_format(const shm::Dtype& dtype, const Elements& elements, bool is_scalar,
                            const TextOptions& options) {
  std::vector<FieldFormat> fields;
  for (const shm::Field& field : dtype.fields()) {
    Elements values;
    const std::uint64_t count = element_count(field.shape);
    for (const std::byte* const at : elements) {
      for (std::uint64_t index = 0; index < count; ++index) {
        values.push_back(at + field.offset + index * field.dtype.itemsize());
      }
    }
    fields.emplace_back(
        field, element_format(field.dtype, values, is_scalar && field.shape.empty(), options));
  }
  return [fields = std::move(fields)](const std::byte* at) {
    std::string out = "(";
    for (const FieldFormat& field : fields) {
      if (out.size() > 1) {
        out += ", ";
      }
      field.append(out, at);
    }
    return out + (fields.size() == 1 ? ",)" : ")");
  };
}

ElementFormat void_format(const shm::Dtype& dtype, const Elements& elements,
                          const TextOptions& options) {
  if (const auto minifloat = Minifloat::of(dtype)) {
    return float_format<float>(
        elements, options, [format = *minifloat](const std::byte* at) { return format.load(at); });
  }
  return [size = dtype.itemsize()](const std::byte* at) {
    return void_text({at, static_cast<std::size_t>(size)});
  };
}

template <typename T>
std::string number_scalar_text(T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "True" : "False";
  } else if constexpr (std::is_integral_v<T>) {
    return std::to_string(value);
  } else if constexpr (kIsComplex<T>) {
    return complex_scalar_text(value.real(), value.imag(), width_of<typename T::value_type>());
  } else {
    return float_scalar_text(widened(value), width_of<T>());
  }
}

}  // namespace

ElementFormat element_format(const shm::Dtype& dtype, const Elements& elements, bool is_scalar,
                             const TextOptions& options) {
  switch (dtype.kind()) {
    case shm::Kind::kBool:
    case shm::Kind::kInt:
    case shm::Kind::kUint:
    case shm::Kind::kFloat:
    case shm::Kind::kComplex:
      return with_number_type(dtype, [&]<typename T>(std::type_identity<T> /*type*/) {
        return number_format<T>(dtype, elements, is_scalar, options);
      });
    case shm::Kind::kDatetime:
    case shm::Kind::kTimedelta:
      return time_format(dtype, elements);
    case shm::Kind::kBytes:
      return [size = dtype.itemsize()](const std::byte* at) {
        return bytes_repr(without_trailing_zeros(at, size));
      };
    case shm::Kind::kUnicode:
      return [dtype](const std::byte* at) { return unicode_repr(code_points(dtype, at)); };
    case shm::Kind::kStruct:
      return struct_format(dtype, elements, is_scalar, options);
    case shm::Kind::kVoid:
    case shm::Kind::kObject:
      break;
  }
  return void_format(dtype, elements, options);
}

std::string scalar_text(const shm::Dtype& dtype, const std::byte* at, const TextOptions& options) {
  switch (dtype.kind()) {
    case shm::Kind::kBool:
    case shm::Kind::kInt:
    case shm::Kind::kUint:
    case shm::Kind::kFloat:
    case shm::Kind::kComplex:
      return with_number_type(dtype, [&]<typename T>(std::type_identity<T> /*type*/) {
        return number_scalar_text(load<T>(at, is_swapped(dtype)));
      });
    case shm::Kind::kDatetime:
      return datetime_text(load<std::int64_t>(at, is_swapped(dtype)), time_step(dtype.unit()));
    case shm::Kind::kTimedelta:
      return timedelta_scalar_text(load<std::int64_t>(at, is_swapped(dtype)),
                                   time_step(dtype.unit()));
    case shm::Kind::kUnicode:
      return to_utf8(code_points(dtype, at));
    case shm::Kind::kVoid:
      if (const auto minifloat = Minifloat::of(dtype)) {
        return float_scalar_text(minifloat->load(at), FloatWidth::kSingle);
      }
      break;
    case shm::Kind::kBytes:
    case shm::Kind::kStruct:
    case shm::Kind::kObject:
      break;
  }
  return element_format(dtype, {at}, true, options)(at);
}

std::uint64_t format_cost_bytes(const shm::Dtype& dtype) {
  std::uint64_t cost = std::max<std::uint64_t>(1, dtype.itemsize());
  for (const shm::Field& field : dtype.fields()) {
    std::uint64_t field_cost = format_cost_bytes(field.dtype);
    for (const std::uint64_t extent : field.shape) {
      field_cost = saturating_multiply(field_cost, std::max<std::uint64_t>(1, extent));
    }
    if (__builtin_add_overflow(cost, field_cost, &cost)) {
      return std::numeric_limits<std::uint64_t>::max();
    }
  }
  return cost;
}

}  // namespace arrayfs
