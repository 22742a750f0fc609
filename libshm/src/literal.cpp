#include "literal.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <optional>

#include "utf8.hpp"

namespace shm {
namespace {

constexpr char kEnd = '\0';

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_quote(char c) {
  return c == '\'' || c == '"';
}

std::optional<unsigned> digit_value(char c, unsigned base) {
  unsigned value = base;
  if (is_digit(c)) value = static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') value = static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') value = static_cast<unsigned>(c - 'A') + 10;
  return value < base ? std::optional(value) : std::nullopt;
}

struct StringPrefix {
  bool bytes = false;
  bool raw = false;
};

std::optional<StringPrefix> string_prefix(std::string_view word) {
  std::string lower(word.substr(0, 3));
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (lower.empty() || lower == "u") return StringPrefix{};
  if (lower == "r") return StringPrefix{.raw = true};
  if (lower == "b") return StringPrefix{.bytes = true};
  if (lower == "br" || lower == "rb") return StringPrefix{.bytes = true, .raw = true};
  return std::nullopt;
}

/// Integer and float tokens, without sign and without Python 2's suffix.
std::optional<Literal> parse_number(std::string_view token) {
  unsigned base = 10;
  std::string_view digits = token;
  if (token.size() > 1 && token[0] == '0') {
    const char marker = static_cast<char>(token[1] | 0x20);
    if (marker == 'x') base = 16;
    if (marker == 'o') base = 8;
    if (marker == 'b') base = 2;
    if (base != 10) digits.remove_prefix(2);
  }

  Literal number{.type = Literal::Type::kInt};
  bool integer = !digits.empty();
  bool after_digit = base != 10;  // an underscore may follow a digit or `0x`
  for (const char c : digits) {
    if (c == '_' && after_digit) {
      after_digit = false;
      continue;
    }
    const auto value = digit_value(c, base);
    if (!value) {
      integer = false;
      break;
    }
    after_digit = true;
    if (__builtin_mul_overflow(number.magnitude, base, &number.magnitude) ||
        __builtin_add_overflow(number.magnitude, *value, &number.magnitude)) {
      number.too_large = true;
    }
  }
  if (integer && after_digit) {
    // `010` was octal in Python 2 and is an error in Python 3.
    const bool leading_zero =
        base == 10 && digits[0] == '0' && digits.find_first_not_of("0_") != std::string_view::npos;
    return leading_zero ? std::nullopt : std::optional(std::move(number));
  }

  double ignored = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), ignored);
  if (error == std::errc::invalid_argument || end != token.data() + token.size()) {
    return std::nullopt;
  }
  return Literal{.type = Literal::Type::kFloat};
}

class LiteralParser {
 public:
  LiteralParser(std::string_view text, LongSuffix suffix) : text_(text), suffix_(suffix) {}

  Result<Literal> parse() {
    auto value = parse_value(0);
    if (!value) return value;
    skip_space();
    if (!at_end()) return error("text after the value");
    return value;
  }

 private:
  [[nodiscard]] bool at_end() const { return position_ >= text_.size(); }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return ahead < text_.size() - position_ ? text_[position_ + ahead] : kEnd;
  }
  bool take(char wanted) {
    if (at_end() || peek() != wanted) return false;
    ++position_;
    return true;
  }

  [[nodiscard]] tl::unexpected<Error> error(const std::string& what) const {
    return fail(EINVAL,
                "not a Python literal: " + what + " at character " + std::to_string(position_ + 1));
  }

  void skip_space() {
    while (!at_end()) {
      const char c = peek();
      if (c == '#') {
        position_ = std::min(text_.find_first_of("\r\n", position_), text_.size());
      } else if (c == '\\' && peek(1) == '\n') {
        position_ += 2;
      } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
        ++position_;
      } else {
        return;
      }
    }
  }

  std::string_view word() const {
    std::size_t size = 0;
    while (is_word(peek(size))) ++size;
    return text_.substr(position_, size);
  }

  Result<Literal> parse_value(int depth) {
    skip_space();
    if (at_end()) return error("the text ends too early");
    const char c = peek();
    if (c == '(' || c == '[' || c == '{') {
      if (depth == kMaxLiteralDepth) return error("nested too deeply");
      ++position_;
      if (c == '(') return parse_parentheses(depth + 1);
      if (c == '[') return parse_list(depth + 1);
      return parse_dict(depth + 1);
    }
    if (is_digit(c) || c == '.' || c == '+' || c == '-') return parse_signed_number();
    if (string_starts_here()) return parse_strings();
    if (is_word(c)) return parse_word();
    return error("unexpected character");
  }

  /// Items up to `close`; tells whether the last one was followed by a comma.
  Result<bool> parse_items(char close, int depth, std::vector<Literal>& items) {
    bool comma = false;
    for (;;) {
      skip_space();
      if (take(close)) return comma;
      if (!items.empty() && !comma) return error(std::string("expected ',' or '") + close + "'");
      auto item = parse_value(depth);
      if (!item) return tl::unexpected(std::move(item.error()));
      items.push_back(std::move(*item));
      skip_space();
      comma = take(',');
    }
  }

  /// `()`, `(1,)` and `(1, 2)` are tuples; `(1)` is the value in parentheses.
  Result<Literal> parse_parentheses(int depth) {
    Literal tuple{.type = Literal::Type::kTuple};
    const auto comma = parse_items(')', depth, tuple.items);
    if (!comma) return tl::unexpected(comma.error());
    if (tuple.items.size() != 1 || *comma) return tuple;
    Literal only = std::move(tuple.items.front());
    return only;
  }

  Result<Literal> parse_list(int depth) {
    Literal list{.type = Literal::Type::kList};
    const auto comma = parse_items(']', depth, list.items);
    if (!comma) return tl::unexpected(comma.error());
    return list;
  }

  Result<Literal> parse_dict(int depth) {
    Literal dict{.type = Literal::Type::kDict};
    for (bool comma = true;;) {
      skip_space();
      if (take('}')) return dict;
      if (!comma) return error("expected ',' or '}'");
      auto key = parse_value(depth);
      if (!key) return key;
      skip_space();
      if (!take(':')) return error("expected ':'");
      auto value = parse_value(depth);
      if (!value) return value;
      dict.items.push_back(std::move(*key));
      dict.items.push_back(std::move(*value));
      skip_space();
      comma = take(',');
    }
  }

  Result<Literal> parse_word() {
    const std::string_view name = word();
    Literal value;
    if (name == "True" || name == "False") {
      value.type = Literal::Type::kBool;
      value.truth = name == "True";
    } else if (name != "None") {
      return error("the name " + std::string(name.substr(0, 32)));
    }
    position_ += name.size();
    return value;
  }

  std::string_view number_token() const {
    const bool decimal = peek() != '0' || (peek(1) | 0x20) != 'x';
    std::size_t size = 0;
    for (;; ++size) {
      const char c = peek(size);
      const bool exponent_sign =
          decimal && size > 0 && (c == '+' || c == '-') && (peek(size - 1) | 0x20) == 'e';
      if (!is_word(c) && c != '.' && !exponent_sign) return text_.substr(position_, size);
    }
  }

  Result<Literal> parse_signed_number() {
    const bool negative = peek() == '-';
    if (negative || peek() == '+') {
      ++position_;
      skip_space();
    }
    const std::string_view token = number_token();
    std::string_view digits = token;
    if (suffix_ == LongSuffix::kAllowed && digits.ends_with('L')) digits.remove_suffix(1);
    auto number = parse_number(digits);
    if (!number) return error("not a number");
    if (digits.size() != token.size() && !number->is(Literal::Type::kInt)) {
      return error("not a number");
    }
    number->negative = negative;
    position_ += token.size();
    return std::move(*number);
  }

  bool string_starts_here() const {
    const std::string_view prefix = word();
    return is_quote(peek(prefix.size())) && string_prefix(prefix).has_value();
  }

  /// One string, or several side by side, which Python joins.
  Result<Literal> parse_strings() {
    Literal joined{.type = Literal::Type::kNone};
    do {
      const std::string_view letters = word();
      const StringPrefix prefix = string_prefix(letters).value_or(StringPrefix{});
      const auto type = prefix.bytes ? Literal::Type::kBytes : Literal::Type::kString;
      if (!joined.is(Literal::Type::kNone) && !joined.is(type)) {
        return error("bytes beside a string");
      }
      joined.type = type;
      position_ += letters.size();
      if (auto part = parse_string(prefix, joined.text); !part) {
        return tl::unexpected(std::move(part.error()));
      }
      skip_space();
    } while (string_starts_here());
    return joined;
  }

  Result<void> parse_string(StringPrefix prefix, std::string& out) {
    const char quote = peek();
    const bool triple = peek(1) == quote && peek(2) == quote;
    const std::string closing(triple ? 3 : 1, quote);
    position_ += closing.size();
    for (;;) {
      if (text_.substr(position_, closing.size()) == closing) break;
      const char c = peek();
      const bool line_end = c == '\n' || c == '\r';
      if (at_end() || c == '\0' || (line_end && !triple)) return error("a string without end");
      if (prefix.bytes && static_cast<unsigned char>(c) > 0x7f) return error("non-ASCII in bytes");
      if (c != '\\') {
        out.push_back(c);
        ++position_;
      } else if (prefix.raw) {
        parse_raw_backslash(out);
      } else if (auto escape = parse_escape(prefix.bytes, out); !escape) {
        return escape;
      }
    }
    position_ += closing.size();
    return {};
  }

  /// In a raw string a backslash stays and so does the quote behind it.
  void parse_raw_backslash(std::string& out) {
    out.push_back('\\');
    ++position_;
    if (is_quote(peek()) || peek() == '\\') {
      out.push_back(peek());
      ++position_;
    }
  }

  Result<void> parse_escape(bool bytes, std::string& out) {
    static constexpr std::string_view kLetters = "\\'\"abfnrtv";
    static constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
    ++position_;
    const char c = peek();
    if (const auto letter = kLetters.find(c); letter != std::string_view::npos) {
      out.push_back(kMeanings[letter]);
      ++position_;
      return {};
    }
    if (c == '\n') {
      ++position_;
      return {};
    }
    if (digit_value(c, 8)) return parse_octal(bytes, out);
    if (c == 'x') return parse_hex(2, bytes, out);
    if (!bytes && c == 'u') return parse_hex(4, bytes, out);
    if (!bytes && c == 'U') return parse_hex(8, bytes, out);
    if (!bytes && c == 'N') return error("a character by its name");
    out.push_back('\\');  // as in Python, an unknown escape stays as it is
    return {};
  }

  Result<void> parse_octal(bool bytes, std::string& out) {
    char32_t value = 0;
    for (int i = 0; i < 3; ++i) {
      const auto digit = digit_value(peek(), 8);
      if (!digit) break;
      value = value * 8 + *digit;
      ++position_;
    }
    return put(bytes ? value & 0xffU : value, bytes, out);
  }

  Result<void> parse_hex(int digits, bool bytes, std::string& out) {
    ++position_;
    char32_t value = 0;
    for (int i = 0; i < digits; ++i) {
      const auto digit = digit_value(peek(), 16);
      if (!digit) return error("a truncated escape");
      value = value * 16 + *digit;
      ++position_;
    }
    return put(value, bytes, out);
  }

  Result<void> put(char32_t value, bool bytes, std::string& out) const {
    if (bytes) {
      out.push_back(static_cast<char>(value));
    } else if (utf8::is_scalar_value(value)) {
      utf8::append(out, value);
    } else {
      return error("an escape that is no character");
    }
    return {};
  }

  std::string_view text_;
  LongSuffix suffix_;
  std::size_t position_ = 0;
};

struct Range {
  char32_t first, last;
};

// Beyond ASCII, what str.isprintable() denies: categories Cc, Cf, Zs, Zl, Zp, Co of Unicode 14.
// Python also escapes code points without a character; which ones depends on its Unicode version,
// and reading gives the same name either way.
constexpr Range kUnprintable[] = {
    {0x7f, 0xa0},       {0xad, 0xad},       {0x600, 0x605},       {0x61c, 0x61c},
    {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},       {0x8e2, 0x8e2},
    {0x1680, 0x1680},   {0x180e, 0x180e},   {0x2000, 0x200f},     {0x2028, 0x202f},
    {0x205f, 0x2064},   {0x2066, 0x206f},   {0x3000, 0x3000},     {0xd800, 0xf8ff},
    {0xfeff, 0xfeff},   {0xfff9, 0xfffb},   {0x110bd, 0x110bd},   {0x110cd, 0x110cd},
    {0x13430, 0x13438}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},   {0xe0001, 0xe0001},
    {0xe0020, 0xe007f}, {0xf0000, 0xffffd}, {0x100000, 0x10fffd},
};

bool is_printable(char32_t code_point) {
  if (code_point < 0x20) return false;
  return std::none_of(std::begin(kUnprintable), std::end(kUnprintable), [&](const Range& range) {
    return code_point >= range.first && code_point <= range.last;
  });
}

void append_escape(std::string& out, char letter, int digits, char32_t value) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  out.push_back('\\');
  out.push_back(letter);
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out.push_back(kHex[value >> static_cast<unsigned>(shift) & 0xfU]);
  }
}

void append_escape(std::string& out, char32_t code_point) {
  if (code_point == '\t') {
    out += "\\t";
  } else if (code_point == '\n') {
    out += "\\n";
  } else if (code_point == '\r') {
    out += "\\r";
  } else if (code_point <= 0xff) {
    append_escape(out, 'x', 2, code_point);
  } else if (code_point <= 0xffff) {
    append_escape(out, 'u', 4, code_point);
  } else {
    append_escape(out, 'U', 8, code_point);
  }
}

}  // namespace

Result<Literal> parse_literal(std::string_view text, LongSuffix suffix) {
  if (!utf8::is_valid(text)) return fail(EINVAL, "not UTF-8 text");
  return LiteralParser(text, suffix).parse();
}

std::string python_repr(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t position = 0; position < text.size();) {
    const char32_t code_point = utf8::decode(text, position);
    if (code_point == static_cast<unsigned char>(quote) || code_point == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(code_point));
    } else if (is_printable(code_point)) {
      utf8::append(out, code_point);
    } else {
      append_escape(out, code_point);
    }
  }
  out.push_back(quote);
  return out;
}

std::string python_tuple(const std::vector<std::uint64_t>& integers) {
  std::string out = "(";
  for (const std::uint64_t integer : integers) {
    if (out.size() > 1) out += ", ";
    out += std::to_string(integer);
  }
  return out + (integers.size() == 1 ? ",)" : ")");
}

}  // namespace shm
