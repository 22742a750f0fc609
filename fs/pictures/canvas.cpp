#include "canvas.hpp"

#include <png.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "font.hpp"

namespace arrayfs {
namespace {

static_assert(sizeof(Colour) == 4, "rows of pixels are handed to libpng");

double blackness(char digit) {
  return (digit <= '9' ? digit - '0' : digit - 'a' + 10) / 15.0;
}

}  // namespace

Canvas::Canvas(int width, int height, Colour background)
    : width_(width),
      height_(height),
      pixels_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), background) {}

void Canvas::set(int x, int y, Colour colour) {
  if (contains(x, y)) {
    pixels_[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
            static_cast<std::size_t>(x)] = colour;
  }
}

void Canvas::blend(int x, int y, Colour colour, double cover) {
  if (!contains(x, y) || cover <= 0) {
    return;
  }
  Colour& pixel = pixels_[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
                          static_cast<std::size_t>(x)];
  const auto mix = [cover](std::uint8_t below, std::uint8_t above) {
    return static_cast<std::uint8_t>(std::lround(below + (above - below) * std::min(1.0, cover)));
  };
  pixel = {mix(pixel.red, colour.red), mix(pixel.green, colour.green),
           mix(pixel.blue, colour.blue)};
}

void Canvas::fill(int x, int y, int width, int height, Colour colour) {
  for (int row = std::max(0, y); row < std::min(height_, y + height); ++row) {
    for (int column = std::max(0, x); column < std::min(width_, x + width); ++column) {
      set(column, row, colour);
    }
  }
}

void Canvas::frame(int x, int y, int width, int height, Colour colour) {
  fill(x, y, width, 1, colour);
  fill(x, y + height - 1, width, 1, colour);
  fill(x, y, 1, height, colour);
  fill(x + width - 1, y, 1, height, colour);
}

// Steps along the longer direction and spreads each step over the pixels across it.
void Canvas::line(double x0, double y0, double x1, double y1, Colour colour) {
  constexpr double kHalfWidth = 0.75;
  const bool steep = std::abs(y1 - y0) > std::abs(x1 - x0);
  if (steep) {
    std::swap(x0, y0);
    std::swap(x1, y1);
  }
  if (x1 < x0) {
    std::swap(x0, x1);
    std::swap(y0, y1);
  }
  const double slope = x1 > x0 ? (y1 - y0) / (x1 - x0) : 0;
  const double half = kHalfWidth * std::sqrt(1 + slope * slope);
  for (int x = static_cast<int>(std::lround(x0)); x <= std::lround(x1); ++x) {
    const double y = y0 + slope * (x - x0);
    for (int at = static_cast<int>(std::floor(y - half)); at <= std::ceil(y + half); ++at) {
      const double cover = std::min(y + half, at + 0.5) - std::max(y - half, at - 0.5);
      steep ? blend(at, x, colour, cover) : blend(x, at, colour, cover);
    }
  }
}

int Canvas::text_width(std::string_view text) {
  return static_cast<int>(text.size()) * kGlyphWidth;
}

void Canvas::text(int x, int y, std::string_view text, Colour colour) {
  for (const char c : text) {
    const bool known = c >= kFirstGlyph && c - kFirstGlyph < static_cast<int>(kGlyphs);
    const char* glyph = kFont[static_cast<std::size_t>((known ? c : '?') - kFirstGlyph)];
    for (int row = 0; row < kGlyphHeight; ++row) {
      for (int column = 0; column < kGlyphWidth; ++column) {
        blend(x + column, y + row, colour, blackness(*glyph++));
      }
    }
    x += kGlyphWidth;
  }
}

// By libpng's simplified interface, which reports errors without longjmp.
shm::Result<std::string> Canvas::png(bool alpha) const {
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width_);
  image.height = static_cast<png_uint_32>(height_);
  image.format = alpha ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB;
  std::vector<std::uint8_t> bytes;
  bytes.reserve(pixels_.size() * 4);
  for (const Colour& pixel : pixels_) {
    bytes.insert(bytes.end(), {pixel.red, pixel.green, pixel.blue});
    if (alpha) {
      bytes.push_back(pixel.alpha);
    }
  }
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string file(size, '\0');
  if (png_image_write_to_memory(&image, file.data(), &size, 0, bytes.data(), 0, nullptr) == 0) {
    return shm::fail(EIO, image.message);
  }
  file.resize(size);
  return file;
}

}  // namespace arrayfs
