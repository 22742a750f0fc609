#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <limits>
#include <optional>
#include <shm/npy.hpp>
#include <shm/posix.hpp>
#include <string_view>

#include "dtype_literal.hpp"
#include "literal.hpp"
#include "utf8.hpp"

namespace shm {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMagicBytes = 8;  // with the two bytes of the version
constexpr std::uint64_t kMaxAlign = 8192;
constexpr std::size_t kGrowthDigits = 21;  // numpy.lib.format.GROWTH_AXIS_MAX_DIGITS
constexpr auto kMaxInt64 = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

struct Version {
  unsigned char major;
  std::size_t length_bytes;  // of the field with the header's length
};

constexpr Version kVersion1{1, 2};
constexpr Version kVersion3{3, 4};

struct RawHeader {
  Version version;
  std::string_view text;
  std::uint64_t data_offset;
};

bool has_zero(const Shape& shape) {
  return std::find(shape.begin(), shape.end(), 0U) != shape.end();
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<Version> parse_magic(std::string_view prefix) {
  if (!prefix.starts_with(kMagic)) return fail(EINVAL, "not a .npy file: it lacks NumPy's magic");
  if (prefix.size() < kMagicBytes) return fail(EINVAL, "the .npy file ends within its magic");
  const auto major = static_cast<unsigned char>(prefix[6]);
  const auto minor = static_cast<unsigned char>(prefix[7]);
  if (major < 1 || major > 3 || minor != 0) {
    return fail(EINVAL,
                "unknown .npy version " + std::to_string(major) + "." + std::to_string(minor));
  }
  return Version{major, major == 1 ? 2U : 4U};
}

Result<RawHeader> find_header(std::string_view prefix) {
  const auto version = parse_magic(prefix);
  if (!version) return tl::unexpected(version.error());
  const std::size_t begin = kMagicBytes + version->length_bytes;
  if (prefix.size() < begin) {
    return fail(EINVAL, "the .npy file ends within the length of its header");
  }
  std::uint64_t length = 0;
  for (std::size_t i = begin; i-- > kMagicBytes;) {
    length = length << 8U | static_cast<unsigned char>(prefix[i]);
  }
  if (length > kMaxHeaderBytes) {
    return fail(EINVAL, "a header of " + std::to_string(length) +
                            " bytes; NumPy and arrayfs read " + std::to_string(kMaxHeaderBytes) +
                            " at most");
  }
  if (prefix.size() - begin < length) {
    return fail(EINVAL, "the .npy file ends within its header");
  }
  return RawHeader{*version, prefix.substr(begin, length), begin + length};
}

Result<Literal> parse_header_text(const RawHeader& header) {
  const bool latin1 = header.version.major < 3;
  auto literal = latin1 ? parse_literal(utf8::from_latin1(header.text), LongSuffix::kAllowed)
                        : parse_literal(header.text);
  if (!literal) return literal;
  if (!literal->is(Literal::Type::kDict)) return fail(EINVAL, "the .npy header is not a dict");
  return literal;
}

struct HeaderValues {
  const Literal* descr = nullptr;
  const Literal* fortran_order = nullptr;
  const Literal* shape = nullptr;
};

Result<HeaderValues> pick_values(const Literal& dict) {
  HeaderValues values;
  for (std::size_t i = 0; i < dict.items.size(); i += 2) {
    const Literal& key = dict.items[i];
    const Literal** slot = nullptr;
    if (key.is(Literal::Type::kString)) {
      if (key.text == "descr") slot = &values.descr;
      if (key.text == "fortran_order") slot = &values.fortran_order;
      if (key.text == "shape") slot = &values.shape;
    }
    if (slot == nullptr) return fail(EINVAL, "the .npy header has an unknown key");
    if (*slot != nullptr) return fail(EINVAL, "the .npy header has the key " + key.text + " twice");
    *slot = &dict.items[i + 1];
  }
  if (values.descr == nullptr) return fail(EINVAL, "the .npy header lacks the key descr");
  if (values.fortran_order == nullptr) {
    return fail(EINVAL, "the .npy header lacks the key fortran_order");
  }
  if (values.shape == nullptr) return fail(EINVAL, "the .npy header lacks the key shape");
  return values;
}

Result<Shape> shape_from_literal(const Literal& literal) {
  if (!literal.is(Literal::Type::kTuple)) return fail(EINVAL, "the shape is not a tuple");
  if (literal.items.size() > kMaxDims) return fail(EINVAL, "the shape has too many axes");
  Shape shape;
  for (const Literal& item : literal.items) {
    const auto extent = extent_from_literal(item);
    if (!extent) return fail(extent.error().code, "shape: " + extent.error().context);
    shape.push_back(*extent);
  }
  return shape;
}

Result<Layout> layout_from_dict(const Literal& dict) {
  const auto values = pick_values(dict);
  if (!values) return tl::unexpected(values.error());
  if (!values->fortran_order->is(Literal::Type::kBool)) {
    return fail(EINVAL, "fortran_order is neither True nor False");
  }
  auto shape = shape_from_literal(*values->shape);
  if (!shape) return tl::unexpected(std::move(shape.error()));
  auto dtype = dtype_from_literal(*values->descr);
  if (!dtype) return tl::unexpected(std::move(dtype.error()));
  if (dtype->is_alias()) {
    return fail(EINVAL,
                "NumPy has no dtype " + dtype->name() + "; it is stored as " + dtype->descr());
  }
  if (auto fits = check_shape(*dtype, *shape); !fits) return tl::unexpected(fits.error());
  return Layout{.dtype = std::move(*dtype),
                .shape = std::move(*shape),
                .order = values->fortran_order->truth ? Order::kFortran : Order::kC};
}

/// The bytes of a header before its padding, the newline included.
std::uint64_t unpadded_bytes(Version version, std::string_view text) {
  return kMagicBytes + version.length_bytes + text.size() + 1;
}

/// The magic, the length, the text, the padding and a newline.
std::string wrap_header(Version version, std::string_view text, std::uint64_t padding) {
  std::uint64_t length = text.size() + 1 + padding;

  std::string out(kMagic);
  out.push_back(static_cast<char>(version.major));
  out.push_back('\0');
  for (std::size_t i = 0; i < version.length_bytes; ++i, length >>= 8U) {
    out.push_back(static_cast<char>(length & 0xffU));
  }
  out += text;
  out.append(padding, ' ');
  out.push_back('\n');
  return out;
}

std::string header_dict(const Dtype& dtype, const Shape& shape, Order order) {
  return "{'descr': " + dtype.descr() +
         ", 'fortran_order': " + (order == Order::kFortran ? "True" : "False") +
         ", 'shape': " + python_tuple(shape) + ", }";
}

/// The dict, and the room that NumPy leaves for the growing axis to become longer.
std::string header_text(const Dtype& dtype, const Shape& shape, Order order) {
  const bool fortran = order == Order::kFortran;
  std::string text = header_dict(dtype, shape, order);
  if (!shape.empty()) {
    const std::uint64_t growing = fortran ? shape.back() : shape.front();
    text.append(kGrowthDigits - std::to_string(growing).size(), ' ');
  }
  return text;
}

std::string_view strip(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::uint64_t Layout::size() const {
  std::uint64_t count = 1;
  if (has_zero(shape)) return 0;  // the other extents alone may not fit
  for (const std::uint64_t extent : shape) count *= extent;
  return count;
}

std::vector<std::uint64_t> Layout::strides() const {
  std::vector<std::uint64_t> strides(shape.size(), 0);
  if (has_zero(shape)) return strides;
  std::uint64_t stride = dtype.itemsize();
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::size_t axis = order == Order::kFortran ? i : shape.size() - 1 - i;
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

std::string Layout::shape_text() const {
  return python_tuple(shape);
}

Result<void> check_shape(const Dtype& dtype, const Shape& shape) {
  if (shape.size() > kMaxDims) {
    return fail(EINVAL, "the shape has " + std::to_string(shape.size()) + " axes, more than " +
                            std::to_string(kMaxDims));
  }
  // Empty axes are left out, as in NumPy: (0, 2**62, 2**62) has no strides either.
  std::uint64_t count = 1;
  std::uint64_t bytes = dtype.itemsize();
  for (const std::uint64_t extent : shape) {
    if (extent == 0) continue;
    if (__builtin_mul_overflow(count, extent, &count) || count > kMaxInt64 ||
        __builtin_mul_overflow(bytes, extent, &bytes) || bytes > kMaxInt64) {
      return fail(EOVERFLOW, "the array " + python_tuple(shape) + " does not fit 64 bits");
    }
  }
  return {};
}

Result<Layout> parse_npy(std::span<const std::byte> prefix, std::uint64_t file_size_bytes) {
  const std::uint64_t bytes_there = std::min<std::uint64_t>(prefix.size(), file_size_bytes);
  const auto header = find_header(as_text(prefix.first(static_cast<std::size_t>(bytes_there))));
  if (!header) return tl::unexpected(header.error());
  const auto dict = parse_header_text(*header);
  if (!dict) return tl::unexpected(dict.error());
  auto layout = layout_from_dict(*dict);
  if (!layout) return layout;
  layout->data_offset = header->data_offset;
  const std::uint64_t available = file_size_bytes - header->data_offset;
  if (!layout->dtype.is_object() && layout->nbytes() > available) {
    return fail(EINVAL, "the file ends too early: the header promises " +
                            std::to_string(layout->nbytes()) + " bytes of data, there are " +
                            std::to_string(available));
  }
  return layout;
}

Result<Layout> read_npy(int fd) {
  const auto status = posix::stat_fd(fd);
  if (!status) return tl::unexpected(status.error());
  if (S_ISDIR(status->st_mode)) return fail(EISDIR);
  if (!S_ISREG(status->st_mode)) return fail(EINVAL, "not a regular file");
  std::array<std::byte, kMaxPrefixBytes> buffer;
  const auto count = posix::pread_full(fd, buffer, 0);
  if (!count) return tl::unexpected(count.error());
  return parse_npy(std::span(buffer).first(*count), static_cast<std::uint64_t>(status->st_size));
}

Result<std::string> npy_header(const Dtype& dtype, const Shape& shape, Order order,
                               std::uint64_t align) {
  if (align < kArrayAlign || align > kMaxAlign || !std::has_single_bit(align)) {
    return fail(EINVAL, "the alignment must be a power of two from 64 to 8192");
  }
  if (dtype.is_object()) {
    return fail(EINVAL, "object arrays hold pickled Python objects, which arrayfs does not make");
  }
  if (auto fits = check_shape(dtype, shape); !fits) return tl::unexpected(fits.error());
  const std::string text = header_text(dtype, shape, order);
  const auto latin1 = utf8::to_latin1(text);
  const Version version = latin1 ? kVersion1 : kVersion3;
  const std::string& encoded = latin1 ? *latin1 : text;
  // As numpy.lib.format._wrap_header: a whole `align` when nothing is missing.
  const std::uint64_t padding = align - unpadded_bytes(version, encoded) % align;
  std::string header = wrap_header(version, encoded, padding);
  if (header.size() - kMagicBytes - version.length_bytes > kMaxHeaderBytes) {
    return fail(EINVAL, "the header would be longer than the " + std::to_string(kMaxHeaderBytes) +
                            " bytes that NumPy reads");
  }
  return header;
}

Result<std::string> npy_header_at(const Dtype& dtype, const Shape& shape, Order order,
                                  std::uint64_t data_offset) {
  if (dtype.is_object()) return fail(EINVAL, "object arrays hold pickled Python objects");
  if (auto fits = check_shape(dtype, shape); !fits) return tl::unexpected(fits.error());
  const std::string text = header_dict(dtype, shape, order);
  const auto latin1 = utf8::to_latin1(text);
  const Version version = latin1 ? kVersion1 : kVersion3;
  const std::string& encoded = latin1 ? *latin1 : text;
  const std::uint64_t needed = unpadded_bytes(version, encoded);
  if (needed > data_offset || data_offset - kMagicBytes - version.length_bytes > kMaxHeaderBytes) {
    return fail(EOVERFLOW, "the header of " + python_tuple(shape) + " does not fit before byte " +
                               std::to_string(data_offset));
  }
  return wrap_header(version, encoded, data_offset - needed);
}

Result<Shape> parse_shape(std::string_view text) {
  const auto refuse = [shown = python_repr(utf8::is_valid(text) ? text.substr(0, 64) : "")] {
    return fail(EINVAL, "not a shape: " + shown + "; write it as 3,4 or (3, 4)");
  };
  text = strip(text);
  if (text.starts_with('(') != text.ends_with(')')) return refuse();
  if (text.starts_with('(')) text = strip(text.substr(1, text.size() - 2));
  Shape shape;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view digits = strip(text.substr(0, comma));
    std::uint64_t extent = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, extent);
    if (error != std::errc() || stop != end || extent > kMaxInt64) return refuse();
    if (shape.size() == kMaxDims) return refuse();
    shape.push_back(extent);
    text = comma == std::string_view::npos ? std::string_view() : strip(text.substr(comma + 1));
  }
  return shape;
}

}  // namespace shm
