// `arrayfs upgrade`: this program takes over a mount from the one that serves it.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iostream>

#include "../state_memory.hpp"
#include "../supervisor.hpp"
#include "commands.hpp"
#include "config_file.hpp"
#include "mounted_path.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr char kExamples[] = R"(
Examples:
  arrayfs upgrade /mnt/arrays    after a new version was installed
Programs that use the mount notice nothing; open files and mappings go on.)";

Result<void> upgrade(const std::string& dir) {
  const auto found = find_mount(dir);
  if (!found || !found->inner.empty()) {
    return fail(EINVAL, dir + ": no arrayfs is mounted there");
  }
  const std::string& mountpoint = found->mount.mountpoint;
  auto before = status_of(mountpoint);
  if (!before) {
    return tl::unexpected(before.error());
  }
  if ((*before)["state_version"] != std::to_string(kStateVersion)) {
    return fail(
        EPROTO,
        fmt::format("{}: its server {} keeps its state in another form; unmount it and mount it "
                    "again, the arrays stay",
                    mountpoint, (*before)["version"]));
  }
  if ((*before)["supervisor_pid"] == "killed") {
    return fail(ESRCH, mountpoint + ": its supervisor was killed; unmount it and mount it again");
  }
  if ((*before)["resend"] != "yes") {
    return fail(EOPNOTSUPP, mountpoint +
                                ": this kernel would lose what programs ask for meanwhile (Linux "
                                "6.9 or later does not); unmount it and mount it again, the arrays "
                                "stay");
  }
  if (kill(std::stoi((*before)["supervisor_pid"]), Supervisor::kUpgradeSignal) != 0) {
    return shm::posix::fail_errno(mountpoint + ": its supervisor");
  }
  // The supervisor asks this process what program it is, so it stays until that is done.
  const auto is_other = [&](const StatusFields& now, const char* key) {
    return now.at(key) != before->at(key);
  };
  const auto after = wait_for_status(mountpoint, [&](const StatusFields& now) {
    return is_other(now, "upgrades") || is_other(now, "restarts");
  });
  if (!after) {
    return fail(ETIMEDOUT, mountpoint + ": not upgraded; see its log");
  }
  if (!is_other(*after, "upgrades")) {
    return fail(EIO, mountpoint + ": not upgraded, " + after->at("last_restart"));
  }
  std::cout << fmt::format("{} is served by version {} now, pid {}\n", mountpoint,
                           after->at("version"), after->at("server_pid"));
  return {};
}

Result<std::string> mountpoint_in(const std::string& config_file) {
  const auto settings = read_config_file(config_file);
  if (!settings) {
    return tl::unexpected(settings.error());
  }
  const auto dir = std::ranges::find(*settings, "dir", &Setting::key);
  if (dir == settings->end()) {
    return fail(EINVAL, config_file + ": has no line 'dir = /mnt/arrays'");
  }
  return dir->value;
}

}  // namespace

void add_upgrade_command(CLI::App& app, Action& action) {
  auto dir = std::make_shared<std::string>();
  auto config_file = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("upgrade", "Let this program take over a mount from an older one");
  command->footer(kExamples);
  CLI::Option* positional = command->add_option("DIR", *dir, "The mount point");
  command->add_option("--config", *config_file, "The mount that this file describes")
      ->excludes(positional);
  command->callback([dir, config_file, &action] {
    if (dir->empty() && config_file->empty()) {
      throw CLI::RequiredError("DIR or --config");
    }
    action = [dir, config_file]() -> Result<void> {
      return config_file->empty() ? upgrade(*dir) : mountpoint_in(*config_file).and_then(upgrade);
    };
  });
}

}  // namespace arrayfs
