#include "mounted_path.hpp"

#include <cerrno>
#include <filesystem>
#include <optional>
#include <shm/posix.hpp>
#include <sstream>

namespace arrayfs {
namespace {

constexpr size_t kMaxStatusBytes = 1U << 16;

}  // namespace

shm::Result<MountedPath> find_mount(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error).lexically_normal();
  std::string whole = std::filesystem::weakly_canonical(absolute, error).string();
  if (error) {  // a dead mount cannot be resolved
    whole = absolute.string();
  }
  while (whole.size() > 1 && whole.back() == '/') {
    whole.pop_back();
  }
  std::optional<MountedPath> best;
  for (const MountEntry& mount : arrayfs_mounts()) {
    const std::string& at = mount.mountpoint;
    const bool inside = whole == at || (whole.starts_with(at) && whole[at.size()] == '/');
    if (inside && (!best || at.size() >= best->mount.mountpoint.size())) {
      best = MountedPath{mount, whole == at ? "" : whole.substr(at.size() + 1)};
    }
  }
  if (!best) {
    return shm::fail(ENODEV, path + ": not on an arrayfs mount; make one with arrayfs mount DIR");
  }
  return *best;
}

std::string MountedPath::control(const std::string& view) const {
  return mount.mountpoint + "/.arrayfs/" + view;
}

shm::Result<std::vector<std::pair<std::string, std::string>>> read_status(
    const std::string& mountpoint) {
  const auto text = shm::posix::read_file(mountpoint + "/.arrayfs/status", kMaxStatusBytes);
  if (!text) {
    return tl::unexpected(text.error());
  }
  std::vector<std::pair<std::string, std::string>> lines;
  std::istringstream stream(*text);
  for (std::string line; std::getline(stream, line);) {
    if (const size_t colon = line.find(": "); colon != std::string::npos) {
      lines.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    }
  }
  return lines;
}

}  // namespace arrayfs
