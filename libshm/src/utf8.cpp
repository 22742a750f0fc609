#include "utf8.hpp"

namespace shm::utf8 {
namespace {

struct Lead {
  std::size_t continuation_bytes;
  char32_t bits;
  char32_t smallest;  // below it the form is overlong
};

std::optional<Lead> lead(unsigned char byte) {
  if (byte < 0x80) return Lead{0, byte, 0};
  if (byte >= 0xc0 && byte < 0xe0) return Lead{1, byte & 0x1fU, 0x80};
  if (byte >= 0xe0 && byte < 0xf0) return Lead{2, byte & 0x0fU, 0x800};
  if (byte >= 0xf0 && byte < 0xf8) return Lead{3, byte & 0x07U, 0x1'0000};
  return std::nullopt;
}

void push(std::string& text, char32_t byte) {
  text.push_back(static_cast<char>(byte));
}

}  // namespace

char32_t decode(std::string_view text, std::size_t& position) {
  const auto first = lead(static_cast<unsigned char>(text[position++]));
  if (!first || first->continuation_bytes > text.size() - position) return kInvalid;
  char32_t code_point = first->bits;
  for (std::size_t i = 0; i < first->continuation_bytes; ++i) {
    const auto byte = static_cast<unsigned char>(text[position + i]);
    if ((byte & 0xc0U) != 0x80) return kInvalid;
    code_point = code_point << 6U | (byte & 0x3fU);
  }
  if (code_point < first->smallest || !is_scalar_value(code_point)) return kInvalid;
  position += first->continuation_bytes;
  return code_point;
}

bool is_valid(std::string_view text) {
  for (std::size_t position = 0; position < text.size();) {
    if (decode(text, position) == kInvalid) return false;
  }
  return true;
}

bool is_scalar_value(char32_t code_point) {
  return code_point <= 0x10'ffff && (code_point < 0xd800 || code_point > 0xdfff);
}

void append(std::string& text, char32_t code_point) {
  if (code_point < 0x80) {
    push(text, code_point);
  } else if (code_point < 0x800) {
    push(text, 0xc0U | code_point >> 6U);
    push(text, 0x80U | (code_point & 0x3fU));
  } else if (code_point < 0x1'0000) {
    push(text, 0xe0U | code_point >> 12U);
    push(text, 0x80U | (code_point >> 6U & 0x3fU));
    push(text, 0x80U | (code_point & 0x3fU));
  } else {
    push(text, 0xf0U | code_point >> 18U);
    push(text, 0x80U | (code_point >> 12U & 0x3fU));
    push(text, 0x80U | (code_point >> 6U & 0x3fU));
    push(text, 0x80U | (code_point & 0x3fU));
  }
}

std::string from_latin1(std::string_view latin1) {
  std::string text;
  text.reserve(latin1.size());
  for (const char c : latin1) append(text, static_cast<unsigned char>(c));
  return text;
}

std::optional<std::string> to_latin1(std::string_view text) {
  std::string latin1;
  latin1.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) {
    const char32_t code_point = decode(text, position);
    if (code_point > 0xff) return std::nullopt;
    push(latin1, code_point);
  }
  return latin1;
}

}  // namespace shm::utf8
