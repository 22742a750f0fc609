// The letters of pictures: a monospaced font as bitmaps, built in, so that nothing has to be found
// at run time. Constant.
#pragma once

#include <array>
#include <cstddef>

namespace arrayfs {

inline constexpr int kGlyphWidth = 7;
inline constexpr int kGlyphHeight = 14;
inline constexpr std::size_t kGlyphs = 95;
inline constexpr char kFirstGlyph = ' ';

/// A hexadecimal digit a pixel: 0 nothing, f black.
extern const std::array<const char*, kGlyphs> kFont;

}  // namespace arrayfs
