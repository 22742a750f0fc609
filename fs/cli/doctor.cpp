// `arrayfs doctor`: what this machine offers to each data plane, and what to do about the rest.
#include <cap-ng.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
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
#include "memory_limit.hpp"
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
  const dev_t fuse_device = makedev(10, 229);
  const auto fd = shm::posix::open_at(AT_FDCWD, "/dev/fuse", O_RDWR);
  if (!fd) {
    const bool there = fd.error().code != ENOENT;
    return {"/dev/fuse", State::kMissing, shm::to_string(fd.error()),
            there ? "chmod 666 /dev/fuse, or run as root"
                  : "modprobe fuse; in a container: --device /dev/fuse"};
  }
  const auto st = shm::posix::stat_fd(fd->get());
  return st && st->st_rdev == fuse_device
             ? Finding{"/dev/fuse", State::kOk, "can be opened", ""}
             : Finding{"/dev/fuse", State::kMissing, "is another file",
                       "rm /dev/fuse; mknod -m 666 /dev/fuse c 10 229"};
}

Finding check_helper() {
  if (geteuid() == 0) {
    return capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN) != 0
               ? Finding{"mounting", State::kOk, "root mounts by itself", ""}
               : Finding{"mounting", State::kMissing, "root without CAP_SYS_ADMIN",
                         "in a container: --cap-add SYS_ADMIN"};
  }
  const bool there =
      access("/usr/bin/fusermount3", X_OK) == 0 || access("/bin/fusermount3", X_OK) == 0;
  return there ? Finding{"mounting", State::kOk, "fusermount3 is there", ""}
               : Finding{"mounting", State::kMissing, "no fusermount3", "apt-get install fuse3"};
}

bool is_recent(std::string_view release) {
  int major = 0;
  int minor = 0;
  const char* end = release.data() + release.size();
  const auto dot = std::from_chars(release.data(), end, major).ptr;
  if (dot < end) {
    std::from_chars(dot + 1, end, minor);
  }
  return major > 6 || (major == 6 && minor >= 9);
}

// Over the whole machine: root of a user name space of its own has it over that alone.
bool has_sys_admin() {
  constexpr ino_t kInitialUserNamespace = 0xEFFFFFFD;  // PROC_USER_INIT_INO of the kernel
  struct stat space {};
  return stat("/proc/self/ns/user", &space) == 0 && space.st_ino == kInitialUserNamespace &&
         capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN) != 0;
}

Finding check_passthrough() {
  utsname names{};
  uname(&names);
  const bool recent = is_recent(names.release);
  const bool allowed = has_sys_admin();
  const std::string found =
      fmt::format("Linux {}, {} CAP_SYS_ADMIN", names.release, allowed ? "with" : "without");
  if (recent && allowed) {
    return {"plane passthrough", State::kOk, found, ""};
  }
  const std::string advice = !recent          ? "needs Linux 6.9"
                             : geteuid() != 0 ? "mount as root for it"
                                              : "in a container: --cap-add SYS_ADMIN, without a "
                                                "user name space of its own";
  return {"plane passthrough", State::kWarning, found, advice + "; until then plane cached serves"};
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
  const auto limit = memory_limit_of("self");
  std::vector<Finding> findings;
  findings.push_back(
      limit && *limit < available
          ? Finding{"memory", State::kWarning,
                    fmt::format("this control group may use {}", human_bytes(*limit)),
                    "raise its limit (systemd: MemoryMax=, containers: --memory), or keep --size "
                    "below it"}
          : Finding{"memory", State::kOk, human_bytes(available) + " available", ""});
  findings.push_back(swap != 0
                         ? Finding{"swap", State::kOk, human_bytes(swap), ""}
                         : Finding{"swap", State::kWarning, "none",
                                   "arrays that do not fit memory have nowhere to go; add swap "
                                   "(swapfile.sh) or keep --size below what is available"});
  return findings;
}

Finding check_files() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  constexpr rlim_t kEnough = 4096;
  const bool raised = capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_RESOURCE) != 0;
  const std::string found = fmt::format("{} open files at most{}", limit.rlim_max,
                                        raised ? ", which root's daemon raises" : "");
  return raised || limit.rlim_max >= kEnough
             ? Finding{"limits", State::kOk, found, ""}
             : Finding{"limits", State::kWarning, found, "ulimit -Hn 65536 before the mount"};
}

Finding check_others() {
  return geteuid() == 0 ? Finding{"other users", State::kOk, "root's mounts are for all users", ""}
                        : Finding{"other users", State::kWarning,
                                  "a mount of an ordinary user is for that user alone",
                                  "let root mount it: arrayfs mount DIR --owner USER"};
}

// What is wrong with a mount that answers; no advice when nothing is.
Finding check_mount(const std::string& what, StatusFields& status) {
  const auto warn = [&](const std::string& found, const std::string& advice) {
    return Finding{what, State::kWarning, found, advice};
  };
  if (status["version"] != kVersion) {
    return warn(fmt::format("served by version {}, this is {}", status["version"], kVersion),
                "arrayfs upgrade DIR; where it refuses, unmount and mount again: the arrays stay");
  }
  const std::uint64_t capacity = std::stoull(status["capacity_bytes"]);
  const std::uint64_t free = std::stoull(status["free_bytes"]);
  if (status["supervisor_pid"] == "killed") {
    return warn("its supervisor was killed, nobody would replace the server",
                "unmount and mount again: the arrays stay");
  }
  if (free < capacity / 100) {
    return warn(fmt::format("full: {} of {} are free", human_bytes(free), human_bytes(capacity)),
                "remove arrays, give them a --ttl, or unmount and mount with a larger --size");
  }
  if (const auto limit = memory_limit_of(status["server_pid"]); limit && *limit < capacity) {
    return warn(fmt::format("may hold {}, its control group may use {}", human_bytes(capacity),
                            human_bytes(*limit)),
                "raise the limit (systemd: MemoryMax=, containers: --memory), or mount with a "
                "smaller --size; else the kernel ends processes when it is reached");
  }
  return {what, State::kOk,
          fmt::format("plane {}, version {}, {} free", status["plane"], status["version"],
                      human_bytes(free)),
          ""};
}

// Asked in another process, which the alarm ends: a server that hangs answers nobody.
bool answers(const std::string& mountpoint) {
  constexpr unsigned kTimeoutSeconds = 5;
  const pid_t asking = fork();
  if (asking == 0) {
    alarm(kTimeoutSeconds);
    static_cast<void>(status_of(mountpoint));
    _exit(0);
  }
  int ended = 0;
  return asking < 0 || waitpid(asking, &ended, 0) != asking || !WIFSIGNALED(ended);
}

std::vector<Finding> check_mounts() {
  std::vector<Finding> findings;
  for (const MountEntry& mount : arrayfs_mounts()) {
    const std::string what = "mount " + mount.mountpoint;
    auto status = answers(mount.mountpoint) ? status_of(mount.mountpoint)
                                            : shm::fail(ETIMEDOUT, "its server does not answer");
    findings.push_back(
        status ? check_mount(what, *status)
               : Finding{what, State::kMissing, shm::to_string(status.error()),
                         fmt::format("arrayfs umount {}, then mount it again: the arrays stay",
                                     printable(mount.mountpoint))});
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
