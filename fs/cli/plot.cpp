// `arrayfs plot`: a picture of an array, in the terminal or as a PNG file.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "../pictures/colours.hpp"
#include "../pictures/picture.hpp"
#include "array_argument.hpp"
#include "commands.hpp"
#include "whole_file.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr char kExamples[] = R"(
Examples:
  arrayfs plot /mnt/arrays/w.npy                     in the terminal
  arrayfs plot /mnt/arrays/w.npy '[3, :, :]' -o w.png)";

struct PlotArguments {
  std::string path;
  std::string slice;
  std::string output;
};

std::size_t terminal_columns() {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20;
  return known ? std::min<std::size_t>(size.ws_col, 160) : 80;
}

std::string utf8_braille(unsigned dots) {
  const unsigned code = 0x2800 + dots;
  return {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3F)),
          static_cast<char>(0x80 | (code & 0x3F))};
}

// A line of dots, two by four in each character, with the range of each column of numbers.
std::string draw_line(const Cells& cells) {
  constexpr std::size_t kRows = 16;
  constexpr std::size_t kDotRows = kRows * 4;
  constexpr unsigned kDots[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
  double low = 0;
  double high = 0;
  bool any = false;
  for (std::size_t i = 0; i < cells.columns; ++i) {
    if ((cells.marks[i] & kHasNumber) != 0) {
      low = any ? std::min(low, cells.lows[i]) : cells.lows[i];
      high = any ? std::max(high, cells.highs[i]) : cells.highs[i];
      any = true;
    }
  }
  const std::size_t width = (cells.columns + 1) / 2;
  std::vector<unsigned> characters(width * kRows);
  const auto row_of = [&](double value) {
    const double span = high / 2 - low / 2;
    const double share = span > 0 ? (high / 2 - value / 2) / span : 0.5;
    return std::min(kDotRows - 1, static_cast<std::size_t>(share * kDotRows));
  };
  for (std::size_t i = 0; i < cells.columns; ++i) {
    if ((cells.marks[i] & kHasNumber) == 0) {
      continue;
    }
    std::size_t top = row_of(cells.highs[i]);
    std::size_t bottom = row_of(cells.lows[i]);
    if (i > 0 && (cells.marks[i - 1] & kHasNumber) != 0) {
      const std::size_t before = row_of(cells.means[i - 1]);
      top = std::min(top, before > bottom ? bottom + 1 : before < top ? before + 1 : top);
      bottom = std::max(bottom, before > bottom ? before - 1 : bottom);
    }
    for (std::size_t row = top; row <= bottom; ++row) {
      characters[row / 4 * width + i / 2] |= kDots[row % 4][i % 2];
    }
  }
  std::string text;
  for (std::size_t row = 0; row < kRows; ++row) {
    text += row == 0           ? fmt::format("{:>11.5g} ", high)
            : row + 1 == kRows ? fmt::format("{:>11.5g} ", low)
                               : std::string(12, ' ');
    for (std::size_t column = 0; column < width; ++column) {
      text += utf8_braille(characters[row * width + column]);
    }
    text += '\n';
  }
  return text;
}

// Two cells a character, one above the other: colours on a terminal, shades elsewhere.
std::string draw_map(const Cells& cells, bool colours) {
  const auto [low, high] = cells.range();
  const ColourScale scale = ColourScale::of(low, high);
  const auto colour = [&](std::size_t row, std::size_t column) {
    const std::size_t at = row * cells.columns + column;
    return (cells.marks[at] & kHasNan) != 0        ? kNanColour
           : (cells.marks[at] & kHasInfinity) != 0 ? kInfinityColour
                                                   : scale.colour(cells.means[at]);
  };
  std::string text;
  for (std::size_t row = 0; row < cells.rows; row += 2) {
    for (std::size_t column = 0; column < cells.columns; ++column) {
      if (colours) {
        const Colour above = colour(row, column);
        const Colour below = colour(std::min(row + 1, cells.rows - 1), column);
        text += fmt::format("\x1b[38;2;{};{};{};48;2;{};{};{}m▀", above.red, above.green,
                            above.blue, below.red, below.green, below.blue);
        continue;
      }
      constexpr std::string_view kShades = " .:-=+*#%@";
      const std::size_t at = row * cells.columns + column;
      const double span = high / 2 - low / 2;
      const double share = span > 0 ? (cells.means[at] / 2 - low / 2) / span : 0;
      const auto shade = static_cast<std::size_t>(share * static_cast<double>(kShades.size()));
      text += (cells.marks[at] & (kHasNan | kHasInfinity)) != 0
                  ? '?'
                  : kShades[std::min(shade, kShades.size() - 1)];
    }
    text += colours ? "\x1b[0m\n" : "\n";
  }
  return text + fmt::format("{:.5g} to {:.5g}\n", low, high);
}

Result<std::string> draw_in_terminal(const ArrayView& view, const NumberSource& numbers) {
  const std::size_t width = terminal_columns();
  if (view.size() == 0) {
    return fail(EOPNOTSUPP, "nothing to draw: no elements");
  }
  if (view.shape.size() < 2) {
    return reduce(numbers, 0, 1, view.size(), 1, 2 * (width - 13)).map(draw_line);
  }
  // The first part of what has more than two axes.
  const std::uint64_t rows = view.shape[view.shape.size() - 2];
  const std::uint64_t columns = view.shape.back();
  const std::size_t shown = static_cast<std::size_t>(std::min<std::uint64_t>(columns, width));
  const double share = static_cast<double>(rows) / static_cast<double>(columns);
  const auto lines =
      static_cast<std::size_t>(std::clamp(share * static_cast<double>(shown), 2.0, 80.0));
  return reduce(numbers, 0, rows, columns, lines, shown).map([](const Cells& cells) {
    return draw_map(cells, isatty(STDOUT_FILENO) == 1);
  });
}

Result<void> plot_command(const PlotArguments& arguments) {
  const auto array = ArrayArgument::open(arguments.path, arguments.slice);
  if (!array) {
    return tl::unexpected(array.error());
  }
  const ArrayView& view = array->view;
  const auto drawn = numbers_of(view).and_then([&](const NumberSource& numbers) {
    return arguments.output.empty() ? draw_in_terminal(view, numbers)
                                    : picture(view.dtype, view.shape, numbers, 0);
  });
  if (!drawn) {
    return fail(drawn.error().code, arguments.path + ": " + drawn.error().context);
  }
  if (auto whole = array->check(); !whole) {
    return whole;
  }
  if (!arguments.output.empty()) {
    return WholeFile::create(arguments.output).and_then([&](WholeFile file) {
      return file.write(std::as_bytes(std::span(*drawn))).and_then([&] { return file.publish(); });
    });
  }
  std::cout << *drawn;
  return {};
}

}  // namespace

void add_plot_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<PlotArguments>();
  CLI::App* command =
      app.add_subcommand("plot", "Draw an array: a line, a heat map, or the image that it is");
  command->footer(kExamples);
  command->add_option("PATH", arguments->path, "An array file")->required();
  command->add_option("SLICE", arguments->slice,
                      "As in NumPy: [0:10, ::2, -1], ['field'], [..., 0]");
  command->add_option("-o,--output", arguments->output, "Write a PNG file instead");
  command->callback(
      [arguments, &action] { action = [arguments] { return plot_command(*arguments); }; });
}

}  // namespace arrayfs
