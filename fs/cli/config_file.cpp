#include "config_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <shm/posix.hpp>
#include <string_view>

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr std::size_t kMaxBytes = 64 << 10;
// Of one start, not of the mount.
constexpr std::array<std::string_view, 3> kNotForFiles{"config", "help", "foreground"};

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) {
    return {};
  }
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin));
}

std::string at(const std::string& path, int line) {
  return fmt::format("{}:{}: ", path, line);
}

// Where CLI11 keeps what belongs to `key`.
CLI::Option* option_of(CLI::App& command, const std::string& key) {
  if (std::ranges::find(kNotForFiles, key) != kNotForFiles.end()) {
    return nullptr;
  }
  return command.get_option_no_throw(key == "dir" ? "DIR" : "--" + key);
}

// What a flag is given: "true", nothing for `no`.
std::optional<bool> parse_yes(const std::string& value) {
  if (value == "yes" || value == "true") {
    return true;
  }
  if (value == "no" || value == "false") {
    return false;
  }
  return std::nullopt;
}

Result<void> apply(CLI::Option& option, const Setting& setting) {
  std::string value = setting.value;
  if (option.get_items_expected_max() == 0) {
    const auto yes = parse_yes(value);
    if (!yes) {
      return fail(EINVAL, fmt::format("{} = {}: give yes or no", setting.key, value));
    }
    if (!*yes) {
      return {};
    }
    value = "true";
  }
  try {
    option.add_result(value);
    option.run_callback();
  } catch (const CLI::Error& error) {
    return fail(EINVAL, error.what());
  }
  return {};
}

}  // namespace

Result<std::vector<Setting>> read_config_file(const std::string& path) {
  const auto text = shm::posix::read_file(path, kMaxBytes);
  if (!text) {
    return tl::unexpected(text.error());
  }
  std::vector<Setting> settings;
  std::map<std::string, int> lines;
  int number = 0;
  for (size_t begin = 0; begin < text->size();) {
    const size_t end = std::min(text->find('\n', begin), text->size());
    const std::string line = trimmed(std::string_view(*text).substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (line.empty() || line.front() == '#') {
      continue;
    }
    const size_t equals = line.find('=');
    Setting setting{number, trimmed(std::string_view(line).substr(0, equals)), {}};
    if (equals == std::string::npos || setting.key.empty()) {
      return fail(EINVAL, at(path, number) + "give a line as 'size = 8G'");
    }
    setting.value = trimmed(std::string_view(line).substr(equals + 1));
    if (setting.value.size() > 1 && setting.value.front() == '"' && setting.value.back() == '"') {
      setting.value = setting.value.substr(1, setting.value.size() - 2);
    }
    if (setting.value.empty()) {
      return fail(EINVAL, fmt::format("{}'{}' has no value", at(path, number), setting.key));
    }
    if (const auto [first, added] = lines.emplace(setting.key, number); !added) {
      return fail(EINVAL, fmt::format("{}'{}' is in line {} already", at(path, number), setting.key,
                                      first->second));
    }
    settings.push_back(std::move(setting));
  }
  return settings;
}

Result<void> apply_config_file(CLI::App& command, const std::string& path) {
  const auto settings = read_config_file(path);
  if (!settings) {
    return tl::unexpected(settings.error());
  }
  for (const Setting& setting : *settings) {
    CLI::Option* option = option_of(command, setting.key);
    if (option == nullptr) {
      return fail(EINVAL, fmt::format("{}unknown key '{}'; arrayfs.conf(5) lists them",
                                      at(path, setting.line), setting.key));
    }
    if (option->count() > 0) {
      continue;
    }
    if (auto applied = apply(*option, setting); !applied) {
      return fail(applied.error().code, at(path, setting.line) + applied.error().context);
    }
  }
  return {};
}

}  // namespace arrayfs
