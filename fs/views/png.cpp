// `png/PATH.png`: a picture of an array; of more axes than a picture has, the first part, and any
// other as `png/PATH/3,5.png`.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "../pictures/picture.hpp"
#include "../values/array_view.hpp"
#include "element_reader.hpp"
#include "formats.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Layout;
using shm::Result;

constexpr std::string_view kSuffix = ".png";
constexpr std::uint64_t kMaxListed = 1000;

std::string part_name(const Layout& layout, std::uint64_t part) {
  const std::size_t axes = picture_form(layout.dtype, layout.shape).leading_axes;
  const auto index = index_of(part, std::span(layout.shape).first(axes));
  return fmt::format("{}{}", fmt::join(index, ","), kSuffix);
}

// Parts that have numbers of their own.
std::uint64_t parts_of(const Layout& layout) {
  if (picture_form(layout.dtype, layout.shape).leading_axes == 0) {
    return 0;
  }
  return std::min<std::uint64_t>(picture_parts(layout.dtype, layout.shape),
                                 View::kMaxGenerated - View::kFirstGenerated);
}

Result<std::string> draw(const ArrayFile& file, std::uint64_t part) {
  const auto layout = layout_to_show(file);
  if (!layout) {
    return tl::unexpected(layout.error());
  }
  const auto convert = to_doubles(layout->dtype);
  if (!convert) {
    return tl::unexpected(convert.error());
  }
  ElementReader reader(file.fd.get(), *layout);
  const std::uint64_t itemsize = layout->dtype.itemsize();
  std::vector<std::byte> bytes;
  const NumberSource numbers = [&](std::uint64_t first, std::span<double> out) -> Result<void> {
    bytes.resize(static_cast<std::size_t>(out.size() * itemsize));
    auto got = reader.read(first * itemsize, bytes);
    if (got) {
      (*convert)(bytes.data(), static_cast<std::int64_t>(itemsize), out);
    }
    return got;
  };
  return picture(layout->dtype, layout->shape, numbers, part);
}

class Png final : public View {
 public:
  [[nodiscard]] std::string_view directory() const override { return "png"; }
  [[nodiscard]] std::string_view suffix() const override { return kSuffix; }
  [[nodiscard]] bool is_slow() const override { return true; }
  [[nodiscard]] bool has_parts() const override { return true; }

  [[nodiscard]] std::vector<GeneratedEntry> list(const Layout& layout,
                                                 std::uint32_t /*number*/) const override {
    std::vector<GeneratedEntry> entries;
    for (std::uint32_t part = 0; part < std::min(parts_of(layout), kMaxListed); ++part) {
      entries.push_back({part_name(layout, part), kFirstGenerated + part});
    }
    return entries;
  }

  [[nodiscard]] Result<GeneratedEntry> find(const Layout& layout, std::uint32_t /*number*/,
                                            std::string_view name) const override {
    const std::size_t axes = picture_form(layout.dtype, layout.shape).leading_axes;
    std::uint64_t part = 0;
    const char* at = name.data();
    const char* end = name.data() + name.size();
    for (std::size_t axis = 0; axis < axes; ++axis) {
      std::uint64_t index = 0;
      const auto [next, error] = std::from_chars(at, end, index);
      if (error != std::errc{} || index >= layout.shape[axis]) {
        return fail(ENOENT);
      }
      part = saturating_multiply(part, layout.shape[axis]) + index;
      at = next == end ? end : next + 1;
    }
    // The name in the one form in which it is listed, and a part that has a number.
    if (part >= parts_of(layout) || part_name(layout, part) != name) {
      return fail(ENOENT);
    }
    return GeneratedEntry{std::string(name), kFirstGenerated + static_cast<std::uint32_t>(part)};
  }

  [[nodiscard]] Result<GeneratedEntry> at(const Layout& layout,
                                          std::uint32_t number) const override {
    if (number < kFirstGenerated || number - kFirstGenerated >= parts_of(layout)) {
      return fail(ESTALE);
    }
    return GeneratedEntry{part_name(layout, number - kFirstGenerated), number};
  }

  [[nodiscard]] OpenedStream open(ViewInput input) const override {
    const std::uint32_t part = input.generated == 0 ? 0 : input.generated - kFirstGenerated;
    return draw(input.file, part).map([](std::string bytes) {
      return std::unique_ptr<ViewStream>(std::make_unique<TextStream>(std::move(bytes)));
    });
  }
};

}  // namespace

std::unique_ptr<const View> make_png_view() {
  return std::make_unique<Png>();
}

}  // namespace arrayfs
