#include "mounted_path.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <shm/posix.hpp>
#include <sstream>
#include <thread>

#include "../state_memory.hpp"

namespace arrayfs {
namespace {

namespace stdfs = std::filesystem;

constexpr size_t kMaxStatusBytes = 1U << 16;
constexpr std::int64_t kStatusTimeoutMs = 30'000;

std::string without_end_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') {
    path.pop_back();
  }
  return path;
}

std::optional<MountedPath> mount_of(const std::string& whole) {
  std::optional<MountedPath> best;
  for (const MountEntry& mount : arrayfs_mounts()) {
    const std::string& at = mount.mountpoint;
    const bool inside = whole == at || (whole.starts_with(at) && whole[at.size()] == '/');
    if (inside && (!best || at.size() >= best->mount.mountpoint.size())) {
      best = MountedPath{mount, whole == at ? "" : whole.substr(at.size() + 1)};
    }
  }
  return best;
}

}  // namespace

shm::Result<MountedPath> find_mount(const std::string& path) {
  std::error_code error;
  const stdfs::path absolute(
      without_end_slashes(stdfs::absolute(path, error).lexically_normal().string()));
  const stdfs::path whole = stdfs::weakly_canonical(absolute, error);
  // A dead mount cannot be resolved.
  auto found = mount_of(error ? absolute.string() : whole.string());
  if (!found) {
    // On the link plane an array is a symlink that leads out of the mount.
    found = mount_of(stdfs::weakly_canonical(absolute.parent_path(), error) / absolute.filename());
  }
  if (!found) {
    return shm::fail(ENODEV, path + ": not on an arrayfs mount; make one with arrayfs mount DIR");
  }
  return *found;
}

shm::Result<void> check_not_behind_link(const std::string& path) {
  struct stat file {};
  struct stat root {};
  const auto found = find_mount(path);
  if (found && stat(path.c_str(), &file) == 0 &&
      stat(found->mount.mountpoint.c_str(), &root) == 0 && file.st_dev != root.st_dev) {
    return shm::fail(ENOTSUP, path + ": behind a link nothing is sealed and no life is limited; " +
                                  "mount with --io cached for that");
  }
  return {};
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

shm::Result<StatusFields> status_of(const std::string& mountpoint) {
  return read_status(mountpoint).map([](const auto& lines) {
    return StatusFields(lines.begin(), lines.end());
  });
}

std::optional<StatusFields> wait_for_status(const std::string& mountpoint,
                                            const std::function<bool(const StatusFields&)>& holds) {
  const std::int64_t deadline = monotonic_ms() + kStatusTimeoutMs;
  while (monotonic_ms() < deadline) {
    if (auto now = status_of(mountpoint); now && holds(*now)) {
      return std::move(*now);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return std::nullopt;
}

}  // namespace arrayfs
