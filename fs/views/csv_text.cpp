#include "csv_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>

#include "../values/array_view.hpp"
#include "../values/element.hpp"
#include "../values/element_format.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Kind;
using shm::Result;

constexpr std::size_t kMaxColumns = 100'000;

void append_quoted(std::string& out, std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    out.append(c == '"' ? 2 : 1, c);
  }
  out += '"';
}

template <typename T>
void append_number(std::string& out, T value) {
  std::array<char, 32> text;
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) {
      out += std::isnan(value) ? "nan" : value < 0 ? "-inf" : "inf";
      return;
    }
  }
  const char* end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  const std::string_view digits(text.data(), static_cast<std::size_t>(end - text.data()));
  out += digits;
  if (std::is_floating_point_v<T> && digits.find_first_of(".e") == std::string_view::npos) {
    out += ".0";  // it is no integer to who guesses types
  }
}

// What is a number to the machine is fast; everything else is as NumPy prints a scalar.
template <typename T>
constexpr bool kIsPlain = (std::is_integral_v<T> && !std::is_same_v<T, bool>) ||
                          std::is_same_v<T, float> || std::is_same_v<T, double>;

// Text in fields of bytes, without the zeros that fill them up.
std::string_view stored_text(const shm::Dtype& dtype, const std::byte* at) {
  std::string_view text(reinterpret_cast<const char*>(at),
                        static_cast<std::size_t>(dtype.itemsize()));
  return text.substr(0, text.find_last_not_of('\0') + 1);
}

}  // namespace

CsvText::Cell CsvText::cell_of(const shm::Dtype& dtype) {
  if (dtype.kind() == Kind::kBytes) {
    return [dtype](std::string& out, const std::byte* at) {
      append_quoted(out, stored_text(dtype, at));
    };
  }
  if (dtype.kind() == Kind::kInt || dtype.kind() == Kind::kUint || dtype.kind() == Kind::kFloat) {
    Cell plain = with_number_type(dtype, [&]<typename T>(std::type_identity<T> /*type*/) -> Cell {
      if constexpr (kIsPlain<T>) {
        return [swapped = is_swapped(dtype)](std::string& out, const std::byte* at) {
          append_number(out, load<T>(at, swapped));
        };
      } else {
        return {};
      }
    });
    if (plain) {
      return plain;
    }
  }
  return [dtype](std::string& out, const std::byte* at) {
    append_quoted(out, scalar_text(dtype, at));
  };
}

Result<void> CsvText::add_columns(const shm::Dtype& dtype, const std::string& name,
                                  std::uint64_t offset) {
  if (dtype.kind() != Kind::kStruct) {
    if (columns_.size() >= kMaxColumns) {
      return fail(EOPNOTSUPP, "more than 100000 columns");
    }
    if (!columns_.empty()) {
      heading_ += ',';
    }
    append_quoted(heading_, name);
    columns_.push_back({offset, cell_of(dtype)});
    return {};
  }
  for (const shm::Field& field : dtype.fields()) {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : field.shape) {
      count *= extent;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      std::string label = name.empty() ? field.name : name + '.' + field.name;
      if (!field.shape.empty()) {
        label += fmt::format("[{}]", fmt::join(index_of(i, field.shape), ","));
      }
      auto added =
          add_columns(field.dtype, label, offset + field.offset + i * field.dtype.itemsize());
      if (!added) {
        return added;
      }
    }
  }
  return {};
}

Result<CsvText> CsvText::of(const shm::Layout& layout) {
  if (layout.dtype.is_object()) {
    return fail(EOPNOTSUPP, "dtype object: pickled Python objects are never read");
  }
  if (layout.shape.size() > 2) {
    return fail(EOPNOTSUPP,
                "a CSV file has two axes, the array has " + std::to_string(layout.shape.size()));
  }
  CsvText text;
  if (auto added = text.add_columns(layout.dtype, "", 0); !added) {
    return tl::unexpected(added.error());
  }
  const bool structured = layout.dtype.kind() == Kind::kStruct;
  if (structured && layout.shape.size() == 2) {
    return fail(EOPNOTSUPP, "a table whose cells are structs has no CSV form");
  }
  if (structured) {
    text.heading_ += '\n';
  } else {
    text.heading_.clear();
  }
  if (layout.shape.size() == 2) {
    text.elements_per_line_ = std::max<std::uint64_t>(1, layout.shape[1]);
  }
  return text;
}

void CsvText::append(std::string& out, const std::byte* at) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (i != 0) {
      out += ',';
    }
    columns_[i].cell(out, at + columns_[i].offset);
  }
}

}  // namespace arrayfs
