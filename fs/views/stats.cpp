// `stats/PATH`: count, moments, percentiles and a histogram of the numbers of an array.
#include "../statistics/statistics.hpp"
#include "element_reader.hpp"
#include "formats.hpp"

namespace arrayfs {
namespace {

using shm::Result;

// Numbers in the order of the file: statistics do not care. One thread of the daemon is enough for
// one reader; the command has all cores.
Result<std::string> describe(const ArrayFile& file) {
  auto shown = layout_to_show(file);
  if (!shown) {
    return tl::unexpected(shown.error());
  }
  const auto convert = to_doubles(shown->dtype);
  if (!convert) {
    return tl::unexpected(convert.error());
  }
  const std::uint64_t count = shown->size();
  const std::uint64_t itemsize = shown->dtype.itemsize();
  const auto kind = shown->dtype.kind();
  const bool whole =
      kind == shm::Kind::kInt || kind == shm::Kind::kUint || kind == shm::Kind::kBool;
  shown->shape = {count};
  ElementReader reader(file.fd.get(), std::move(*shown));
  std::vector<std::byte> bytes;
  const NumberSource source = [&](std::uint64_t first, std::span<double> out) -> Result<void> {
    bytes.resize(static_cast<std::size_t>(out.size() * itemsize));
    auto got = reader.read(first * itemsize, bytes);
    if (got) {
      (*convert)(bytes.data(), static_cast<std::int64_t>(itemsize), out);
    }
    return got;
  };
  return statistics(count, source, 1, whole).map(statistics_text);
}

class Stats final : public View {
 public:
  [[nodiscard]] std::string_view directory() const override { return "stats"; }
  [[nodiscard]] std::string_view suffix() const override { return ""; }
  [[nodiscard]] bool is_slow() const override { return true; }
  [[nodiscard]] OpenedStream open(ViewInput input) const override {
    return describe(input.file).map([](std::string text) {
      return std::unique_ptr<ViewStream>(std::make_unique<TextStream>(std::move(text)));
    });
  }
};

}  // namespace

std::unique_ptr<const View> make_stats_view() {
  return std::make_unique<Stats>();
}

}  // namespace arrayfs
