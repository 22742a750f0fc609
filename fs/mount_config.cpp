#include "mount_config.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <shm/posix.hpp>
#include <vector>

#include "text.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

std::uint64_t memory_bytes() {
  struct sysinfo info {};
  sysinfo(&info);
  return static_cast<std::uint64_t>(info.totalram) * info.mem_unit;
}

// The path without symlinks, `.` and `..`; it must exist and be a directory.
Result<std::string> resolve_directory(const std::string& path, std::string_view what) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(realpath(path.c_str(), nullptr),
                                                             &std::free);
  struct stat st {};
  if (!resolved || stat(resolved.get(), &st) != 0) {
    const int code = errno;
    std::string advice = std::string(what) + " " + path;
    if (code == ENOENT) {
      advice += ": make it first with mkdir -p " + path;
    }
    return fail(code, std::move(advice));
  }
  if (!S_ISDIR(st.st_mode)) {
    return fail(ENOTDIR, std::string(what) + " " + path + ": give a directory");
  }
  return std::string(resolved.get());
}

std::vector<std::uint8_t> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}
std::string string_of(const nlohmann::json& bytes) {
  const auto values = bytes.get<std::vector<std::uint8_t>>();
  return {values.begin(), values.end()};
}

}  // namespace

std::uint64_t memory_and_swap_bytes() {
  struct sysinfo info {};
  sysinfo(&info);
  return (static_cast<std::uint64_t>(info.totalram) + info.totalswap) * info.mem_unit;
}

Result<std::uint64_t> parse_size(std::string_view text) {
  const auto refuse = [&] {
    return fail(EINVAL, "size '" + std::string(text) +
                            "': give bytes with an optional K, M, G or T, as 8G, or a share of the "
                            "memory, as 50%");
  };
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || !(number > 0)) {
    return refuse();
  }
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  double factor = 1;
  if (unit == "%") {
    factor = static_cast<double>(memory_bytes()) / 100;
  } else if (!unit.empty()) {
    static constexpr std::string_view kUnits = "KMGTP";
    const size_t power = kUnits.find(static_cast<char>(std::toupper(unit.front())));
    if (power == std::string_view::npos || (unit.size() > 1 && unit.substr(1) != "iB" &&
                                            unit.substr(1) != "B" && unit.substr(1) != "b")) {
      return refuse();
    }
    factor = static_cast<double>(1ULL << (10 * (power + 1)));
  }
  const double bytes = number * factor;
  if (bytes < 4096 || bytes >= 9.2e18) {
    return refuse();
  }
  return static_cast<std::uint64_t>(bytes);
}

Result<RootOwner> parse_owner(const std::string& text) {
  const auto number = [](const std::string& name) -> std::optional<unsigned> {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value);
    const bool whole = error == std::errc{} && end == name.data() + name.size();
    return whole && value != ~0U ? std::optional(value) : std::nullopt;
  };
  const size_t colon = text.find(':');
  const std::string user = text.substr(0, colon);
  const std::string group = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  RootOwner owner{number(user), number(group)};
  if (const passwd* entry = getpwnam(user.c_str()); !owner.uid && entry != nullptr) {
    owner.uid = entry->pw_uid;
  }
  if (const ::group* entry = getgrnam(group.c_str()); !owner.gid && entry != nullptr) {
    owner.gid = entry->gr_gid;
  }
  if ((!user.empty() && !owner.uid) || (!group.empty() && !owner.gid) ||
      (!owner.uid && !owner.gid)) {
    return fail(EINVAL, "owner '" + text + "': give a user, user:group or :group of this machine");
  }
  return owner;
}

std::string escape_path(std::string_view path) {
  static constexpr char kHex[] = "0123456789abcdef";
  while (!path.empty() && path.front() == '/') {
    path.remove_prefix(1);
  }
  if (path.empty()) {
    return "-";
  }
  std::string out;
  for (const char c : path) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == ':' ||
                       (c == '.' && !out.empty());
    if (c == '/') {
      out += '-';
    } else if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

std::string to_json(const MountConfig& config) {
  // As bytes: paths need not be UTF-8.
  const nlohmann::json json{{"mountpoint", bytes_of(config.mountpoint)},
                            {"name", bytes_of(config.name)},
                            {"store_dir", bytes_of(config.store_dir)},
                            {"capacity_bytes", config.capacity_bytes},
                            {"io", static_cast<int>(config.io)},
                            {"huge", config.huge},
                            {"root_mode", config.root_mode},
                            {"sparse", config.sparse},
                            {"show_control", config.show_control},
                            {"foreground", config.foreground},
                            {"log_file", bytes_of(config.log_file)},
                            {"log_level", config.log_level},
                            {"log_format", config.log_format}};
  return json.dump();
}

Result<MountConfig> config_from_json(std::string_view text) {
  try {
    const auto json = nlohmann::json::parse(text);
    MountConfig config;
    config.mountpoint = string_of(json.at("mountpoint"));
    config.name = string_of(json.at("name"));
    config.store_dir = string_of(json.at("store_dir"));
    json.at("capacity_bytes").get_to(config.capacity_bytes);
    config.io = static_cast<Io>(json.at("io").get<int>());
    json.at("huge").get_to(config.huge);
    json.at("root_mode").get_to(config.root_mode);
    json.at("sparse").get_to(config.sparse);
    json.at("show_control").get_to(config.show_control);
    json.at("foreground").get_to(config.foreground);
    config.log_file = string_of(json.at("log_file"));
    json.at("log_level").get_to(config.log_level);
    config.log_format = json.value("log_format", config.log_format);  // older ones say none
    return config;
  } catch (const nlohmann::json::exception& error) {
    return fail(EPROTO, std::string("configuration: ") + error.what());
  }
}

Result<void> validate(MountConfig& config) {
  auto mountpoint = resolve_directory(config.mountpoint, "mount point");
  if (!mountpoint) {
    return tl::unexpected(mountpoint.error());
  }
  config.mountpoint = std::move(*mountpoint);

  if (config.name.empty()) {
    config.name = escape_path(config.mountpoint);
  }
  if (config.name.size() > NAME_MAX || config.name == "." || config.name == ".." ||
      config.name.find('/') != std::string::npos) {
    return fail(EINVAL, "name '" + config.name + "': give at most 255 bytes without a slash");
  }

  if (!config.store_dir.empty()) {
    auto store = resolve_directory(config.store_dir, "store");
    if (!store) {
      return tl::unexpected(store.error());
    }
    config.store_dir = std::move(*store);
    if (config.store_dir == config.mountpoint) {
      return fail(EINVAL,
                  "store " + config.store_dir + ": give another directory than the mount point");
    }
    return {};
  }
  if (config.capacity_bytes == 0) {
    config.capacity_bytes = memory_bytes() / 2;
  }
  if (const std::uint64_t most = memory_and_swap_bytes(); config.capacity_bytes > most) {
    return fail(EINVAL, "size " + human_bytes(config.capacity_bytes) + ": this machine has " +
                            human_bytes(most) + " of memory and swap; give less or add swap");
  }
  return {};
}

}  // namespace arrayfs
