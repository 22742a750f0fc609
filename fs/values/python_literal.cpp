#include "values/python_literal.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

namespace arrayfs {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
constexpr char32_t kMaxCodePoint = 0x10FFFF;

bool is_surrogate(char32_t code_point) {
  return code_point >= 0xD800 && code_point <= 0xDFFF;
}

void append_utf8(std::string& out, char32_t code_point) {
  const auto tail = [&](unsigned shift) {
    out += static_cast<char>(0x80U | ((code_point >> shift) & 0x3FU));
  };
  if (code_point > kMaxCodePoint || is_surrogate(code_point)) {
    code_point = kReplacement;
  }
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xC0U | (code_point >> 6U));
    tail(0);
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xE0U | (code_point >> 12U));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0U | (code_point >> 18U));
    tail(12);
    tail(6);
    tail(0);
  }
}

void append_hex(std::string& out, std::string_view prefix, std::uint32_t value, int digits,
                std::string_view alphabet = "0123456789abcdef") {
  out += prefix;
  for (int digit = digits - 1; digit >= 0; --digit) {
    out += alphabet[(value >> (4U * static_cast<unsigned>(digit))) & 0xFU];
  }
}

/// The escape that bytes and str share, or nothing.
bool append_escape(std::string& out, char32_t code_point, char quote) {
  switch (code_point) {
    case '\t':
      out += "\\t";
      return true;
    case '\n':
      out += "\\n";
      return true;
    case '\r':
      out += "\\r";
      return true;
    case '\\':
      out += "\\\\";
      return true;
    default:
      break;
  }
  if (code_point == static_cast<char32_t>(quote)) {
    out += '\\';
    out += quote;
    return true;
  }
  if (code_point < 0x20 || code_point == 0x7F) {
    append_hex(out, "\\x", code_point, 2);
    return true;
  }
  return false;
}

/// Single quotes, unless that needs an escape which double quotes do not.
template <typename Text>
char quote_for(const Text& text) {
  using Element = typename Text::value_type;
  const auto contains = [&](char wanted) {
    return std::find(text.begin(), text.end(), static_cast<Element>(wanted)) != text.end();
  };
  return contains('\'') && !contains('"') ? '"' : '\'';
}

/// The code point that begins at `*at`, which moves behind it.
std::optional<char32_t> decode_utf8(std::string_view text, std::size_t* at) {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned lead = byte((*at)++);
  if (lead < 0x80) {
    return lead;
  }
  const int tail = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  constexpr char32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
  if (lead < 0xC2 || lead > 0xF4) {
    return std::nullopt;
  }
  char32_t code_point = lead & (0x3FU >> static_cast<unsigned>(tail));
  for (int index = 0; index < tail; ++index) {
    if (*at == text.size() || (byte(*at) & 0xC0U) != 0x80U) {
      return std::nullopt;
    }
    code_point = (code_point << 6U) | (byte((*at)++) & 0x3FU);
  }
  if (code_point < kSmallest[tail] || code_point > kMaxCodePoint || is_surrogate(code_point)) {
    return std::nullopt;
  }
  return code_point;
}

/// The character that an escape stands for; `*at` is behind the backslash and moves behind it.
std::optional<char32_t> decode_escape(std::string_view text, std::size_t* at) {
  const char kind = text[(*at)++];
  std::size_t digits = 0;
  switch (kind) {
    case 'n':
      return U'\n';
    case 't':
      return U'\t';
    case 'r':
      return U'\r';
    case '0':
      return U'\0';
    case '\\':
    case '\'':
    case '"':
      return static_cast<char32_t>(kind);
    case 'x':
      digits = 2;
      break;
    case 'u':
      digits = 4;
      break;
    case 'U':
      digits = 8;
      break;
    default:
      return std::nullopt;
  }
  const std::string_view number = text.substr(*at, digits);
  std::uint32_t value = 0;
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), value, 16);
  if (error != std::errc() || end != number.data() + digits || value > kMaxCodePoint) {
    return std::nullopt;
  }
  *at += digits;
  return value;
}

}  // namespace

std::string bytes_repr(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const char quote = quote_for(text);
  std::string out = "b";
  out += quote;
  for (const char character : text) {
    const auto value = static_cast<unsigned char>(character);
    if (append_escape(out, value, quote)) {
      continue;
    }
    if (value < 0x80) {
      out += character;
    } else {
      append_hex(out, "\\x", value, 2);
    }
  }
  out += quote;
  return out;
}

std::string unicode_repr(std::u32string_view text) {
  const char quote = quote_for(text);
  std::string out(1, quote);
  for (const char32_t code_point : text) {
    if (append_escape(out, code_point, quote)) {
      continue;
    }
    if (code_point > kMaxCodePoint || is_printable(code_point)) {
      append_utf8(out, code_point);
    } else if (code_point <= 0xFF) {
      append_hex(out, "\\x", code_point, 2);
    } else if (code_point <= 0xFFFF) {
      append_hex(out, "\\u", code_point, 4);
    } else {
      append_hex(out, "\\U", code_point, 8);
    }
  }
  out += quote;
  return out;
}

std::string to_utf8(std::u32string_view text) {
  std::string out;
  for (const char32_t code_point : text) {
    append_utf8(out, code_point);
  }
  return out;
}

std::string void_text(std::span<const std::byte> bytes) {
  std::string out = "b'";
  for (const std::byte byte : bytes) {
    append_hex(out, "\\x", std::to_integer<std::uint32_t>(byte), 2, "0123456789ABCDEF");
  }
  out += '\'';
  return out;
}

shm::Result<std::u32string> parse_string(std::string_view text) {
  const bool is_bytes = text.starts_with("b'") || text.starts_with("b\"");
  std::string_view content = is_bytes ? text.substr(1) : text;
  char quote = 0;
  if (content.starts_with('\'') || content.starts_with('"')) {
    quote = content.front();
    if (content.size() < 2 || content.back() != quote) {
      return shm::fail(EINVAL, "unterminated string literal");
    }
    content = content.substr(1, content.size() - 2);
  }
  std::u32string result;
  std::size_t at = 0;
  while (at < content.size()) {
    std::optional<char32_t> code_point;
    if (quote != 0 && content[at] == '\\') {
      ++at;
      code_point = at < content.size() ? decode_escape(content, &at) : std::nullopt;
      if (!code_point) {
        return shm::fail(EINVAL, "bad escape in the string literal");
      }
    } else if (quote != 0 && content[at] == quote) {
      return shm::fail(EINVAL, "a quote inside the string literal needs a backslash");
    } else if (code_point = decode_utf8(content, &at); !code_point) {
      return shm::fail(EINVAL, "the text is not UTF-8");
    }
    if (is_bytes && *code_point > 0xFF) {
      return shm::fail(EINVAL, "bytes can only contain ASCII literal characters");
    }
    result += *code_point;
  }
  return result;
}

}  // namespace arrayfs
