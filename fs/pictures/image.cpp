// Bytes of colours as the image that they are, made smaller by averaging where it is too large.
#include <algorithm>
#include <cmath>

#include "canvas.hpp"
#include "picture.hpp"

namespace arrayfs {

shm::Result<std::string> image(const NumberSource& numbers, std::uint64_t first,
                               std::uint64_t height, std::uint64_t width, std::size_t channels) {
  constexpr std::uint64_t kMaxSide = 2048;
  const double factor =
      std::min(1.0, static_cast<double>(kMaxSide) / static_cast<double>(std::max(height, width)));
  const auto scaled = [factor](std::uint64_t side) {
    return static_cast<std::size_t>(std::max(1.0, std::floor(static_cast<double>(side) * factor)));
  };
  const std::size_t rows = scaled(height);
  const std::size_t columns = scaled(width);
  std::vector<double> sums(rows * columns * channels);
  std::vector<std::uint32_t> counts(rows * columns);
  constexpr std::uint64_t kBlock = 4096;  // pixels
  std::vector<double> block(static_cast<std::size_t>(std::min(width, kBlock)) * channels);
  for (std::uint64_t y = 0; y < height; ++y) {
    const std::size_t row = static_cast<std::size_t>(y * rows / height) * columns;
    for (std::uint64_t begin = 0; begin < width; begin += kBlock) {
      const std::uint64_t count = std::min(kBlock, width - begin);
      const std::span part = std::span(block).first(static_cast<std::size_t>(count) * channels);
      if (auto got = numbers(first + (y * width + begin) * channels, part); !got) {
        return tl::unexpected(got.error());
      }
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t pixel = row + static_cast<std::size_t>((begin + i) * columns / width);
        ++counts[pixel];
        for (std::size_t channel = 0; channel < channels; ++channel) {
          sums[pixel * channels + channel] += part[i * channels + channel];
        }
      }
    }
  }
  Canvas canvas(static_cast<int>(columns), static_cast<int>(rows));
  for (std::size_t pixel = 0; pixel < counts.size(); ++pixel) {
    const auto channel = [&](std::size_t number) {
      return static_cast<std::uint8_t>(
          std::lround(sums[pixel * channels + number] / std::max(1U, counts[pixel])));
    };
    const std::uint8_t alpha = channels == 4 ? channel(3) : 255;
    canvas.set(static_cast<int>(pixel % columns), static_cast<int>(pixel / columns),
               {channel(0), channel(1), channel(2), alpha});
  }
  return canvas.png(channels == 4);
}

}  // namespace arrayfs
