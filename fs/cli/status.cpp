// `arrayfs status`: the status of one mount, or of every mount.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "mounted_path.hpp"

namespace arrayfs {
namespace {

using shm::Result;

constexpr char kExamples[] = R"(
Examples:
  arrayfs status                 every arrayfs mount
  arrayfs status /mnt/arrays --json)";

struct StatusArguments {
  std::string dir;
  bool json = false;
};

Result<void> status_command(const StatusArguments& arguments) {
  std::vector<std::string> mountpoints;
  if (arguments.dir.empty()) {
    for (const MountEntry& mount : arrayfs_mounts()) {
      mountpoints.push_back(mount.mountpoint);
    }
    if (mountpoints.empty()) {
      return shm::fail(ENODEV, "nothing is mounted; make a mount with arrayfs mount DIR");
    }
  } else {
    const auto found = find_mount(arguments.dir);
    if (!found) {
      return tl::unexpected(found.error());
    }
    mountpoints.push_back(found->mount.mountpoint);
  }
  auto all = nlohmann::ordered_json::array();
  for (const std::string& mountpoint : mountpoints) {
    const auto lines = read_status(mountpoint);
    if (!lines) {
      return tl::unexpected(lines.error());
    }
    nlohmann::ordered_json one;
    for (const auto& [key, value] : *lines) {
      one[key] = value;
      if (!value.empty() && value.find_first_not_of("0123456789") == std::string::npos) {
        one[key] = std::stoull(value);
      }
      if (!arguments.json) {
        std::cout << key << ": " << value << '\n';
      }
    }
    all.push_back(std::move(one));
    if (!arguments.json && mountpoint != mountpoints.back()) {
      std::cout << '\n';
    }
  }
  if (arguments.json) {
    const auto& shown = arguments.dir.empty() ? all : all.front();
    std::cout << shown.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  }
  return {};
}

}  // namespace

void add_status_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<StatusArguments>();
  CLI::App* command =
      app.add_subcommand("status", "Show the data plane, capacity and use of a mount");
  command->footer(kExamples);
  command->add_option("DIR", arguments->dir, "A directory of the mount (default: all mounts)");
  command->add_flag("--json", arguments->json, "As JSON");
  command->callback(
      [arguments, &action] { action = [arguments] { return status_command(*arguments); }; });
}

}  // namespace arrayfs
