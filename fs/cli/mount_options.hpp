// The options of `arrayfs mount`, from the command line and from a file, on their way to a
// MountConfig.
#pragma once

#include <CLI/CLI.hpp>
#include <shm/error.hpp>
#include <string>

#include "../mount_config.hpp"

namespace arrayfs {

struct MountArguments {
  MountConfig config;
  std::string config_file;
  std::string size;
  std::string mode;
  std::string owner;
  std::string io;
};

/// Lets `command` fill `arguments`, which must outlive it.
void add_mount_options(CLI::App& command, MountArguments& arguments);

/// Reads the file that `arguments` name, and everything into their config.
/// Errors: EINVAL, ENOENT, EPERM, with the option or the line of the file.
[[nodiscard]] shm::Result<void> complete(CLI::App& command, MountArguments& arguments);

}  // namespace arrayfs
