// `status`: the mount on one screen, `key: value` lines.
#include <fmt/format.h>

#include "../state_memory.hpp"
#include "../text.hpp"
#include "formats.hpp"
#include "mount_counts.hpp"

namespace arrayfs {
namespace {

class Status final : public Report {
 public:
  [[nodiscard]] std::string_view name() const override { return "status"; }
  [[nodiscard]] std::string text(const MountStatus& status) const override {
    const MountCounts counts = count_mount(status.store_root_fd);
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
        "resend: {}\n"
        "restarts: {}\n"
        "last_restart: {}\n"
        "upgrades: {}\n"
        "log: {}\n"
        "log_format: {}\n"
        "log_level: {}\n"
        "state_version: {}\n",
        status.version, printable(status.mountpoint), printable(status.name), status.plane,
        status.plane_reason, printable(status.store_description), printable(status.store_path),
        status.capacity_bytes, status.used_bytes, status.free_bytes, human_bytes(status.used_bytes),
        human_bytes(status.capacity_bytes), status.sparse ? "off (--sparse)" : "on",
        status.nameless_files, status.nameless_bytes, counts.arrays, counts.files,
        status.open_files, status.nodes, human_duration(status.uptime_seconds), status.server_pid,
        status.supervisor_pid != 0 ? std::to_string(status.supervisor_pid) : "killed",
        status.can_resend ? "yes" : "no (Linux 6.9 or later has it)", status.restarts,
        status.last_restart.empty() ? "-" : status.last_restart, status.upgrades,
        printable(status.log_destination), status.log_format, status.log_level, kStateVersion);
  }
};

}  // namespace

std::unique_ptr<const Report> make_status_report() {
  return std::make_unique<Status>();
}

}  // namespace arrayfs
