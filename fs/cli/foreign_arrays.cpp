#include "foreign_arrays.hpp"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>
#include <shm/posix.hpp>

#include "../values/element.hpp"
#include "../values/scalar.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The cells of one line of CSV; `at` moves behind it. Quoted cells may contain line ends.
Result<std::vector<std::string>> read_line(std::string_view text, std::size_t& at) {
  std::vector<std::string> cells(1);
  while (at < text.size() && text[at] != '\n') {
    if (text[at] == '"' && cells.back().empty()) {
      for (++at;;) {
        if (at >= text.size()) {
          return fail(EINVAL, "a quote is not closed");
        }
        const bool quote = text[at] == '"';
        if (quote && (at + 1 == text.size() || text[at + 1] != '"')) {
          ++at;
          break;
        }
        cells.back() += text[at];
        at += quote ? 2 : 1;  // two stand for one
      }
    } else if (text[at] == ',') {
      cells.emplace_back();
      ++at;
    } else {
      cells.back() += text[at] == '\r' ? "" : std::string(1, text[at]);
      ++at;
    }
  }
  at += at < text.size() ? 1 : 0;
  return cells;
}

// Doubles as they mostly are; everything else as parse_scalar() has it.
Result<void> append_cell(std::vector<std::byte>& data, const shm::Dtype& dtype,
                         const std::string& cell) {
  const std::size_t begin = cell.find_first_not_of(' ');
  const std::size_t end = cell.find_last_not_of(' ') + 1;
  const std::string_view text =
      begin == std::string::npos ? "" : std::string_view(cell).substr(begin, end - begin);
  if (dtype == shm::Dtype()) {
    double value = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && rest == text.data() + text.size()) {
      const auto* bytes = reinterpret_cast<const std::byte*>(&value);
      data.insert(data.end(), bytes, bytes + sizeof value);
      return {};
    }
  }
  return parse_scalar(dtype, text).map([&](const std::vector<std::byte>& bytes) {
    data.insert(data.end(), bytes.begin(), bytes.end());
  });
}

Result<shm::Dtype> tensor_dtype(const std::string& name) {
  constexpr std::pair<const char*, const char*> kTypes[] = {{"BOOL", "bool"},
                                                            {"U8", "uint8"},
                                                            {"I8", "int8"},
                                                            {"U16", "<u2"},
                                                            {"I16", "<i2"},
                                                            {"F16", "<f2"},
                                                            {"U32", "<u4"},
                                                            {"I32", "<i4"},
                                                            {"F32", "<f4"},
                                                            {"U64", "<u8"},
                                                            {"I64", "<i8"},
                                                            {"F64", "<f8"},
                                                            {"C64", "<c8"},
                                                            {"BF16", "bfloat16"},
                                                            {"F8_E4M3", "float8_e4m3fn"},
                                                            {"F8_E5M2", "float8_e5m2"}};
  for (const auto& [tensor, dtype] : kTypes) {
    if (name == tensor) {
      return shm::Dtype::parse(dtype);
    }
  }
  return fail(EINVAL, "no such type of tensors: " + name);
}

Result<ForeignArray> read_tensor(const std::string& name, const nlohmann::json& tensor,
                                 std::span<const std::byte> data) {
  const auto offsets = tensor.value("data_offsets", std::vector<std::uint64_t>());
  const auto shape = tensor.value("shape", std::vector<std::uint64_t>());
  const auto dtype = tensor_dtype(tensor.value("dtype", ""));
  if (!dtype) {
    return tl::unexpected(dtype.error());
  }
  if (auto checked = shm::check_shape(*dtype, shape); !checked) {
    return tl::unexpected(checked.error());
  }
  ForeignArray array;
  array.name = name;
  array.dtype = *dtype;
  array.shape = shape;
  const std::uint64_t nbytes = shm::Layout{*dtype, shape, shm::Order::kC, 0}.nbytes();
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data.size() ||
      offsets[1] - offsets[0] != nbytes) {
    return fail(EINVAL, name + ": its data does not lie in the file");
  }
  array.bytes = data.subspan(offsets[0], nbytes);
  return array;
}

Result<ForeignArray> read_raw(const MappedFile& file, const ForeignType& type) {
  if (!type.dtype || !type.shape) {
    return fail(EINVAL, "raw data has no type of its own; give DTYPE and SHAPE");
  }
  if (auto checked = shm::check_shape(*type.dtype, *type.shape); !checked) {
    return tl::unexpected(checked.error());
  }
  const std::uint64_t nbytes = shm::Layout{*type.dtype, *type.shape, type.order, 0}.nbytes();
  if (nbytes != file.bytes.size()) {
    return fail(EINVAL, "the file has " + std::to_string(file.bytes.size()) + " bytes, the array " +
                            std::to_string(nbytes));
  }
  return ForeignArray{"", *type.dtype, *type.shape, type.order, file.bytes, file.owner, {}};
}

Result<std::vector<ForeignArray>> read_arrays(const std::string& path, const MappedFile& file,
                                              const ForeignType& type) {
  const auto one = [](ForeignArray array) { return std::vector{std::move(array)}; };
  if (path.ends_with(".npz")) {
    return read_npz(file);
  }
  if (path.ends_with(".safetensors")) {
    return read_safetensors(file);
  }
  if (path.ends_with(".csv")) {
    return read_csv(file, type).map(one);
  }
  if (path.ends_with(".npy") && !type.dtype) {
    return read_npy_bytes(file.bytes, file.owner).map(one);
  }
  return read_raw(file, type).map(one);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  auto fd = shm::posix::open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  const auto st = shm::posix::stat_fd(fd->get());
  if (!st) {
    return tl::unexpected(st.error());
  }
  if (!S_ISREG(st->st_mode)) {
    return fail(EINVAL, "not a regular file");
  }
  if (st->st_size == 0) {
    return MappedFile{};
  }
  return FileMapping::map(std::move(*fd), 0, static_cast<std::size_t>(st->st_size))
      .map([](std::shared_ptr<const FileMapping> owner) {
        return MappedFile{owner->bytes(), std::move(owner)};
      });
}

shm::Result<ForeignType> parse_foreign_type(const std::string& dtype, const std::string& shape) {
  ForeignType type;
  if (!dtype.empty()) {
    auto parsed = shm::Dtype::parse(dtype);
    if (!parsed) {
      return tl::unexpected(parsed.error());
    }
    type.dtype = std::move(*parsed);
  }
  if (!shape.empty()) {
    auto parsed = shm::parse_shape(shape);
    if (!parsed) {
      return tl::unexpected(parsed.error());
    }
    type.shape = std::move(*parsed);
  }
  return type;
}

bool is_archive_name(const std::string& path) {
  return path.ends_with(".npz") || path.ends_with(".safetensors");
}

Result<ForeignArray> read_npy_bytes(std::span<const std::byte> bytes,
                                    std::shared_ptr<const void> owner) {
  const auto layout = shm::parse_npy(
      bytes.first(std::min<std::size_t>(bytes.size(), shm::kMaxPrefixBytes)), bytes.size());
  if (!layout) {
    return tl::unexpected(layout.error());
  }
  if (layout->dtype.is_object()) {
    return fail(EOPNOTSUPP, "dtype object: pickled Python objects are never read");
  }
  return ForeignArray{"",
                      layout->dtype,
                      layout->shape,
                      layout->order,
                      bytes.subspan(layout->data_offset, layout->nbytes()),
                      std::move(owner),
                      {}};
}

Result<std::vector<ForeignArray>> read_safetensors(const MappedFile& file) {
  constexpr std::size_t kLengthBytes = 8;
  if (file.bytes.size() < kLengthBytes) {
    return fail(EINVAL, "too short for safetensors");
  }
  const auto length =
      load<std::uint64_t>(file.bytes.data(), std::endian::native == std::endian::big);
  if (length > file.bytes.size() - kLengthBytes) {
    return fail(EINVAL, "the header is longer than the file");
  }
  const auto header =
      nlohmann::json::parse(text_of(file.bytes.subspan(kLengthBytes, length)), nullptr, false);
  if (!header.is_object()) {
    return fail(EINVAL, "the header is no JSON object");
  }
  std::vector<ForeignArray> arrays;
  for (const auto& [name, tensor] : header.items()) {
    if (name == "__metadata__") {
      continue;
    }
    try {
      auto array = read_tensor(name, tensor, file.bytes.subspan(kLengthBytes + length));
      if (!array) {
        return tl::unexpected(array.error());
      }
      array->owner = file.owner;
      arrays.push_back(std::move(*array));
    } catch (const nlohmann::json::exception&) {
      return fail(EINVAL, name + ": not described as a tensor");
    }
  }
  return arrays;
}

Result<ForeignArray> read_csv(const MappedFile& file, const ForeignType& type) {
  const std::string_view text = text_of(file.bytes);
  auto data = std::make_shared<std::vector<std::byte>>();
  ForeignArray array;
  array.dtype = type.dtype.value_or(shm::Dtype());
  if (array.dtype.is_object() || array.dtype.kind() == shm::Kind::kStruct) {
    return fail(EOPNOTSUPP, "columns of different types are not read from CSV; give one type");
  }
  std::uint64_t lines = 0;
  std::size_t columns = 0;
  std::uint64_t line = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto cells = read_line(text, at);
    ++line;
    const auto here = [&](const std::string& what) {
      return fail(EINVAL, "line " + std::to_string(line) + ": " + what);
    };
    if (!cells) {
      return here(cells.error().context);
    }
    if ((line == 1 && type.skip_heading) || (cells->size() == 1 && cells->front().empty())) {
      continue;
    }
    if (lines != 0 && cells->size() != columns) {
      return here(std::to_string(cells->size()) + " values instead of " + std::to_string(columns));
    }
    columns = cells->size();
    ++lines;
    for (const std::string& cell : *cells) {
      if (auto added = append_cell(*data, array.dtype, cell); !added) {
        return here(added.error().context +
                    (line == 1 ? "; --skip-heading leaves the first line out" : ""));
      }
    }
  }
  array.shape = columns == 1 ? shm::Shape{lines} : shm::Shape{lines, columns};
  if (type.shape) {
    const shm::Layout wanted{array.dtype, *type.shape, shm::Order::kC, 0};
    if (auto checked = shm::check_shape(array.dtype, *type.shape);
        !checked || wanted.nbytes() != data->size()) {
      return fail(EINVAL, "the file has " + std::to_string(lines * columns) + " values, not " +
                              wanted.shape_text());
    }
    array.shape = *type.shape;
  }
  array.bytes = *data;
  array.owner = std::move(data);
  return array;
}

Result<void> check_source(const std::string& path, const ForeignArray& array) {
  return array.file == nullptr ? Result<void>{} : array.file->check(path);
}

Result<std::vector<ForeignArray>> read_foreign(const std::string& path, const ForeignType& type) {
  const auto about = [&](const shm::Error& error) {
    const bool named = error.context.starts_with(path);
    return shm::Error{error.code, named ? error.context : path + ": " + error.context};
  };
  const auto file = MappedFile::open(path);
  if (!file) {
    return tl::unexpected(about(file.error()));
  }
  auto arrays = read_arrays(path, *file, type);
  if (auto whole = file->owner == nullptr ? Result<void>{} : file->owner->check(path); !whole) {
    return tl::unexpected(whole.error());  // whatever seemed wrong with its bytes
  }
  if (!arrays) {
    return tl::unexpected(about(arrays.error()));
  }
  for (ForeignArray& array : *arrays) {
    array.file = file->owner;
  }
  return arrays;
}

}  // namespace arrayfs
