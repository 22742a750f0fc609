// `raw/PATH.bin`: the data of an array without its header, in the order in which it lies.
#include "formats.hpp"
#include "pieces.hpp"

namespace arrayfs {
namespace {

class Raw final : public View {
 public:
  [[nodiscard]] std::string_view directory() const override { return "raw"; }
  [[nodiscard]] std::string_view suffix() const override { return ".bin"; }
  [[nodiscard]] OpenedStream open(ViewInput input) const override {
    return layout_to_show(input.file).map([&](const shm::Layout& layout) {
      auto file = std::make_shared<ArrayFile>(std::move(input.file));
      std::vector<Piece> pieces{file_piece(file->fd.get(), layout.data_offset, layout.nbytes())};
      return std::unique_ptr<ViewStream>(
          std::make_unique<PieceStream>(std::move(pieces), std::move(file)));
    });
  }
  [[nodiscard]] bool is_sized() const override { return true; }
  [[nodiscard]] std::optional<std::uint64_t> size_bytes(const shm::Layout& layout,
                                                        std::uint32_t /*number*/) const override {
    return layout.nbytes();
  }
};

}  // namespace

std::unique_ptr<const View> make_raw_view() {
  return std::make_unique<Raw>();
}

}  // namespace arrayfs
