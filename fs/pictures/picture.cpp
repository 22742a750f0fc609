#include "picture.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr std::uint64_t kLongSide = 640;   // pixels
constexpr std::uint64_t kShortSide = 160;  // at least, however narrow the array is

// Pixels of one side: whole cells where there are few, and the array's own proportions.
int side(std::uint64_t count, std::uint64_t other) {
  std::uint64_t pixels = kLongSide;
  if (count < other) {
    const double share = static_cast<double>(count) / static_cast<double>(other);
    pixels = std::max(kShortSide, static_cast<std::uint64_t>(share * kLongSide));
  }
  return static_cast<int>(count < pixels ? count * (pixels / count) : pixels);
}

std::string title_of(const shm::Dtype& dtype, const shm::Shape& shape, const PictureForm& form,
                     std::uint64_t part) {
  std::string title =
      fmt::format("{} ({}{})", dtype.name(), fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  if (form.leading_axes == 0) {
    return title;
  }
  const auto index = index_of(part, std::span(shape).first(form.leading_axes));
  return fmt::format("[{}] of {}", fmt::join(index, ", "), title);
}

}  // namespace

PictureForm picture_form(const shm::Dtype& dtype, const shm::Shape& shape) {
  const std::size_t axes = shape.size();
  const bool bytes = dtype.kind() == shm::Kind::kUint && dtype.itemsize() == 1;
  if (axes >= 3 && bytes && (shape.back() == 3 || shape.back() == 4)) {
    return {PictureKind::kImage, axes - 3};
  }
  return axes < 2 ? PictureForm{PictureKind::kLine, 0}
                  : PictureForm{PictureKind::kHeatMap, axes - 2};
}

std::uint64_t picture_parts(const shm::Dtype& dtype, const shm::Shape& shape) {
  std::uint64_t parts = 1;
  for (std::size_t axis = 0; axis < picture_form(dtype, shape).leading_axes; ++axis) {
    parts = saturating_multiply(parts, shape[axis]);
  }
  return parts;
}

Result<std::string> picture(const shm::Dtype& dtype, const shm::Shape& shape,
                            const NumberSource& numbers, std::uint64_t part) {
  if (std::ranges::count(shape, 0U) != 0) {
    return fail(EOPNOTSUPP, "an array without elements has no picture");
  }
  const PictureForm form = picture_form(dtype, shape);
  const std::string title = title_of(dtype, shape, form, part);
  if (form.kind == PictureKind::kLine) {
    const std::uint64_t count = shape.empty() ? 1 : shape[0];
    return reduce(numbers, 0, 1, count, 1, kLongSide).and_then([&](const Cells& cells) {
      return line_plot(cells, count, title);
    });
  }
  const std::uint64_t rows = shape[form.leading_axes];
  const std::uint64_t columns = shape[form.leading_axes + 1];
  if (form.kind == PictureKind::kImage) {
    const std::size_t channels = shape.back();
    return image(numbers, part * rows * columns * channels, rows, columns, channels);
  }
  const int width = side(columns, rows);
  const int height = side(rows, columns);
  return reduce(numbers, part * rows * columns, rows, columns, static_cast<std::size_t>(height),
                static_cast<std::size_t>(width))
      .and_then(
          [&](const Cells& cells) { return heat_map(cells, rows, columns, width, height, title); });
}

}  // namespace arrayfs
