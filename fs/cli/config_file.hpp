// Files of `key = value` lines: what `arrayfs mount --config FILE` reads, /etc/arrayfs/NAME.conf.
//
// The keys are the long options of the command, so there is one list of them, and one check.
#pragma once

#include <CLI/CLI.hpp>
#include <shm/error.hpp>
#include <string>
#include <vector>

namespace arrayfs {

struct Setting {
  int line = 0;
  std::string key;
  std::string value;
};

/// The settings of a file. Empty lines and those that begin with `#` are left out; a value may
/// stand between double quotes. Errors: EINVAL with path and line, those of open(2).
[[nodiscard]] shm::Result<std::vector<Setting>> read_config_file(const std::string& path);

/// Gives `command` what a file says, where the command line says nothing: `size = 8G` as `--size
/// 8G`, `sparse = yes` as `--sparse`, and `dir` as DIR. Errors: EINVAL with path and line for a key
/// that is unknown or not for files, one that comes twice, and a value that the option refuses.
[[nodiscard]] shm::Result<void> apply_config_file(CLI::App& command, const std::string& path);

}  // namespace arrayfs
