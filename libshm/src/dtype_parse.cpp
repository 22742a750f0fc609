#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <optional>
#include <set>
#include <shm/dtype.hpp>
#include <shm/npy.hpp>
#include <utility>

#include "dtype_literal.hpp"
#include "utf8.hpp"

namespace shm {

/// The one place that sets the members of a Dtype.
class DtypeBuilder {
 public:
  static Dtype scalar(Kind kind, ByteOrder order, std::uint64_t itemsize) {
    const bool swappable = kind == Kind::kUnicode || (itemsize > 1 && kind != Kind::kBytes &&
                                                      kind != Kind::kVoid && kind != Kind::kObject);
    Dtype dtype;
    dtype.kind_ = kind;
    if (!swappable) {
      dtype.byte_order_ = ByteOrder::kNone;
    } else if (order != ByteOrder::kNone) {
      dtype.byte_order_ = order;
    }
    dtype.itemsize_ = itemsize;
    return dtype;
  }

  static Dtype time(Kind kind, ByteOrder order, std::string unit) {
    Dtype dtype = scalar(kind, order, 8);
    dtype.unit_ = std::move(unit);
    return dtype;
  }

  static Dtype alias(std::string name, std::uint64_t itemsize) {
    Dtype dtype = scalar(Kind::kVoid, ByteOrder::kNone, itemsize);
    dtype.alias_ = std::move(name);
    return dtype;
  }

  static Dtype structure(std::vector<Field> fields, std::uint64_t itemsize) {
    Dtype dtype = scalar(Kind::kVoid, ByteOrder::kNone, itemsize);
    dtype.kind_ = Kind::kStruct;
    dtype.fields_ = std::make_shared<const std::vector<Field>>(std::move(fields));
    return dtype;
  }
};

namespace {

struct Name {
  std::string_view name;
  std::string_view typestr;
};

// What NumPy calls its types besides the type strings: names, C names and one-letter codes.
constexpr Name kNames[] = {
    {"bool", "b1"},        {"bool_", "b1"},     {"bool8", "b1"},
    {"?", "b1"},           {"int8", "i1"},      {"int16", "i2"},
    {"int32", "i4"},       {"int64", "i8"},     {"uint8", "u1"},
    {"uint16", "u2"},      {"uint32", "u4"},    {"uint64", "u8"},
    {"byte", "i1"},        {"short", "i2"},     {"intc", "i4"},
    {"int", "i8"},         {"int_", "i8"},      {"intp", "i8"},
    {"long", "i8"},        {"longlong", "i8"},  {"ubyte", "u1"},
    {"ushort", "u2"},      {"uintc", "u4"},     {"uint", "u8"},
    {"uintp", "u8"},       {"ulong", "u8"},     {"ulonglong", "u8"},
    {"float16", "f2"},     {"float32", "f4"},   {"float64", "f8"},
    {"float128", "f16"},   {"half", "f2"},      {"single", "f4"},
    {"double", "f8"},      {"float", "f8"},     {"float_", "f8"},
    {"longdouble", "f16"}, {"complex64", "c8"}, {"complex128", "c16"},
    {"complex256", "c32"}, {"csingle", "c8"},   {"cdouble", "c16"},
    {"complex", "c16"},    {"complex_", "c16"}, {"clongdouble", "c32"},
    {"object", "O"},       {"object_", "O"},    {"bytes", "S"},
    {"bytes_", "S"},       {"str", "U"},        {"str_", "U"},
    {"void", "V"},         {"b", "i1"},         {"h", "i2"},
    {"i", "i4"},           {"l", "i8"},         {"q", "i8"},
    {"p", "i8"},           {"B", "u1"},         {"H", "u2"},
    {"I", "u4"},           {"L", "u8"},         {"Q", "u8"},
    {"P", "u8"},           {"e", "f2"},         {"f", "f4"},
    {"d", "f8"},           {"g", "f16"},        {"F", "c8"},
    {"D", "c16"},          {"G", "c32"},        {"c", "S1"},
};

constexpr Name kAliases[] = {{"bfloat16", "V2"}, {"float8_e4m3fn", "V1"}, {"float8_e5m2", "V1"}};

constexpr std::string_view kUnits[] = {"Y",  "M",  "W",  "D",  "h",  "m", "s",
                                       "ms", "us", "ns", "ps", "fs", "as"};

template <typename Table>
std::optional<std::string_view> look_up(const Table& table, std::string_view name) {
  const auto found = std::find_if(std::begin(table), std::end(table),
                                  [&](const Name& entry) { return entry.name == name; });
  return found == std::end(table) ? std::nullopt : std::optional(found->typestr);
}

tl::unexpected<Error> not_a_dtype(std::string_view text, const std::string& why = {}) {
  std::string context = "not a dtype: " + python_repr(text.substr(0, 64));
  return fail(EINVAL, why.empty() ? context : context + ", " + why);
}

/// Decimal digits, nothing else.
std::optional<std::uint64_t> parse_count(std::string_view digits) {
  std::uint64_t count = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, count);
  return error == std::errc() && stop == end ? std::optional(count) : std::nullopt;
}

/// Whether NumPy has such a type. `count` is what follows the letter.
bool is_size_of(Kind kind, std::uint64_t count) {
  switch (kind) {
    case Kind::kBool:
      return count == 1;
    case Kind::kInt:
    case Kind::kUint:
      return count == 1 || count == 2 || count == 4 || count == 8;
    case Kind::kFloat:
      return count == 2 || count == 4 || count == 8 || count == 16;
    case Kind::kComplex:
      return count == 8 || count == 16 || count == 32;
    case Kind::kTimedelta:
    case Kind::kDatetime:
    case Kind::kObject:
      return count == 8;
    case Kind::kBytes:
    case Kind::kVoid:
      return count <= kMaxItemsize;
    case Kind::kUnicode:
      return count <= kMaxItemsize / 4;
    case Kind::kStruct:
      break;
  }
  return false;
}

std::optional<Kind> kind_of(char letter) {
  static constexpr std::string_view kLetters = "biufcmMOSUV";
  if (letter == 'a') return Kind::kBytes;  // the name that Numeric gave it
  if (kLetters.find(letter) == std::string_view::npos) return std::nullopt;
  return static_cast<Kind>(letter);
}

/// The unit in `[25s]`, without the brackets and normalised: a multiple of 1 is not written.
std::optional<std::string> parse_unit(std::string_view text) {
  if (text == "generic") return std::string();
  const auto letters = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view unit = text.substr(letters);
  if (std::find(std::begin(kUnits), std::end(kUnits), unit) == std::end(kUnits)) {
    return std::nullopt;
  }
  if (letters == 0) return std::string(unit);
  const auto multiple = parse_count(text.substr(0, letters));
  if (!multiple || *multiple == 0 || *multiple > kMaxItemsize) return std::nullopt;
  return *multiple == 1 ? std::string(unit) : std::to_string(*multiple) + std::string(unit);
}

/// `[ns]`, or nothing for the generic unit.
Result<Dtype> parse_time(std::string_view whole, Kind kind, ByteOrder order,
                         std::string_view metadata) {
  if (metadata.empty()) return DtypeBuilder::time(kind, order, "");
  if (metadata.size() < 2 || metadata.front() != '[' || metadata.back() != ']') {
    return not_a_dtype(whole);
  }
  auto unit = parse_unit(metadata.substr(1, metadata.size() - 2));
  if (!unit) return not_a_dtype(whole, "the time unit is unknown");
  return DtypeBuilder::time(kind, order, std::move(*unit));
}

ByteOrder take_order(std::string_view& text) {
  const char c = text.empty() ? '\0' : text.front();
  if (c != '<' && c != '>' && c != '|' && c != '=') return ByteOrder::kNone;
  text.remove_prefix(1);
  return c == '<' ? ByteOrder::kLittle : c == '>' ? ByteOrder::kBig : ByteOrder::kNone;
}

/// A letter and a count, e.g. `f8`, `S10`, `M8[ns]`.
Result<Dtype> parse_code(std::string_view whole, ByteOrder order, std::string_view code) {
  const auto kind = code.empty() ? std::nullopt : kind_of(code.front());
  if (!kind) return not_a_dtype(whole);
  code.remove_prefix(1);

  const bool is_time = *kind == Kind::kTimedelta || *kind == Kind::kDatetime;
  const auto digits = std::min(code.find_first_not_of("0123456789"), code.size());
  const bool flexible = *kind == Kind::kBytes || *kind == Kind::kUnicode || *kind == Kind::kVoid;
  const std::uint64_t default_count = flexible ? 0 : 8;
  if (digits == 0 && !flexible && !is_time && *kind != Kind::kObject) return not_a_dtype(whole);
  const auto count = digits == 0 ? default_count : parse_count(code.substr(0, digits));
  if (!count || !is_size_of(*kind, *count)) return not_a_dtype(whole, "there is no such size");

  const std::string_view rest = code.substr(digits);
  if (is_time && digits > 0) return parse_time(whole, *kind, order, rest);
  if (!rest.empty()) return not_a_dtype(whole);
  return DtypeBuilder::scalar(*kind, order, *kind == Kind::kUnicode ? *count * 4 : *count);
}

/// A name or a type string.
Result<Dtype> parse_typestr(std::string_view text) {
  if (const auto stored = look_up(kAliases, text)) {
    return DtypeBuilder::alias(std::string(text), *stored == "V2" ? 2 : 1);
  }
  std::string_view code = text;
  const ByteOrder order = take_order(code);
  if (const auto known = look_up(kNames, code)) return parse_code(text, order, *known);
  constexpr std::string_view kDatetime = "datetime64";
  constexpr std::string_view kTimedelta = "timedelta64";
  if (code.starts_with(kDatetime)) {
    return parse_time(text, Kind::kDatetime, order, code.substr(kDatetime.size()));
  }
  if (code.starts_with(kTimedelta)) {
    return parse_time(text, Kind::kTimedelta, order, code.substr(kTimedelta.size()));
  }
  return parse_code(text, order, code);
}

/// A dtype with the sub-array around it, as a field has it.
struct Element {
  Dtype dtype;
  Shape shape;
};

Result<Shape> subarray_shape(const Literal& literal) {
  const bool sequence = literal.is(Literal::Type::kTuple) || literal.is(Literal::Type::kList);
  const auto* begin = sequence ? literal.items.data() : &literal;
  const std::size_t count = sequence ? literal.items.size() : 1;
  if (count > kMaxDims) return fail(EINVAL, "a sub-array with too many axes");
  Shape shape;
  for (std::size_t i = 0; i < count; ++i) {
    const auto extent = extent_from_literal(begin[i]);
    if (!extent) return fail(EINVAL, "sub-array: " + extent.error().context);
    shape.push_back(*extent);
  }
  return shape;
}

Result<Dtype> struct_from_literal(const Literal& list);

Result<Element> element_from_literal(const Literal& descr) {
  if (descr.is(Literal::Type::kString)) {
    auto dtype = parse_typestr(descr.text);
    if (!dtype) return tl::unexpected(std::move(dtype.error()));
    return Element{std::move(*dtype), {}};
  }
  if (descr.is(Literal::Type::kList)) {
    auto dtype = struct_from_literal(descr);
    if (!dtype) return tl::unexpected(std::move(dtype.error()));
    return Element{std::move(*dtype), {}};
  }
  if (!descr.is(Literal::Type::kTuple) || descr.items.size() != 2) {
    return fail(EINVAL, "a dtype must be a string or a list of fields");
  }
  auto element = element_from_literal(descr.items[0]);
  auto outer = subarray_shape(descr.items[1]);
  if (!element) return element;
  if (!outer) return tl::unexpected(std::move(outer.error()));
  element->shape.insert(element->shape.begin(), outer->begin(), outer->end());
  return element;
}

Result<std::uint64_t> subarray_bytes(std::uint64_t itemsize, const Shape& shape) {
  if (shape.size() > kMaxDims) return fail(EINVAL, "a sub-array with too many axes");
  if (std::find(shape.begin(), shape.end(), 0U) != shape.end()) return 0;
  std::uint64_t bytes = itemsize;
  for (const std::uint64_t extent : shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes) || bytes > kMaxItemsize) {
      return fail(EINVAL, "a sub-array beyond 2147483647 bytes");
    }
  }
  return bytes;
}

/// Name and title: `'name'` or `('title', 'name')`.
Result<std::pair<std::string, std::string>> field_name(const Literal& literal) {
  if (literal.is(Literal::Type::kString)) return std::pair(literal.text, std::string());
  if (literal.is(Literal::Type::kTuple) && literal.items.size() == 2) {
    const Literal& title = literal.items[0];
    const Literal& name = literal.items[1];
    const bool titled = title.is(Literal::Type::kString) || title.is(Literal::Type::kNone);
    if (titled && name.is(Literal::Type::kString)) return std::pair(name.text, title.text);
  }
  return fail(EINVAL, "a field's name must be a string");
}

/// The field at `offset`, padding included.
Result<Field> field_from_literal(const Literal& entry, std::uint64_t offset) {
  const bool sequence = entry.is(Literal::Type::kTuple) || entry.is(Literal::Type::kList);
  if (!sequence || entry.items.size() < 2 || entry.items.size() > 3) {
    return fail(EINVAL, "a field must be (name, dtype) or (name, dtype, shape)");
  }
  auto name = field_name(entry.items[0]);
  if (!name) return tl::unexpected(std::move(name.error()));
  auto element = element_from_literal(entry.items[1]);
  if (!element) return tl::unexpected(std::move(element.error()));
  if (entry.items.size() == 3) {
    auto outer = subarray_shape(entry.items[2]);
    if (!outer) return tl::unexpected(std::move(outer.error()));
    element->shape.insert(element->shape.begin(), outer->begin(), outer->end());
  }
  const auto bytes = subarray_bytes(element->dtype.itemsize(), element->shape);
  if (!bytes) return tl::unexpected(bytes.error());
  return Field{.name = std::move(name->first),
               .title = std::move(name->second),
               .dtype = std::move(element->dtype),
               .shape = std::move(element->shape),
               .offset = offset,
               .itemsize = *bytes};
}

/// The rule of descr_to_dtype: a nameless void, and any nameless sub-array, which NumPy takes for
/// one.
bool is_padding(const Field& field) {
  return field.name.empty() && field.title.empty() &&
         (field.dtype.kind() == Kind::kVoid || !field.shape.empty());
}

Result<Dtype> struct_from_literal(const Literal& list) {
  std::vector<Field> fields;
  std::set<std::string, std::less<>> names;
  std::uint64_t offset = 0;
  for (const Literal& entry : list.items) {
    auto field = field_from_literal(entry, offset);
    if (!field) return tl::unexpected(std::move(field.error()));
    offset += field->itemsize;  // both at most kMaxItemsize
    if (offset > kMaxItemsize) return fail(EINVAL, "a struct beyond 2147483647 bytes");
    if (is_padding(*field)) continue;
    if (!names.insert(field->name).second ||
        (!field->title.empty() && !names.insert(field->title).second)) {
      return fail(EINVAL, "two fields have the name " + python_repr(field->name));
    }
    fields.push_back(std::move(*field));
  }
  return DtypeBuilder::structure(std::move(fields), offset);
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

Result<std::uint64_t> extent_from_literal(const Literal& value) {
  if (!value.is(Literal::Type::kInt)) return fail(EINVAL, "an extent is not an integer");
  if (value.negative && (value.magnitude != 0 || value.too_large)) {
    return fail(EINVAL, "an extent is negative");
  }
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.too_large || value.magnitude > kMax) {
    return fail(EOVERFLOW, "an extent does not fit 64 bits");
  }
  return value.magnitude;
}

Result<Dtype> dtype_from_literal(const Literal& descr) {
  auto element = element_from_literal(descr);
  if (!element) return tl::unexpected(std::move(element.error()));
  if (!element->shape.empty()) {
    return fail(EINVAL, "a sub-array is possible in a field only, not as the whole dtype");
  }
  return std::move(element->dtype);
}

Result<Dtype> Dtype::parse(std::string_view text) {
  text = trim(text);
  if (text.size() > kMaxHeaderBytes) return fail(EINVAL, "the dtype is too long for a header");
  if (!utf8::is_valid(text)) return fail(EINVAL, "the dtype is not UTF-8 text");
  if (text.empty() || std::string_view("'\"[({").find(text.front()) == std::string_view::npos) {
    return parse_typestr(text);
  }
  const auto literal = parse_literal(text);
  if (!literal) return tl::unexpected(literal.error());
  return dtype_from_literal(*literal);
}

}  // namespace shm
