// The table of formats: a line each.
#include <vector>

#include "formats.hpp"
#include "view.hpp"

namespace arrayfs {

std::span<const std::unique_ptr<const View>> views() {
  static const auto registered = [] {
    std::vector<std::unique_ptr<const View>> all;
    all.push_back(make_info_view());
    all.push_back(make_json_view());
    return all;
  }();
  return registered;
}

std::span<const std::unique_ptr<const Report>> reports() {
  static const auto registered = [] {
    std::vector<std::unique_ptr<const Report>> all;
    all.push_back(make_readme_report());
    all.push_back(make_status_report());
    return all;
  }();
  return registered;
}

shm::Result<std::size_t> TextStream::read(std::uint64_t offset, std::span<char> buffer) {
  if (offset >= text_.size()) {
    return 0;
  }
  return text_.copy(buffer.data(), buffer.size(), offset);
}

}  // namespace arrayfs
