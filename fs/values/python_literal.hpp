// Bytes and strings as Python writes them: repr(), and its reverse.
//
// Source: bytes_repr and unicode_repr in CPython 3.11. Stateless.
#pragma once

#include <cstddef>
#include <shm/error.hpp>
#include <span>
#include <string>
#include <string_view>

namespace arrayfs {

/// repr(bytes): `b'a\x00'`.
[[nodiscard]] std::string bytes_repr(std::span<const std::byte> bytes);
/// repr(str) in UTF-8: `'abc'`. What is no Unicode character stands as U+FFFD, except that lone
/// surrogates are escaped.
[[nodiscard]] std::string unicode_repr(std::u32string_view text);
/// str(str) in UTF-8. What UTF-8 cannot hold stands as U+FFFD.
[[nodiscard]] std::string to_utf8(std::u32string_view text);
/// str(numpy.void): every byte as `\xNN`, `b'\x01\xFF'`.
[[nodiscard]] std::string void_text(std::span<const std::byte> bytes);

/// The content of `'...'`, `"..."`, `b'...'` or of text without quotes, with the escapes of Python
/// resolved inside quotes. Every element is a code point; in `b'...'` a byte.
/// Errors: EINVAL (an open quote, a bad escape, not UTF-8).
[[nodiscard]] shm::Result<std::u32string> parse_string(std::string_view text);

/// str.isprintable of one code point, by the tables of Unicode 14.
[[nodiscard]] bool is_printable(char32_t code_point);

}  // namespace arrayfs
