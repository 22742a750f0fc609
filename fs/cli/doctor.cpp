// `arrayfs doctor`: what this machine offers to each data plane, and what to do about the rest.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <shm/posix.hpp>

#include "../text.hpp"
#include "commands.hpp"
#include "mounted_path.hpp"
#include "version.hpp"

namespace arrayfs {
namespace {

using shm::Result;

constexpr char kExamples[] = R"(
Examples:
  arrayfs doctor                 ok, or what to do
  arrayfs doctor --json | jq '.[] | select(.state != "ok")'

Exit status: 0 when a mount is possible, 1 when not.)";

enum class State { kOk, kWarning, kMissing };

struct Finding {
  std::string what;
  State state;
  std::string found;
  std::string advice;  ///< empty when all is well
};

std::string read_word(const std::string& path) {
  constexpr std::size_t kLimit = 1U << 20;
  const auto text = shm::posix::read_file(path, kLimit);
  return text ? text->substr(0, text->find_last_not_of(" \n") + 1) : std::string();
}

// A line of /proc/meminfo in bytes.
std::uint64_t memory_bytes(const std::string& text, std::string_view key) {
  const std::size_t at = text.find(std::string(key) + ":");
  if (at == std::string::npos) {
    return 0;
  }
  const std::size_t begin = text.find_first_of("0123456789", at);
  std::uint64_t kib = 0;
  if (begin != std::string::npos) {
    std::from_chars(text.data() + begin, text.data() + text.size(), kib);
  }
  return kib * 1024;
}

Finding check_fuse() {
  const auto fd = shm::posix::open_at(AT_FDCWD, "/dev/fuse", O_RDWR);
  if (fd) {
    return {"/dev/fuse", State::kOk, "can be opened", ""};
  }
  const bool there = fd.error().code != ENOENT;
  return {"/dev/fuse", State::kMissing, shm::to_string(fd.error()),
          there ? "chmod 666 /dev/fuse, or run as root"
                : "modprobe fuse; in a container: --device /dev/fuse"};
}

Finding check_helper() {
  if (geteuid() == 0) {
    return {"mounting", State::kOk, "root mounts by itself", ""};
  }
  const bool there =
      access("/usr/bin/fusermount3", X_OK) == 0 || access("/bin/fusermount3", X_OK) == 0;
  return there ? Finding{"mounting", State::kOk, "fusermount3 is there", ""}
               : Finding{"mounting", State::kMissing, "no fusermount3", "apt-get install fuse3"};
}

Finding check_passthrough() {
  utsname names{};
  uname(&names);
  int major = 0;
  int minor = 0;
  const std::string_view release(names.release);
  const char* end = release.data() + release.size();
  const auto dot = std::from_chars(release.data(), end, major).ptr;
  if (dot < end) {
    std::from_chars(dot + 1, end, minor);
  }
  const bool recent = major > 6 || (major == 6 && minor >= 9);
  const std::string found =
      fmt::format("Linux {}, {}", release, geteuid() == 0 ? "root" : "not root");
  if (recent && geteuid() == 0) {
    return {"plane passthrough", State::kOk, found, ""};
  }
  return {"plane passthrough", State::kWarning, found,
          recent ? "mount as root for it; until then plane cached serves"
                 : "needs Linux 6.9; until then plane cached serves"};
}

Finding check_huge_pages() {
  const std::string base = "/sys/kernel/mm/transparent_hugepage/";
  const std::string enabled = read_word(base + "enabled");
  const std::string shared = read_word(base + "shmem_enabled");
  const std::string found = fmt::format("shmem_enabled: {}", shared.empty() ? "unknown" : shared);
  const bool denied = enabled.empty() || shared.find("[deny]") != std::string::npos;
  return denied
             ? Finding{"huge pages", State::kWarning, found,
                       "echo advise > " + base + "shmem_enabled; first touches are slower without"}
             : Finding{"huge pages", State::kOk, found, ""};
}

std::vector<Finding> check_memory() {
  const std::string text = read_word("/proc/meminfo");
  const std::uint64_t available = memory_bytes(text, "MemAvailable");
  const std::uint64_t swap = memory_bytes(text, "SwapTotal");
  std::vector<Finding> findings;
  findings.push_back({"memory", State::kOk, human_bytes(available) + " available", ""});
  findings.push_back(swap != 0
                         ? Finding{"swap", State::kOk, human_bytes(swap), ""}
                         : Finding{"swap", State::kWarning, "none",
                                   "arrays that do not fit memory have nowhere to go; add swap "
                                   "or keep --size below what is available"});
  return findings;
}

Finding check_files() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  constexpr rlim_t kEnough = 4096;
  const std::string found = fmt::format("{} open files at most", limit.rlim_max);
  return limit.rlim_max >= kEnough
             ? Finding{"limits", State::kOk, found, ""}
             : Finding{"limits", State::kWarning, found, "ulimit -Hn 65536 before the mount"};
}

Finding check_others() {
  const bool needed = geteuid() != 0;
  const bool allowed = read_word("/etc/fuse.conf").find("\nuser_allow_other") != std::string::npos;
  return !needed || allowed
             ? Finding{"other users", State::kOk, needed ? "may use a mount" : "root decides", ""}
             : Finding{"other users", State::kWarning, "see only mounts of their own",
                       "write user_allow_other to /etc/fuse.conf"};
}

std::vector<Finding> check_mounts() {
  std::vector<Finding> findings;
  for (const MountEntry& mount : arrayfs_mounts()) {
    const auto status = read_status(mount.mountpoint);
    if (!status) {
      findings.push_back({"mount " + mount.mountpoint, State::kMissing,
                          shm::to_string(status.error()), "arrayfs umount " + mount.mountpoint});
      continue;
    }
    std::string version;
    std::string plane;
    for (const auto& [key, value] : *status) {
      version = key == "version" ? value : version;
      plane = key == "plane" ? value : plane;
    }
    const bool same = version == kVersion;
    findings.push_back({"mount " + mount.mountpoint, same ? State::kOk : State::kWarning,
                        fmt::format("plane {}, version {}", plane, version),
                        same ? "" : std::string("this is version ") + kVersion + "; mount again"});
  }
  return findings;
}

std::string_view name_of(State state) {
  return state == State::kOk ? "ok" : state == State::kWarning ? "warning" : "missing";
}

Result<void> doctor_command(bool json) {
  std::vector<Finding> findings{check_fuse(), check_helper(), check_passthrough(),
                                check_huge_pages()};
  const bool possible =
      std::ranges::find(findings, State::kMissing, &Finding::state) == findings.end();
  std::ranges::move(check_memory(), std::back_inserter(findings));
  findings.push_back(check_files());
  findings.push_back(check_others());
  std::ranges::move(check_mounts(), std::back_inserter(findings));
  auto all = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    if (json) {
      all.push_back({{"what", finding.what},
                     {"state", name_of(finding.state)},
                     {"found", finding.found},
                     {"advice", finding.advice}});
      continue;
    }
    std::cout << fmt::format("{:<8} {}: {}\n", name_of(finding.state), printable(finding.what),
                             printable(finding.found));
    if (!finding.advice.empty()) {
      std::cout << fmt::format("         {}\n", finding.advice);
    }
  }
  if (json) {
    std::cout << all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  }
  return possible ? Result<void>{}
                  : shm::fail(ENOTSUP, "a mount is not possible here; see what is missing above");
}

}  // namespace

void add_doctor_command(CLI::App& app, Action& action) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("doctor", "Say what this machine lacks, and what to do");
  command->footer(kExamples);
  command->add_flag("--json", *json, "As JSON");
  command->callback([json, &action] { action = [json] { return doctor_command(*json); }; });
}

}  // namespace arrayfs
