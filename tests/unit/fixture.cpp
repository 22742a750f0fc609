#include "fixture.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <stdexcept>

namespace shm {
namespace {

std::vector<Fixture> load_manifest() {
  std::ifstream file(FIXTURE_DIRECTORY "/manifest.json");
  std::vector<Fixture> all;
  for (const auto& entry : nlohmann::json::parse(file)) {
    all.push_back(Fixture{.file = entry["file"],
                          .canonical = entry["canonical"],
                          .typestr = entry["typestr"],
                          .descr = entry["descr"],
                          .name = entry["name"],
                          .itemsize = entry["itemsize"],
                          .native = entry["native"],
                          .object = entry["object"],
                          .shape = entry["shape"],
                          .order = entry["order"] == "F" ? Order::kFortran : Order::kC,
                          .strides = entry["strides"],
                          .offset = entry["offset"]});
  }
  return all;
}

}  // namespace

std::string Fixture::path() const {
  return FIXTURE_DIRECTORY "/" + file;
}

std::string Fixture::bytes() const {
  std::ifstream stream(path(), std::ios::binary);
  std::ostringstream content;
  content << stream.rdbuf();
  return content.str();
}

std::ostream& operator<<(std::ostream& out, const Fixture& fixture) {
  return out << fixture.file;
}

std::string fixture_name(const testing::TestParamInfo<Fixture>& info) {
  return std::filesystem::path(info.param.file).stem();
}

const std::vector<Fixture>& fixtures() {
  static const std::vector<Fixture> all = load_manifest();
  return all;
}

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string npy_file(std::string_view header, std::size_t data_bytes, int version) {
  std::string file = "\x93NUMPY";
  file.push_back(static_cast<char>(version));
  file.push_back('\0');
  for (unsigned i = 0; i < (version == 1 ? 2U : 4U); ++i) {
    file.push_back(static_cast<char>(header.size() >> 8U * i & 0xffU));
  }
  file += header;
  file.append(data_bytes, '\0');
  return file;
}

std::string npy_file_with(std::string_view descr, std::string_view shape, std::size_t data_bytes) {
  std::string header = "{'descr': ";
  header.append(descr).append(", 'fortran_order': False, 'shape': ").append(shape).append("}\n");
  return npy_file(header, data_bytes);
}

Result<Layout> parse_file(std::string_view bytes) {
  return parse_npy(as_bytes(bytes.substr(0, kMaxPrefixBytes)), bytes.size());
}

TemporaryDirectory::TemporaryDirectory() {
  std::string name = testing::TempDir() + "arrayfs-unit-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::path(std::string_view name) const {
  return path_ + "/" + std::string(name);
}

std::vector<std::string> TemporaryDirectory::names() const {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    all.push_back(entry.path().filename());
  }
  std::sort(all.begin(), all.end());
  return all;
}

std::string TemporaryDirectory::write(std::string_view name, std::string_view content) const {
  std::ofstream(path(name), std::ios::binary) << content;
  return path(name);
}

}  // namespace shm
