// `safetensors/DIR.safetensors`: the arrays of a directory as tensors of that format.
//
// Tensors are little-endian and in C order; arrays that lie otherwise are turned while they are
// read. Those with the largest elements come first, so that each tensor is aligned to its elements.
// Source: github.com/huggingface/safetensors, README (Format).
#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "../values/element.hpp"
#include "archive.hpp"
#include "element_reader.hpp"
#include "formats.hpp"
#include "pieces.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Kind;
using shm::Result;

constexpr std::size_t kLengthBytes = 8;  // of the header, before it
constexpr std::size_t kAlign = 8;

// The format's name of a dtype; empty when it has none.
std::string tensor_type(const shm::Dtype& dtype) {
  const std::string name = dtype.name();
  const std::string bits = std::to_string(dtype.itemsize() * 8);
  switch (dtype.kind()) {
    case Kind::kBool:
      return "BOOL";
    case Kind::kInt:
      return "I" + bits;
    case Kind::kUint:
      return "U" + bits;
    case Kind::kFloat:
      return dtype.itemsize() <= 8 ? "F" + bits : "";
    case Kind::kComplex:
      return dtype.itemsize() == 8 ? "C64" : "";
    case Kind::kVoid:
      return name == "bfloat16"        ? "BF16"
             : name == "float8_e4m3fn" ? "F8_E4M3"
             : name == "float8_e5m2"   ? "F8_E5M2"
                                       : "";
    default:
      return "";
  }
}

// Reads a tensor whose bytes do not lie as the format wants them.
class TurnedTensor {
 public:
  TurnedTensor(std::shared_ptr<Archive> archive, std::size_t member)
      : archive_(std::move(archive)), member_(member) {}

  Result<void> read(std::uint64_t offset, std::span<char> buffer) {
    const shm::Layout& layout = archive_->members()[member_].layout;
    const auto fd = archive_->open(member_);
    if (!fd) {
      return tl::unexpected(fd.error());
    }
    if (!reader_ || fd_ != *fd) {
      reader_.emplace(*fd, layout);
      fd_ = *fd;
    }
    // Whole numbers, so that their bytes can be turned.
    const bool complex = layout.dtype.kind() == Kind::kComplex;
    const std::uint64_t width = layout.dtype.itemsize() / (complex ? 2 : 1);
    const std::uint64_t begin = offset / width * width;
    const std::uint64_t end = (offset + buffer.size() + width - 1) / width * width;
    bytes_.resize(static_cast<std::size_t>(end - begin));
    if (auto got = reader_->read(begin, bytes_); !got) {
      return got;
    }
    if (layout.dtype.byte_order() == shm::ByteOrder::kBig) {
      for (auto at = bytes_.begin(); at != bytes_.end(); at += static_cast<std::ptrdiff_t>(width)) {
        std::reverse(at, at + static_cast<std::ptrdiff_t>(width));
      }
    }
    const auto* from = reinterpret_cast<const char*>(bytes_.data()) + (offset - begin);
    std::copy_n(from, buffer.size(), buffer.data());
    return {};
  }

 private:
  std::shared_ptr<Archive> archive_;
  std::size_t member_;
  std::optional<ElementReader> reader_;
  int fd_ = -1;
  std::vector<std::byte> bytes_;
};

Piece tensor_piece(const std::shared_ptr<Archive>& archive, std::size_t member) {
  const shm::Layout& layout = archive->members()[member].layout;
  const bool straight = layout.order == shm::Order::kC || layout.shape.size() < 2;
  if (straight && layout.dtype.byte_order() != shm::ByteOrder::kBig) {
    return {layout.nbytes(), [archive, member](std::uint64_t offset, std::span<char> buffer) {
              const std::uint64_t at = archive->members()[member].layout.data_offset + offset;
              return archive->open(member).and_then(
                  [&](int fd) { return read_exactly(fd, at, buffer); });
            }};
  }
  auto turned = std::make_shared<TurnedTensor>(archive, member);
  return {layout.nbytes(), [turned](std::uint64_t offset, std::span<char> buffer) {
            return turned->read(offset, buffer);
          }};
}

OpenedStream open_archive(const std::shared_ptr<Archive>& archive) {
  std::vector<std::size_t> order(archive->members().size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
  }
  const auto& members = archive->members();
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t member) {
    return members[member].layout.dtype.itemsize();
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  std::vector<Piece> pieces(1);
  std::uint64_t offset = 0;
  for (const std::size_t member : order) {
    const shm::Layout& layout = members[member].layout;
    const std::string type = tensor_type(layout.dtype);
    if (type.empty()) {
      return fail(EOPNOTSUPP, members[member].file + ": safetensors has no " + layout.dtype.name());
    }
    header[members[member].name()] = {{"dtype", type},
                                      {"shape", layout.shape},
                                      {"data_offsets", {offset, offset + layout.nbytes()}}};
    offset += layout.nbytes();
    pieces.push_back(tensor_piece(archive, member));
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  text.resize((text.size() + kAlign - 1) / kAlign * kAlign, ' ');
  std::string length(kLengthBytes, '\0');
  store(std::uint64_t{text.size()}, reinterpret_cast<std::byte*>(length.data()),
        std::endian::native == std::endian::big);
  pieces.front() = text_piece(length + text);
  return std::make_unique<PieceStream>(std::move(pieces), archive);
}

class Safetensors final : public View {
 public:
  [[nodiscard]] std::string_view directory() const override { return "safetensors"; }
  [[nodiscard]] std::string_view suffix() const override { return ".safetensors"; }
  [[nodiscard]] bool is_archive() const override { return true; }
  [[nodiscard]] OpenedStream open(ViewInput /*input*/) const override { return fail(EOPNOTSUPP); }
  [[nodiscard]] OpenedStream open_directory(DirectoryInput input) const override {
    return Archive::scan(std::move(input)).and_then(open_archive);
  }
};

}  // namespace

std::unique_ptr<const View> make_safetensors_view() {
  return std::make_unique<Safetensors>();
}

}  // namespace arrayfs
