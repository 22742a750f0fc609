// One axis as a line; where many numbers share a pixel, their mean, with the band from the smallest
// to the largest behind it.
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
constexpr int kRight = 20;
constexpr int kWidth = 640;
constexpr int kHeight = 320;
constexpr int kTick = 4;
constexpr Colour kLine{31, 100, 170};
constexpr Colour kBand{190, 214, 236};
constexpr Colour kGrid{228, 228, 228};

class LinePlot {
 public:
  LinePlot(const Cells& cells, std::uint64_t count, const std::string& title)
      : cells_(cells), count_(count), canvas_(1, 1) {
    find_range();
    labels_ = ticks(low_, high_, 7);
    int widest = 0;
    for (const double value : labels_) {
      widest = std::max(widest, Canvas::text_width(tick_text(value)));
    }
    left_ = widest + kTick + 16;
    const int width = std::max(left_ + kWidth, left_ + Canvas::text_width(title)) + kRight;
    canvas_ = Canvas(width, kTop + kHeight + kBottom);
    canvas_.text(left_, 10, title);
  }

  shm::Result<std::string> draw() {
    if (cells_.columns < count_) {
      const double share = static_cast<double>(count_) / static_cast<double>(cells_.columns);
      canvas_.text(left_, 26, fmt::format("mean of {:.3g} numbers a pixel, and their range", share),
                   kGrey);
    }
    draw_axes();
    if (cells_.columns < count_) {
      draw_band();
    }
    draw_line();
    draw_marks();
    canvas_.frame(left_ - 1, kTop - 1, kWidth + 2, kHeight + 2, kGrey);
    return canvas_.png();
  }

 private:
  // From the smallest to the largest number, with some air around them.
  void find_range() {
    bool first = true;
    for (std::size_t i = 0; i < cells_.columns; ++i) {
      if ((cells_.marks[i] & kHasNumber) != 0) {
        low_ = first ? cells_.lows[i] : std::min(low_, cells_.lows[i]);
        high_ = first ? cells_.highs[i] : std::max(high_, cells_.highs[i]);
        first = false;
      }
    }
    constexpr double kAir = 0.04;
    const double width = high_ - low_;
    const double air = width > 0 ? width * kAir : std::max(0.5, std::abs(low_) * kAir);
    if (std::isfinite(width)) {
      low_ -= air;
      high_ += air;
    }
  }
  [[nodiscard]] double x_of(std::size_t cell) const {
    return left_ + (static_cast<double>(cell) + 0.5) / static_cast<double>(cells_.columns) * kWidth;
  }
  [[nodiscard]] double y_of(double value) const {
    return kTop + (high_ / 2 - value / 2) / (high_ / 2 - low_ / 2) * (kHeight - 1);
  }

  void draw_axes() {
    for (const double value : labels_) {
      const int y = static_cast<int>(std::lround(y_of(value)));
      const std::string text = tick_text(value);
      canvas_.fill(left_, y, kWidth, 1, kGrid);
      canvas_.fill(left_ - 1 - kTick, y, kTick, 1, kGrey);
      canvas_.text(left_ - kTick - 5 - Canvas::text_width(text), y - 7, text);
    }
    for (const std::uint64_t index : index_ticks(count_, 9)) {
      const double share = (static_cast<double>(index) + 0.5) / static_cast<double>(count_);
      const int x = left_ + static_cast<int>(share * kWidth);
      const std::string text = std::to_string(index);
      canvas_.fill(x, kTop, 1, kHeight, kGrid);
      canvas_.fill(x, kTop + kHeight + 1, 1, kTick, kGrey);
      canvas_.text(x - Canvas::text_width(text) / 2, kTop + kHeight + kTick + 3, text);
    }
  }

  void draw_band() {
    for (std::size_t i = 0; i < cells_.columns; ++i) {
      if ((cells_.marks[i] & kHasNumber) != 0) {
        const int top = static_cast<int>(std::lround(y_of(cells_.highs[i])));
        const int bottom = static_cast<int>(std::lround(y_of(cells_.lows[i])));
        canvas_.fill(static_cast<int>(x_of(i)), top, 1, bottom - top + 1, kBand);
      }
    }
  }

  void draw_line() {
    constexpr std::size_t kFewPoints = 64;
    for (std::size_t i = 0; i < cells_.columns; ++i) {
      if ((cells_.marks[i] & kHasNumber) == 0) {
        continue;
      }
      const double x = x_of(i);
      const double y = y_of(cells_.means[i]);
      const bool joined = i > 0 && (cells_.marks[i - 1] & kHasNumber) != 0;
      if (joined) {
        canvas_.line(x_of(i - 1), y_of(cells_.means[i - 1]), x, y, kLine);
      }
      const bool goes_on = i + 1 < cells_.columns && (cells_.marks[i + 1] & kHasNumber) != 0;
      if (cells_.columns <= kFewPoints || (!joined && !goes_on)) {
        canvas_.fill(static_cast<int>(x) - 2, static_cast<int>(std::lround(y)) - 2, 5, 5, kLine);
      }
    }
  }

  // What is not finite stands on the lower edge.
  void draw_marks() {
    constexpr int kMark = 8;
    for (std::size_t i = 0; i < cells_.columns; ++i) {
      if ((cells_.marks[i] & (kHasNan | kHasInfinity)) != 0) {
        const bool nan = (cells_.marks[i] & kHasNan) != 0;
        canvas_.fill(static_cast<int>(x_of(i)) - 1, kTop + kHeight - kMark, 3, kMark,
                     nan ? kNanColour : kInfinityColour);
      }
    }
    int x = left_ + kWidth - 52;
    const auto legend = [&](CellMark mark, Colour colour, std::string_view name) {
      if (cells_.any(mark)) {
        canvas_.fill(x, 12, 10, 10, colour);
        canvas_.text(x + 15, 10, name);
        x -= 56;
      }
    };
    legend(kHasNan, kNanColour, "NaN");
    legend(kHasInfinity, kInfinityColour, "inf");
  }

  const Cells& cells_;
  std::uint64_t count_;
  Canvas canvas_;
  std::vector<double> labels_;
  double low_ = 0;
  double high_ = 0;
  int left_ = 0;
};

}  // namespace

shm::Result<std::string> line_plot(const Cells& cells, std::uint64_t count,
                                   const std::string& title) {
  return LinePlot(cells, count, title).draw();
}

}  // namespace arrayfs
