// Text encodings of .npy headers: UTF-8 (format 3.0) and latin-1 (1.0 and 2.0).
//
// Inside libshm all text is UTF-8. Stateless; nothing here trusts its input: overlong forms,
// surrogates and truncated sequences are invalid.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace shm::utf8 {

/// What decode() returns for a byte sequence that is not UTF-8; no code point has this value.
inline constexpr char32_t kInvalid = 0xffff'ffff;

/// The code point that begins at text[position]; moves `position` behind it (by one if invalid).
/// Requires: position < text.size().
[[nodiscard]] char32_t decode(std::string_view text, std::size_t& position);

[[nodiscard]] bool is_valid(std::string_view text);

/// True for what UTF-8 can carry: at most U+10FFFF and no surrogate.
[[nodiscard]] bool is_scalar_value(char32_t code_point);

/// Requires: is_scalar_value(code_point).
void append(std::string& text, char32_t code_point);

[[nodiscard]] std::string from_latin1(std::string_view latin1);

/// Nothing when a code point lies beyond U+00FF. Requires: is_valid(text).
[[nodiscard]] std::optional<std::string> to_latin1(std::string_view text);

}  // namespace shm::utf8
