#include "mount_options.hpp"

#include <unistd.h>

#include <cerrno>
#include <map>

#include "../log.hpp"
#include "config_file.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

const std::map<std::string, Io> kPlanes{{"auto", Io::kAuto},
                                        {"passthrough", Io::kPassthrough},
                                        {"cached", Io::kCached},
                                        {"link", Io::kLink}};

// Of a directory that was given to somebody: nobody else's unless `--mode` says so.
mode_t mode_for(const RootOwner& owner) {
  return owner.gid ? 02770 : 0700;
}

}  // namespace

void add_mount_options(CLI::App& command, MountArguments& arguments) {
  MountConfig& config = arguments.config;
  command.add_option("DIR", config.mountpoint, "An existing directory");
  command.add_option("--config", arguments.config_file,
                     "Take from this file what is not given here; see arrayfs.conf(5)");
  CLI::Option* size =
      command
          .add_option(
              "--size", arguments.size,
              "Capacity: bytes with K, M, G or T, or a share of the memory as 50% (default)")
          ->check([](const std::string& text) {
            const auto bytes = parse_size(text);
            return bytes ? std::string() : bytes.error().context;
          });
  command
      .add_option("--store", config.store_dir,
                  "Keep the arrays in the files of this directory, not in a private tmpfs")
      ->excludes(size);  // its file system has a size
  command.add_option("--name", config.name,
                     "Name of the private store (default: from DIR); the same name finds it again");
  command
      .add_option("--io", arguments.io,
                  "Data plane: auto (default: the best that keeps all promises), passthrough, "
                  "cached, link")
      ->check(CLI::IsMember({"auto", "passthrough", "cached", "link"}));
  command
      .add_option("--huge", config.huge, "Huge pages of the private tmpfs (default within_size)")
      ->check(CLI::IsMember({"never", "within_size", "always", "advise"}));
  command
      .add_option("--owner", arguments.owner,
                  "Give the root directory to USER, USER:GROUP or :GROUP, each time it is mounted; "
                  "its mode is 0700 then, with a group 2770")
      ->check([](const std::string& text) {
        const auto owner = parse_owner(text);
        return owner ? std::string() : owner.error().context;
      });
  command
      .add_option(
          "--mode", arguments.mode,
          "Mode of a new store's root directory (default 1777); with --owner of any store's")
      ->check([](const std::string& text) {
        return !text.empty() && text.size() <= 5 &&
                       text.find_first_not_of("01234567") == std::string::npos
                   ? std::string()
                   : "give an octal mode, as 0755";
      });
  command.add_flag("--sparse", config.sparse,
                   "Let files have holes; touching one when memory is full is then SIGBUS");
  command.add_flag("--show-control", config.show_control, "List .arrayfs in the root directory");
  command.add_flag("--foreground", config.foreground, "Stay in the foreground, log to stderr");
  command.add_option("--log-file", config.log_file,
                     "Append the log to this file (default: syslog, or stderr in the foreground)");
  command
      .add_option("--log-level", config.log_level,
                  "trace, debug, info (default), warning, error, off; arrayfs log changes it later")
      ->check(CLI::IsMember(std::vector<std::string>(kLogLevels.begin(), kLogLevels.end())));
  command
      .add_option("--log-format", config.log_format,
                  "Lines of the log: text (default), or json: one object a line")
      ->check(CLI::IsMember({"text", "json"}));
}

Result<void> complete(CLI::App& command, MountArguments& arguments) {
  MountConfig& config = arguments.config;
  if (!arguments.config_file.empty()) {
    if (auto applied = apply_config_file(command, arguments.config_file); !applied) {
      return applied;
    }
  }
  if (config.mountpoint.empty()) {
    return fail(EINVAL, arguments.config_file + ": has no line 'dir = /mnt/arrays'");
  }
  if (!config.store_dir.empty() && (!arguments.size.empty() || !arguments.owner.empty())) {
    return fail(EINVAL, "store " + config.store_dir + ": has the size and the owner that it has");
  }
  if (!arguments.size.empty()) {
    config.capacity_bytes = *parse_size(arguments.size);
  }
  if (!arguments.owner.empty()) {
    const auto owner = parse_owner(arguments.owner);
    if (geteuid() != 0) {
      return fail(EPERM, "--owner " + arguments.owner + ": only root may give a mount to others");
    }
    config.owner = *owner;
    config.root_mode = mode_for(*owner);
  }
  if (!arguments.mode.empty()) {
    config.root_mode = static_cast<mode_t>(std::stoul(arguments.mode, nullptr, 8));
  }
  if (!arguments.io.empty()) {
    config.io = kPlanes.at(arguments.io);
  }
  return {};
}

}  // namespace arrayfs
