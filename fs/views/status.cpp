// `status`: the mount on one screen, `key: value` lines.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "../state_memory.hpp"
#include "../text.hpp"
#include "formats.hpp"

namespace arrayfs {
namespace {

namespace stdfs = std::filesystem;

struct Counts {
  std::uint64_t arrays = 0;  ///< files that begin as .npy does
  std::uint64_t files = 0;   ///< all regular files
};

bool begins_as_npy(const stdfs::path& path) {
  const auto fd = shm::posix::open_at(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  char magic[6];
  return fd && pread(fd->get(), magic, sizeof magic, 0) == sizeof magic &&
         std::memcmp(magic, "\x93NUMPY", sizeof magic) == 0;
}

Counts count_files(int root_fd) {
  Counts counts;
  std::error_code error;  // entries that vanish meanwhile are not counted
  const stdfs::path root = "/proc/self/fd/" + std::to_string(root_fd) + "/.";
  for (stdfs::recursive_directory_iterator
           at(root, stdfs::directory_options::skip_permission_denied, error),
       end;
       !error && at != end; at.increment(error)) {
    std::error_code gone;
    if (at->symlink_status(gone).type() == stdfs::file_type::regular) {
      ++counts.files;
      counts.arrays += begins_as_npy(at->path()) ? 1 : 0;
    }
  }
  return counts;
}

class Status final : public Report {
 public:
  [[nodiscard]] std::string_view name() const override { return "status"; }
  [[nodiscard]] std::string text(const MountStatus& status) const override {
    const Counts counts = count_files(status.store_root_fd);
    return fmt::format(
        "version: {}\n"
        "mountpoint: {}\n"
        "name: {}\n"
        "plane: {}\n"
        "plane_reason: {}\n"
        "store: {}\n"
        "store_path: {}\n"
        "capacity_bytes: {}\n"
        "used_bytes: {}\n"
        "free_bytes: {}\n"
        "use: {} of {}\n"
        "reservation: {}\n"
        "nameless_files: {}\n"
        "nameless_bytes: {}\n"
        "arrays: {}\n"
        "files: {}\n"
        "open_files: {}\n"
        "kernel_nodes: {}\n"
        "uptime: {}\n"
        "server_pid: {}\n"
        "supervisor_pid: {}\n"
        "restarts: {}\n"
        "last_restart: {}\n"
        "upgrades: {}\n"
        "state_version: {}\n",
        status.version, printable(status.mountpoint), printable(status.name), status.plane,
        status.plane_reason, printable(status.store_description), printable(status.store_path),
        status.capacity_bytes, status.used_bytes, status.free_bytes, human_bytes(status.used_bytes),
        human_bytes(status.capacity_bytes), status.sparse ? "off (--sparse)" : "on",
        status.nameless_files, status.nameless_bytes, counts.arrays, counts.files,
        status.open_files, status.nodes, human_duration(status.uptime_seconds), status.server_pid,
        status.supervisor_pid != 0 ? std::to_string(status.supervisor_pid) : "killed",
        status.restarts, status.last_restart.empty() ? "-" : status.last_restart, status.upgrades,
        kStateVersion);
  }
};

}  // namespace

std::unique_ptr<const Report> make_status_report() {
  return std::make_unique<Status>();
}

}  // namespace arrayfs
