// Two axes as colours, with the indices beside them and a bar that tells the numbers.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "axis.hpp"
#include "canvas.hpp"
#include "colours.hpp"
#include "picture.hpp"

namespace arrayfs {
namespace {

constexpr int kTop = 48;
constexpr int kBottom = 34;
constexpr int kRight = 12;
constexpr int kBarGap = 24;
constexpr int kBarWidth = 18;
constexpr int kMinBarHeight = 160;
constexpr int kTick = 4;

struct Plot {
  int left;
  int top = kTop;
  int width;
  int height;
};

void draw_cells(Canvas& canvas, const Plot& plot, const Cells& cells, const ColourScale& scale) {
  for (int y = 0; y < plot.height; ++y) {
    const std::size_t row =
        static_cast<std::size_t>(y) * cells.rows / static_cast<std::size_t>(plot.height);
    for (int x = 0; x < plot.width; ++x) {
      const std::size_t cell = row * cells.columns + static_cast<std::size_t>(x) * cells.columns /
                                                         static_cast<std::size_t>(plot.width);
      const std::uint8_t mark = cells.marks[cell];
      const Colour colour = (mark & kHasNan) != 0        ? kNanColour
                            : (mark & kHasInfinity) != 0 ? kInfinityColour
                                                         : scale.colour(cells.means[cell]);
      canvas.set(plot.left + x, plot.top + y, colour);
    }
  }
  canvas.frame(plot.left - 1, plot.top - 1, plot.width + 2, plot.height + 2, kGrey);
}

void draw_indices(Canvas& canvas, const Plot& plot, std::uint64_t rows, std::uint64_t columns) {
  const auto middle = [](std::uint64_t index, std::uint64_t count, int pixels) {
    return static_cast<int>((static_cast<double>(index) + 0.5) / static_cast<double>(count) *
                            pixels);
  };
  const int widest = std::max(1, Canvas::text_width(std::to_string(columns)) + 14);
  for (const std::uint64_t index : index_ticks(columns, std::clamp(plot.width / widest, 2, 9))) {
    const int x = plot.left + middle(index, columns, plot.width);
    const std::string text = std::to_string(index);
    canvas.fill(x, plot.top + plot.height + 1, 1, kTick, kGrey);
    canvas.text(x - Canvas::text_width(text) / 2, plot.top + plot.height + kTick + 3, text);
  }
  for (const std::uint64_t index : index_ticks(rows, std::clamp(plot.height / 30, 2, 9))) {
    const int y = plot.top + middle(index, rows, plot.height);
    const std::string text = std::to_string(index);
    canvas.fill(plot.left - 1 - kTick, y, kTick, 1, kGrey);
    canvas.text(plot.left - kTick - 5 - Canvas::text_width(text), y - 7, text);
  }
}

void draw_bar(Canvas& canvas, int left, int height, const Cells& cells, const ColourScale& scale) {
  for (int y = 0; y < height; ++y) {
    const double share = height > 1 ? static_cast<double>(y) / (height - 1) : 0;
    const double value = scale.high * (1 - share) + scale.low * share;
    canvas.fill(left, kTop + y, kBarWidth, 1, scale.colour(value));
  }
  canvas.frame(left - 1, kTop - 1, kBarWidth + 2, height + 2, kGrey);
  for (const double value : ticks(scale.low, scale.high, std::clamp(height / 40, 3, 9))) {
    const double width = scale.high / 2 - scale.low / 2;
    const double share = width > 0 ? (scale.high / 2 - value / 2) / width : 0.5;
    const int y = kTop + static_cast<int>(std::lround(share * (height - 1)));
    canvas.fill(left + kBarWidth + 1, y, kTick, 1, kGrey);
    canvas.text(left + kBarWidth + kTick + 4, y - 7, tick_text(value));
  }
  int y = kTop + height + 8;
  const auto legend = [&](CellMark mark, Colour colour, std::string_view name) {
    if (cells.any(mark)) {
      canvas.fill(left, y + 2, 10, 10, colour);
      canvas.text(left + 15, y, name);
      y += 15;
    }
  };
  legend(kHasNan, kNanColour, "NaN");
  legend(kHasInfinity, kInfinityColour, "inf");
}

}  // namespace

shm::Result<std::string> heat_map(const Cells& cells, std::uint64_t rows, std::uint64_t columns,
                                  int width, int height, const std::string& title) {
  const auto [low, high] = cells.range();
  const ColourScale scale = ColourScale::of(low, high);
  const Plot plot{Canvas::text_width(std::to_string(rows - 1)) + kTick + 16, kTop, width, height};
  const int bar_left = plot.left + width + kBarGap;
  const int bar_height = std::max(height, kMinBarHeight);
  const int bar_text = Canvas::text_width("-1.2345e+00") + kTick + 4;
  std::string note;
  if (cells.rows < rows || cells.columns < columns) {
    const double share = static_cast<double>(rows) / static_cast<double>(cells.rows) *
                         static_cast<double>(columns) / static_cast<double>(cells.columns);
    note = fmt::format("a pixel is the mean of {:.3g} numbers", share);
  }
  const int words = std::max(Canvas::text_width(title), Canvas::text_width(note));
  const int total_width = std::max(bar_left + kBarWidth + bar_text, plot.left + words) + kRight;
  Canvas canvas(total_width, kTop + bar_height + kBottom + 8);
  canvas.text(plot.left, 10, title);
  canvas.text(plot.left, 26, note, kGrey);
  draw_cells(canvas, plot, cells, scale);
  draw_indices(canvas, plot, rows, columns);
  draw_bar(canvas, bar_left, bar_height, cells, scale);
  return canvas.png();
}

}  // namespace arrayfs
