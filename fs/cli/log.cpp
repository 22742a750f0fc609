// `arrayfs log`: which lines the daemon of a mount logs, from now on.
#include "../log.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "commands.hpp"
#include "mounted_path.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr char kExamples[] = R"(
Examples:
  arrayfs log debug /mnt/arrays    every refusal, too, at once and without a restart
  arrayfs log info /mnt/arrays
Who runs the daemon may, and root. The level stays when the server is replaced or upgraded.)";

// The supervisor keeps the level and tells its server; a server that is alone does both.
Result<void> send_level(const std::string& mountpoint, const StatusFields& status, int level) {
  const std::string& supervisor = status.at("supervisor_pid");
  const std::string& pid = supervisor == "killed" ? status.at("server_pid") : supervisor;
  sigval value{};
  value.sival_int = level;
  if (sigqueue(std::stoi(pid), kLogLevelSignal, value) != 0) {
    return shm::posix::fail_errno(mountpoint + ": its daemon " + pid +
                                  ", to which only root and who runs it may speak");
  }
  return {};
}

Result<void> log_command(const std::string& level, const std::string& dir) {
  const auto found = find_mount(dir);
  if (!found) {
    return tl::unexpected(found.error());
  }
  const std::string& mountpoint = found->mount.mountpoint;
  const auto before = status_of(mountpoint);
  if (!before) {
    return tl::unexpected(before.error());
  }
  if (!before->contains("log_level")) {
    return fail(ENOTSUP, mountpoint +
                             ": served by an older version, whose level stays as it is; "
                             "see arrayfs upgrade --help");
  }
  const auto* const index = std::ranges::find(kLogLevels, level);
  if (auto sent = send_level(mountpoint, *before, static_cast<int>(index - kLogLevels.begin()));
      !sent) {
    return sent;
  }
  const auto is_obeyed = [&](const StatusFields& now) { return now.at("log_level") == level; };
  if (!wait_for_status(mountpoint, is_obeyed)) {
    return fail(ETIMEDOUT, mountpoint + ": the daemon does not answer; see arrayfs doctor");
  }
  return {};
}

}  // namespace

void add_log_command(CLI::App& app, Action& action) {
  auto level = std::make_shared<std::string>();
  auto dir = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("log", "Change what the daemon of a mount logs");
  command->footer(kExamples);
  command->add_option("LEVEL", *level, "trace, debug, info, warning, error, off")
      ->required()
      ->check(CLI::IsMember(std::vector<std::string>(kLogLevels.begin(), kLogLevels.end())));
  command->add_option("DIR", *dir, "A directory of the mount")->required();
  command->callback(
      [level, dir, &action] { action = [level, dir] { return log_command(*level, *dir); }; });
}

}  // namespace arrayfs
