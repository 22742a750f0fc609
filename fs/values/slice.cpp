#include "values/slice.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <variant>

#include "values/python_literal.hpp"

namespace arrayfs {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

struct Ellipsis {};
struct NewAxis {};
struct Range {
  std::optional<std::int64_t> start;
  std::optional<std::int64_t> stop;
  std::optional<std::int64_t> step;
};
using Index = std::variant<std::int64_t, Range, Ellipsis, NewAxis>;

tl::unexpected<shm::Error> not_an_index() {
  return shm::fail(EINVAL,
                   "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and "
                   "names of fields are valid indices");
}

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char character) {
    return std::isspace(static_cast<unsigned char>(character)) != 0;
  };
  while (!text.empty() && is_space(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && is_space(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

bool is_quoted(std::string_view text) {
  return text.starts_with('\'') || text.starts_with('"');
}

/// An integer, or the nearest that fits 64 bits.
std::optional<std::int64_t> parse_integer(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) {
      return std::nullopt;
    }
  }
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::invalid_argument || end != text.data() + text.size()) {
    return std::nullopt;
  }
  if (error == std::errc::result_out_of_range) {
    return text.starts_with('-') ? -kMax : kMax;
  }
  return value;
}

/// `start:stop:step`, each of which may be missing or None.
shm::Result<Index> parse_range(std::string_view text) {
  Range range;
  const std::array parts = {&range.start, &range.stop, &range.step};
  for (std::size_t index = 0; index < parts.size(); ++index) {
    const std::size_t colon = std::min(text.find(':'), text.size());
    const std::string_view part = trimmed(text.substr(0, colon));
    if (!part.empty() && part != "None") {
      *parts[index] = parse_integer(part);
      if (!*parts[index]) {
        return not_an_index();
      }
    }
    if (colon == text.size()) {
      break;
    }
    text.remove_prefix(colon + 1);
    if (index + 1 == parts.size()) {
      return not_an_index();
    }
  }
  return range;
}

shm::Result<Index> parse_index(std::string_view text) {
  if (text == "..." || text == "Ellipsis") {
    return Ellipsis{};
  }
  if (text == "None" || text == "newaxis" || text == "np.newaxis") {
    return NewAxis{};
  }
  if (text.find(':') != std::string_view::npos) {
    return parse_range(text);
  }
  const std::optional<std::int64_t> integer = parse_integer(text);
  if (!integer) {
    return not_an_index();
  }
  return *integer;
}

/// `0:10, ::2, ...`: what stands between one pair of brackets.
shm::Result<std::vector<Index>> parse_indices(std::string_view text) {
  std::vector<Index> indices;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    shm::Result<Index> index = parse_index(trimmed(text.substr(0, comma)));
    if (!index) {
      return tl::unexpected(index.error());
    }
    indices.push_back(*index);
    // A comma may follow the last index, as in a tuple.
    text = trimmed(text.substr(std::min(comma + 1, text.size())));
  }
  return indices;
}

/// Elements that a range selects, as CPython's PySlice_AdjustIndices counts them.
struct Selection {
  std::int64_t start;
  std::int64_t step;
  std::int64_t length;
};

Selection select(const Range& range, std::int64_t extent) {
  const std::int64_t step = std::max(range.step.value_or(1), -kMax);
  const std::int64_t lowest = step < 0 ? -1 : 0;
  const std::int64_t highest = step < 0 ? extent - 1 : extent;
  const auto bound = [&](std::optional<std::int64_t> given, std::int64_t missing) {
    if (!given) {
      return missing;
    }
    return std::clamp(*given < 0 ? *given + extent : *given, lowest, highest);
  };
  const std::int64_t start = bound(range.start, step < 0 ? highest : lowest);
  const std::int64_t stop = bound(range.stop, step < 0 ? lowest : highest);
  std::int64_t length = 0;
  if (step < 0 && stop < start) {
    length = (start - stop - 1) / -step + 1;
  } else if (step > 0 && start < stop) {
    length = (stop - start - 1) / step + 1;
  }
  return {start, step, length};
}

/// Takes the axes of a view one after the other and builds the axes of the result.
class Indexer {
 public:
  explicit Indexer(const ArrayView& view) : source_(view), result_{view.dtype, {}, {}, view.data} {}

  shm::Result<ArrayView> apply(const std::vector<Index>& indices) {
    std::size_t used = 0;
    std::size_t ellipses = 0;
    for (const Index& index : indices) {
      used += std::holds_alternative<std::int64_t>(index) || std::holds_alternative<Range>(index);
      ellipses += std::holds_alternative<Ellipsis>(index);
    }
    const std::size_t dims = source_.shape.size();
    if (ellipses > 1) {
      return shm::fail(EINVAL, "an index can only have a single ellipsis ('...')");
    }
    if (used > dims) {
      return shm::fail(EINVAL, "too many indices for array: array is " + std::to_string(dims) +
                                   "-dimensional, but " + std::to_string(used) + " were indexed");
    }
    for (const Index& index : indices) {
      if (std::holds_alternative<Ellipsis>(index)) {
        keep(dims - used);
      } else if (std::holds_alternative<NewAxis>(index)) {
        result_.shape.push_back(1);
        result_.strides_bytes.push_back(0);
      } else {
        const auto* const range = std::get_if<Range>(&index);
        auto done = range != nullptr ? take(*range) : take(std::get<std::int64_t>(index));
        if (!done) {
          return tl::unexpected(done.error());
        }
      }
    }
    keep(dims - axis_);
    if (result_.shape.size() > shm::kMaxDims) {
      return shm::fail(EINVAL,
                       "number of dimensions must be within [0, " + std::to_string(shm::kMaxDims) +
                           "], indexing result would have " + std::to_string(result_.shape.size()));
    }
    return std::move(result_);
  }

 private:
  void keep(std::size_t axes) {
    for (; axes > 0; --axes, ++axis_) {
      result_.shape.push_back(source_.shape[axis_]);
      result_.strides_bytes.push_back(source_.strides_bytes[axis_]);
    }
  }

  shm::Result<void> take(const Range& range) {
    if (range.step == 0) {
      return shm::fail(EINVAL, "slice step cannot be zero");
    }
    const std::int64_t stride = source_.strides_bytes[axis_];
    const Selection selection = select(range, static_cast<std::int64_t>(source_.shape[axis_]));
    result_.shape.push_back(static_cast<std::uint64_t>(selection.length));
    // The product of a step that leaves one element need not fit 64 bits.
    result_.strides_bytes.push_back(selection.length > 1 ? stride * selection.step : stride);
    if (selection.length > 0) {
      move(selection.start);
    }
    ++axis_;
    return {};
  }

  shm::Result<void> take(std::int64_t index) {
    const auto extent = static_cast<std::int64_t>(source_.shape[axis_]);
    if (index < -extent || index >= extent) {
      return shm::fail(ERANGE, "index " + std::to_string(index) + " is out of bounds for axis " +
                                   std::to_string(axis_) + " with size " + std::to_string(extent));
    }
    move(index < 0 ? index + extent : index);
    ++axis_;
    return {};
  }

  /// Nothing to point at in an array without elements, whose strides may be anything.
  void move(std::int64_t index) {
    if (source_.size() > 0) {
      result_.data += index * source_.strides_bytes[axis_];
    }
  }

  const ArrayView& source_;
  ArrayView result_;
  std::size_t axis_ = 0;  ///< of the source, next to be indexed
};

shm::Result<ArrayView> field_of(const ArrayView& view, std::string_view literal) {
  if (view.dtype.kind() != shm::Kind::kStruct) {
    return not_an_index();
  }
  const shm::Result<std::u32string> name = parse_string(literal);
  if (!name) {
    return tl::unexpected(name.error());
  }
  const std::string wanted = to_utf8(*name);
  for (const shm::Field& field : view.dtype.fields()) {
    if (field.name != wanted && (field.title.empty() || field.title != wanted)) {
      continue;
    }
    ArrayView result{field.dtype, view.shape, view.strides_bytes, view.data};
    if (view.size() > 0) {
      result.data += field.offset;
    }
    auto stride = static_cast<std::int64_t>(field.itemsize);
    for (const std::uint64_t extent : field.shape) {
      stride = extent == 0 ? stride : stride / static_cast<std::int64_t>(extent);
      result.shape.push_back(extent);
      result.strides_bytes.push_back(stride);
    }
    return result;
  }
  return shm::fail(EINVAL, "no field of name " + wanted);
}

/// Cuts the first `[...]` off the text; quotes hide brackets.
std::optional<std::string_view> next_bracket(std::string_view* text) {
  if (!text->starts_with('[')) {
    return std::nullopt;
  }
  char quote = 0;
  for (std::size_t at = 1; at < text->size(); ++at) {
    const char character = (*text)[at];
    if (quote != 0) {
      if (character == '\\') {
        ++at;
      } else if (character == quote) {
        quote = 0;
      }
    } else if (character == '\'' || character == '"') {
      quote = character;
    } else if (character == ']') {
      const std::string_view content = text->substr(1, at - 1);
      *text = trimmed(text->substr(at + 1));
      return trimmed(content);
    }
  }
  return std::nullopt;
}

shm::Result<ArrayView> index_once(const ArrayView& view, std::string_view content) {
  if (is_quoted(content)) {
    return field_of(view, content);
  }
  const shm::Result<std::vector<Index>> indices = parse_indices(content);
  return indices ? Indexer(view).apply(*indices) : tl::unexpected(indices.error());
}

}  // namespace

shm::Result<ArrayView> slice(const ArrayView& view, std::string_view text) {
  text = trimmed(text);
  if (!text.starts_with('[')) {
    return index_once(view, text);
  }
  ArrayView result = view;
  while (!text.empty()) {
    const std::optional<std::string_view> content = next_bracket(&text);
    if (!content || content->empty()) {
      return shm::fail(EINVAL, "not an index: '" + std::string(text) + "'");
    }
    shm::Result<ArrayView> part = index_once(result, *content);
    if (!part) {
      return part;
    }
    result = std::move(*part);
  }
  return result;
}

}  // namespace arrayfs
