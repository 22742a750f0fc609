// The bytes of the files: a header as np.save writes it, then words that tell their places.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace stress {

constexpr size_t kHeaderBytes = 128;
using Header = std::array<char, kHeaderBytes>;

/// The word at `index` of an array with this seed: the seed is its upper half.
std::uint64_t word(std::uint32_t seed, std::uint64_t index);
inline std::uint32_t seed_of(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}
/// Whether a word belongs at `index`, in an array of whatever seed; zeros belong everywhere.
bool is_in_place(std::uint64_t value, std::uint64_t index);

/// What np.save writes before so many words.
Header header(std::uint64_t words);
/// The number of words that a header promises; none when `header` did not make it.
std::optional<std::uint64_t> words_of(const Header& bytes);

/// Where a word is in its file, in bytes.
inline off_t offset_of(std::uint64_t index) {
  return static_cast<off_t>(kHeaderBytes + index * 8);
}

}  // namespace stress
