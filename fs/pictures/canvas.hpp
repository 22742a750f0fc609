// A picture that is being drawn: pixels, rectangles, text; at the end a PNG file.
//
// What lies outside of the picture is not drawn. A plain value, for one thread at a time.
#pragma once

#include <cstdint>
#include <shm/error.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace arrayfs {

struct Colour {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;
  std::uint8_t alpha = 255;
};

inline constexpr Colour kWhite{255, 255, 255};
inline constexpr Colour kBlack{0, 0, 0};
inline constexpr Colour kGrey{120, 120, 120};

class Canvas {
 public:
  Canvas(int width, int height, Colour background = kWhite);

  [[nodiscard]] int width() const { return width_; }
  [[nodiscard]] int height() const { return height_; }
  void set(int x, int y, Colour colour);
  /// Lays the colour over what is there; `cover` from 0 to 1.
  void blend(int x, int y, Colour colour, double cover);
  void fill(int x, int y, int width, int height, Colour colour);
  /// The outline, one pixel wide, around the inside of the rectangle.
  void frame(int x, int y, int width, int height, Colour colour);
  /// A line of even width between two points, with soft edges.
  void line(double x0, double y0, double x1, double y1, Colour colour);
  /// ASCII, its left upper corner at (x, y). What is no ASCII is shown as `?`.
  void text(int x, int y, std::string_view text, Colour colour = kBlack);
  [[nodiscard]] static int text_width(std::string_view text);

  /// The bytes of a PNG file; with an alpha channel where `alpha`.
  /// Errors: EIO with libpng's words.
  [[nodiscard]] shm::Result<std::string> png(bool alpha = false) const;

 private:
  [[nodiscard]] bool contains(int x, int y) const {
    return x >= 0 && y >= 0 && x < width_ && y < height_;
  }

  int width_;
  int height_;
  std::vector<Colour> pixels_;
};

}  // namespace arrayfs
