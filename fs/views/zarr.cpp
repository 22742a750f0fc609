// `zarr/PATH.zarr/`: a read-only Zarr store of one uncompressed chunk, the array as it lies.
//
// Version 2 (`.zarray`, `.zattrs`, chunk `0.0`) for every dtype that it has, version 3
// (`zarr.json`, chunk `c/0/0`) for those of its core. Sources: zarr-specs.readthedocs.io, v2.0 and
// v3.0.
#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>

#include "formats.hpp"
#include "pieces.hpp"

namespace arrayfs {
namespace {

using Json = nlohmann::ordered_json;
using shm::fail;
using shm::Kind;
using shm::Layout;
using shm::Result;

// Numbers of the generated entries; from kPath on, the directories of the chunk of version 3, `c`
// first, and at last the chunk itself.
enum : std::uint32_t {
  kArray = View::kFirstGenerated,
  kAttributes,
  kV3,
  kChunk,
  kPath,
};

// A chunk has at least one element an axis.
std::vector<std::uint64_t> chunk_shape(const Layout& layout) {
  std::vector<std::uint64_t> shape = layout.shape;
  std::ranges::transform(shape, shape.begin(),
                         [](std::uint64_t extent) { return std::max<std::uint64_t>(1, extent); });
  return shape;
}

// The dtype as version 2 writes it: NumPy's typestr, or a list of fields. No text for padding,
// which NumPy itself names by an empty field.
std::optional<Json> v2_dtype(const shm::Dtype& dtype) {
  if (dtype.kind() != Kind::kStruct) {
    return dtype.typestr();
  }
  Json fields = Json::array();
  std::uint64_t end = 0;
  for (const shm::Field& field : dtype.fields()) {
    const auto type = v2_dtype(field.dtype);
    if (!type || field.offset != end) {
      return std::nullopt;
    }
    end += field.itemsize;
    Json described = Json::array({field.name, *type});
    if (!field.shape.empty()) {
      described.push_back(field.shape);
    }
    fields.push_back(std::move(described));
  }
  return end == dtype.itemsize() ? std::optional(fields) : std::nullopt;
}

std::string v3_name(const shm::Dtype& dtype) {
  std::string name = dtype.name();
  const std::string bits = std::to_string(dtype.itemsize() * 8);
  switch (dtype.kind()) {
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int" + bits;
    case Kind::kUint:
      return "uint" + bits;
    case Kind::kFloat:
      return dtype.itemsize() <= 8 ? "float" + bits : "";
    case Kind::kComplex:
      return dtype.itemsize() <= 16 ? "complex" + bits : "";
    case Kind::kVoid:
      if (name == "bfloat16" || name.starts_with("float8")) {
        return name;
      }
      return dtype.itemsize() > 0 ? "r" + bits : "";
    default:
      return "";
  }
}

Json v3_fill_value(const shm::Dtype& dtype) {
  switch (dtype.kind()) {
    case Kind::kBool:
      return false;
    case Kind::kFloat:
      return 0.0;
    case Kind::kComplex:
      return Json::array({0.0, 0.0});
    case Kind::kVoid:
      if (!v3_name(dtype).starts_with('r')) {
        return 0.0;
      }
      return std::vector<int>(dtype.itemsize(), 0);
    default:
      return 0;
  }
}

std::string array_json(const Layout& layout) {
  return Json{{"zarr_format", 2},
              {"shape", layout.shape},
              {"chunks", chunk_shape(layout)},
              {"dtype", *v2_dtype(layout.dtype)},
              {"compressor", nullptr},
              {"fill_value", nullptr},
              {"order", std::string(1, static_cast<char>(layout.order))},
              {"filters", nullptr}}
             .dump(4, ' ', true, Json::error_handler_t::replace) +
         '\n';
}

std::string v3_json(const Layout& layout) {
  Json codecs = Json::array();
  if (layout.order == shm::Order::kFortran && layout.shape.size() > 1) {
    std::vector<std::size_t> axes(layout.shape.size());
    std::ranges::generate(axes, [axis = axes.size()]() mutable { return --axis; });
    codecs.push_back({{"name", "transpose"}, {"configuration", {{"order", axes}}}});
  }
  const bool big = layout.dtype.byte_order() == shm::ByteOrder::kBig;
  codecs.push_back({{"name", "bytes"}, {"configuration", {{"endian", big ? "big" : "little"}}}});
  return Json{
             {"zarr_format", 3},
             {"node_type", "array"},
             {"shape", layout.shape},
             {"data_type", v3_name(layout.dtype)},
             {"chunk_grid",
              {{"name", "regular"}, {"configuration", {{"chunk_shape", chunk_shape(layout)}}}}},
             {"chunk_key_encoding", {{"name", "default"}, {"configuration", {{"separator", "/"}}}}},
             {"fill_value", v3_fill_value(layout.dtype)},
             {"codecs", codecs},
             {"attributes", Json::object()}}
             .dump(4) +
         '\n';
}

std::string v2_chunk_name(const Layout& layout) {
  std::string name = "0";
  for (std::size_t axis = 1; axis < layout.shape.size(); ++axis) {
    name += ".0";
  }
  return name;
}

class Zarr final : public View {
 public:
  [[nodiscard]] std::string_view directory() const override { return "zarr"; }
  [[nodiscard]] std::string_view suffix() const override { return ".zarr"; }
  [[nodiscard]] bool is_directory() const override { return true; }
  [[nodiscard]] bool is_sized() const override { return true; }

  [[nodiscard]] std::vector<GeneratedEntry> list(const Layout& layout,
                                                 std::uint32_t number) const override {
    std::vector<GeneratedEntry> entries;
    const auto last = static_cast<std::uint32_t>(kPath + layout.shape.size());
    const bool whole = layout.size() != 0;  // no element, no chunk
    const bool v3 = !v3_name(layout.dtype).empty();
    if (number == 0) {
      if (v2_dtype(layout.dtype)) {
        entries.push_back({".zarray", kArray});
        entries.push_back({".zattrs", kAttributes});
        if (whole) {
          entries.push_back({v2_chunk_name(layout), kChunk});
        }
      }
      if (v3) {
        entries.push_back({"zarr.json", kV3});
        if (whole) {
          entries.push_back({"c", kPath, last != kPath});
        }
      }
    } else if (number >= kPath && number < last && v3 && whole) {
      entries.push_back({"0", number + 1, number + 1 != last});
    }
    return entries;
  }

  [[nodiscard]] Result<GeneratedEntry> find(const Layout& layout, std::uint32_t number,
                                            std::string_view name) const override {
    for (GeneratedEntry& entry : list(layout, number)) {
      if (entry.name == name) {
        return std::move(entry);
      }
    }
    return fail(ENOENT);
  }

  [[nodiscard]] Result<GeneratedEntry> at(const Layout& layout,
                                          std::uint32_t number) const override {
    for (GeneratedEntry& entry : list(layout, number > kPath ? number - 1 : 0)) {
      if (entry.number == number) {
        return std::move(entry);
      }
    }
    return fail(ESTALE);
  }

  [[nodiscard]] std::optional<std::uint64_t> size_bytes(const Layout& layout,
                                                        std::uint32_t number) const override {
    const auto text = metadata(layout, number);
    return text ? text->size() : layout.nbytes();
  }

  [[nodiscard]] OpenedStream open(ViewInput input) const override {
    return layout_to_show(input.file).and_then([&](const Layout& layout) -> OpenedStream {
      const auto entry = at(layout, input.generated);
      if (!entry || entry->is_directory) {
        return fail(entry ? EISDIR : ESTALE);
      }
      if (auto text = metadata(layout, input.generated)) {
        return std::make_unique<TextStream>(std::move(*text));
      }
      auto file = std::make_shared<ArrayFile>(std::move(input.file));
      std::vector<Piece> pieces{file_piece(file->fd.get(), layout.data_offset, layout.nbytes())};
      return std::make_unique<PieceStream>(std::move(pieces), std::move(file));
    });
  }

 private:
  // The text of a file of metadata; nothing for a chunk.
  [[nodiscard]] static std::optional<std::string> metadata(const Layout& layout,
                                                           std::uint32_t number) {
    switch (number) {
      case kArray:
        return array_json(layout);
      case kAttributes:
        return "{}\n";
      case kV3:
        return v3_json(layout);
      default:
        return std::nullopt;
    }
  }
};

}  // namespace

std::unique_ptr<const View> make_zarr_view() {
  return std::make_unique<Zarr>();
}

}  // namespace arrayfs
