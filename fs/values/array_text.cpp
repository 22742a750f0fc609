#include "values/array_text.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "values/element_format.hpp"

namespace arrayfs {
namespace {

/// len() of Python: code points.
std::int64_t length(std::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
  });
}

/// Lays out one array: brackets, line breaks and the summary. _formatArray of arrayprint.py.
class Printer {
 public:
  Printer(const ArrayView& view, const TextOptions& options)
      : view_(view), options_(options), summarise_(view.size() > options.threshold) {}

  /// What the text is made from, in bytes.
  [[nodiscard]] std::uint64_t cost_bytes() const {
    std::uint64_t cost = format_cost_bytes(view_.dtype);
    for (const std::uint64_t extent : view_.shape) {
      cost = saturating_multiply(cost, is_cut(extent) ? 2 * options_.edge_items : extent);
    }
    return cost;
  }

  [[nodiscard]] std::string print() {
    Elements elements;
    for_each_shown(0, view_.data, [&](const std::byte* at) { elements.push_back(at); });
    format_ = element_format(view_.dtype, elements, false, options_);
    return text(0, view_.data, options_.line_width);
  }

 private:
  [[nodiscard]] bool is_cut(std::uint64_t extent) const {
    return summarise_ && extent > 2 * options_.edge_items;
  }

  [[nodiscard]] const std::byte* element(const std::byte* at, std::size_t axis,
                                         std::uint64_t index) const {
    return at + static_cast<std::int64_t>(index) * view_.strides_bytes[axis];
  }

  /// The elements that _leading_trailing keeps.
  template <typename F>
  void for_each_shown(std::size_t axis, const std::byte* at, const F& function) const {
    if (axis == view_.shape.size()) {
      function(at);
      return;
    }
    const std::uint64_t extent = view_.shape[axis];
    for (std::uint64_t index = 0; index < extent; ++index) {
      if (is_cut(extent) && index == options_.edge_items) {
        index = extent - options_.edge_items;
      }
      for_each_shown(axis + 1, element(at, axis, index), function);
    }
  }

  /// The text of the sub-array at `at`, whose brackets stand `axis` + 1 characters from the left,
  /// the first line without that indent.
  [[nodiscard]] std::string text(std::size_t axis, const std::byte* at, std::int64_t width) const {
    return '[' + (axis + 1 == view_.shape.size() ? row(axis, at, width) : rows(axis, at, width)) +
           ']';
  }

  /// The last axis: elements, wrapped where they do not fit on one line.
  [[nodiscard]] std::string row(std::size_t axis, const std::byte* at, std::int64_t width) const {
    const std::string indent(axis + 1, ' ');
    const std::int64_t line_width = width - 1;  // the closing bracket
    std::string out;
    std::string line = indent;
    const auto append_word = [&](const std::string& word) {
      const std::int64_t line_length = length(line);
      // A break before the first word of a line would not help.
      if (line_length + length(word) > line_width &&
          line_length > static_cast<std::int64_t>(indent.size())) {
        line.erase(line.find_last_not_of(' ') + 1);
        out += line;
        out += '\n';
        line = indent;
      }
      line += word;
    };
    const std::uint64_t extent = view_.shape[axis];
    for (std::uint64_t index = 0; index < extent; ++index) {
      if (is_cut(extent) && index == options_.edge_items) {
        append_word("...");
        line += ' ';
        index = extent - options_.edge_items;
      }
      append_word(format_(element(at, axis, index)));
      if (index + 1 != extent) {
        line += ' ';
      }
    }
    return (out + line).substr(indent.size());
  }

  /// Other axes: sub-arrays, an empty line more between them for every axis further out.
  [[nodiscard]] std::string rows(std::size_t axis, const std::byte* at, std::int64_t width) const {
    const std::string separator(view_.shape.size() - axis - 1, '\n');
    const std::string indent(axis + 1, ' ');
    std::string out;
    const std::uint64_t extent = view_.shape[axis];
    for (std::uint64_t index = 0; index < extent; ++index) {
      if (is_cut(extent) && index == options_.edge_items) {
        out += indent;
        out += "..." + separator;
        index = extent - options_.edge_items;
      }
      out += indent;
      out += text(axis + 1, element(at, axis, index), width - 1);
      if (index + 1 != extent) {
        out += separator;
      }
    }
    return out.substr(indent.size());
  }

  const ArrayView& view_;
  const TextOptions& options_;
  bool summarise_;
  ElementFormat format_;
};

}  // namespace

shm::Result<std::string> array_text(const ArrayView& view, const TextOptions& options) {
  if (view.dtype.is_object()) {
    return shm::fail(EINVAL, "an object array: its values are pickled Python objects");
  }
  if (view.size() == 0) {
    return "[]";
  }
  Printer printer(view, options);
  if (const std::uint64_t cost = printer.cost_bytes(); cost > options.limit_bytes) {
    return shm::fail(EFBIG, "the text would show " + std::to_string(cost) + " bytes of data");
  }
  return view.shape.empty() ? scalar_text(view.dtype, view.data, options) : printer.print();
}

shm::Result<std::string> array_text(const shm::Layout& layout, std::span<const std::byte> data,
                                    const TextOptions& options) {
  const shm::Result<ArrayView> view = view_of(layout, data);
  return view ? array_text(*view, options) : tl::unexpected(view.error());
}

}  // namespace arrayfs
