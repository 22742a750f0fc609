// An array as a PNG picture: a heat map, a line plot, or the image that it is.
//
// One axis gives a line, two a heat map, (height, width, 3 or 4) of uint8 an image. Large arrays
// are reduced by averaging; memory is bounded by the picture. Stateless.
#pragma once

#include <string>

#include "../statistics/numbers.hpp"
#include "reduction.hpp"

namespace arrayfs {

/// How an array is drawn, and how many of its leading axes choose which part of it.
enum class PictureKind { kLine, kHeatMap, kImage };
struct PictureForm {
  PictureKind kind;
  std::size_t leading_axes;
};
[[nodiscard]] PictureForm picture_form(const shm::Dtype& dtype, const shm::Shape& shape);

/// Parts of an array that can be drawn: the product of its leading extents.
[[nodiscard]] std::uint64_t picture_parts(const shm::Dtype& dtype, const shm::Shape& shape);

/// The PNG file of part number `part`, in C order of the leading axes.
/// Errors: EOPNOTSUPP when there is nothing to draw, those of the source.
[[nodiscard]] shm::Result<std::string> picture(const shm::Dtype& dtype, const shm::Shape& shape,
                                               const NumberSource& numbers, std::uint64_t part);

/// What picture() is made of. `rows` and `columns`, `count`: extents before they were reduced.
[[nodiscard]] shm::Result<std::string> heat_map(const Cells& cells, std::uint64_t rows,
                                                std::uint64_t columns, int width, int height,
                                                const std::string& title);
[[nodiscard]] shm::Result<std::string> line_plot(const Cells& cells, std::uint64_t count,
                                                 const std::string& title);
[[nodiscard]] shm::Result<std::string> image(const NumberSource& numbers, std::uint64_t first,
                                             std::uint64_t height, std::uint64_t width,
                                             std::size_t channels);

}  // namespace arrayfs
