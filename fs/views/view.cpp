#include "view.hpp"

#include <cerrno>

namespace arrayfs {

using shm::fail;
using shm::Result;

Result<std::size_t> TextStream::read(std::uint64_t offset, std::span<char> buffer) {
  if (offset >= text_.size()) {
    return 0;
  }
  return text_.copy(buffer.data(), buffer.size(), offset);
}

OpenedStream View::open_directory(DirectoryInput /*input*/) const {
  return fail(EISDIR);
}

Result<GeneratedEntry> View::find(const shm::Layout& /*layout*/, std::uint32_t /*number*/,
                                  std::string_view /*name*/) const {
  return fail(ENOENT);
}

std::vector<GeneratedEntry> View::list(const shm::Layout& /*layout*/,
                                       std::uint32_t /*number*/) const {
  return {};
}

Result<GeneratedEntry> View::at(const shm::Layout& /*layout*/, std::uint32_t /*number*/) const {
  return fail(ENOENT);
}

std::optional<std::uint64_t> View::size_bytes(const shm::Layout& /*layout*/,
                                              std::uint32_t /*number*/) const {
  return std::nullopt;
}

Result<shm::Layout> layout_to_show(const ArrayFile& file) {
  if (!file.layout) {
    return fail(EOPNOTSUPP, file.reason);
  }
  if (file.layout->dtype.is_object()) {
    return fail(EOPNOTSUPP, "dtype object: pickled Python objects are never read");
  }
  return *file.layout;
}

}  // namespace arrayfs
