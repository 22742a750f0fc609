#include "contents.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace stress {

std::uint64_t word(std::uint32_t seed, std::uint64_t index) {
  std::uint64_t mixed = (static_cast<std::uint64_t>(seed) << 32 | 1) * 0x9e3779b97f4a7c15ULL;
  mixed ^= (index + 1) * 0xbf58476d1ce4e5b9ULL;
  mixed ^= mixed >> 29;
  mixed *= 0x94d049bb133111ebULL;
  return static_cast<std::uint64_t>(seed) << 32 | mixed >> 32;
}

bool is_in_place(std::uint64_t value, std::uint64_t index) {
  return value == 0 || value == word(seed_of(value), index);
}

Header header(std::uint64_t words) {
  Header bytes;
  bytes.fill(' ');
  std::memcpy(bytes.data(), "\x93NUMPY\x01\x00\x76\x00", 10);
  char text[100];
  const int size =
      snprintf(text, sizeof text, "{'descr': '<u8', 'fortran_order': False, 'shape': (%llu,), }",
               static_cast<unsigned long long>(words));
  std::memcpy(bytes.data() + 10, text, static_cast<size_t>(size));
  bytes.back() = '\n';
  return bytes;
}

std::optional<std::uint64_t> words_of(const Header& bytes) {
  std::string text(bytes.begin() + 10, bytes.end());
  const size_t at = text.find("'shape': (");
  if (at == std::string::npos) {
    return std::nullopt;
  }
  const std::uint64_t words = std::strtoull(text.c_str() + at + 10, nullptr, 10);
  return bytes == header(words) ? std::optional(words) : std::nullopt;
}

}  // namespace stress
