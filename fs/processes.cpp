#include "processes.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <functional>
#include <set>
#include <shm/posix.hpp>
#include <sstream>
#include <thread>

#include "text.hpp"

namespace arrayfs {
namespace {

namespace stdfs = std::filesystem;

constexpr size_t kMaxProcBytes = 64U << 20;
constexpr size_t kMaxStatBytes = 4096;

void each_process(const std::function<void(pid_t pid, const std::string& directory)>& visit) {
  std::error_code error;
  for (stdfs::directory_iterator at("/proc", error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename();
    pid_t pid = 0;
    const auto [rest, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad == std::errc{} && rest == name.data() + name.size()) {
      visit(pid, at->path());
    }
  }
}

std::string command_of(const std::string& process) {
  const auto command = shm::posix::read_file(process + "/comm", 256);
  return command ? command->substr(0, command->find('\n')) : "?";
}

// A line of maps: `7f05-7f06 rw-s 00000000 00:2a 5    /mnt/w.npy`.
bool maps_file(std::string_view maps, const std::string& device, std::uint64_t ino,
               bool& writable) {
  const std::string wanted = fmt::format(" {} {} ", device, ino);
  bool found = false;
  for (size_t at = maps.find(wanted); at != std::string_view::npos;
       at = maps.find(wanted, at + 1)) {
    found = true;
    const size_t line = maps.rfind('\n', at) + 1;
    const std::string_view permissions = maps.substr(maps.find(' ', line) + 1, 4);
    writable = writable || (permissions[1] == 'w' && permissions[3] == 's');
  }
  return found;
}

// A number of /proc/PID/fdinfo/FD: `flags:	0100002`, octal, as open(2) was given them; `mnt_id:
// 31`; `ino:	5`, since Linux 5.14.
std::optional<std::uint64_t> fd_number(std::string_view info, std::string_view key, int base = 10) {
  const std::string line = fmt::format("{}:\t", key);
  const size_t at = info.find(line);
  std::uint64_t number = 0;
  if (at == std::string_view::npos ||
      std::from_chars(info.data() + at + line.size(), info.data() + info.size(), number, base).ec !=
          std::errc{}) {
    return std::nullopt;
  }
  return number;
}

std::string fd_info(const std::string& process, const std::string& fd) {
  return shm::posix::read_file(process + "/fdinfo/" + fd, 4096).value_or("");
}

bool is_open_for_writing(std::string_view info) {
  return (fd_number(info, "flags", 8).value_or(0) & O_ACCMODE) != O_RDONLY;
}

// The mounts of a process that are of this device: `47 27 0:42 / /tmp/m rw - fuse.arrayfs ...`.
std::set<std::uint64_t> mounts_of_device(const std::string& process, const std::string& device) {
  const auto table = shm::posix::read_file(process + "/mountinfo", kMaxProcBytes);
  std::istringstream lines(table ? *table : "");
  std::set<std::uint64_t> found;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::uint64_t id = 0;
    std::uint64_t parent = 0;
    unsigned major = 0;
    unsigned minor = 0;
    char colon = 0;
    if (fields >> id >> parent >> major >> colon >> minor &&
        fmt::format("{:02x}:{:02x}", major, minor) == device) {
      found.insert(id);
    }
  }
  return found;
}

bool uses_path(const std::string& process, const std::string& path) {
  const auto below = [&](const std::string& target) {
    return target == path || target.starts_with(path + "/");
  };
  std::error_code error;
  for (const char* link : {"/cwd", "/root"}) {
    if (below(stdfs::read_symlink(process + link, error).string())) {
      return true;
    }
  }
  for (stdfs::directory_iterator fd(process + "/fd", error), end; !error && fd != end;
       fd.increment(error)) {
    std::error_code gone;
    if (below(stdfs::read_symlink(fd->path(), gone).string())) {
      return true;
    }
  }
  const auto maps = shm::posix::read_file(process + "/maps", kMaxProcBytes);
  return maps && maps->find(" " + path + "/") != std::string::npos;
}

}  // namespace

std::vector<Process> mappers_of(const std::string& device, std::uint64_t ino) {
  std::vector<Process> found;
  each_process([&](pid_t pid, const std::string& directory) {
    const auto maps = shm::posix::read_file(directory + "/maps", kMaxProcBytes);
    Process process{pid, {}, false};
    if (maps && maps_file(*maps, device, ino, process.writable)) {
      process.command = command_of(directory);
      found.push_back(std::move(process));
    }
  });
  return found;
}

std::vector<Process> openers_of(const std::string& path) {
  std::vector<Process> found;
  each_process([&](pid_t pid, const std::string& directory) {
    Process process{pid, {}, false};
    bool open = false;
    std::error_code error;
    for (stdfs::directory_iterator fd(directory + "/fd", error), end; !error && fd != end;
         fd.increment(error)) {
      std::error_code gone;
      if (stdfs::read_symlink(fd->path(), gone) == path) {
        open = true;
        process.writable =
            process.writable || is_open_for_writing(fd_info(directory, fd->path().filename()));
      }
    }
    if (open) {
      process.command = command_of(directory);
      found.push_back(std::move(process));
    }
  });
  return found;
}

std::vector<Process> openers_of(const std::string& device, std::uint64_t ino) {
  std::vector<Process> found;
  each_process([&](pid_t pid, const std::string& directory) {
    Process process{pid, {}, false};
    std::optional<std::set<std::uint64_t>> mounts;  // read for few: the number is compared first
    bool open = false;
    std::error_code error;
    for (stdfs::directory_iterator fd(directory + "/fdinfo", error), end; !error && fd != end;
         fd.increment(error)) {
      const std::string info = fd_info(directory, fd->path().filename());
      const auto mount = fd_number(info, "ino") == ino ? fd_number(info, "mnt_id") : std::nullopt;
      if (mount && !mounts) {
        mounts = mounts_of_device(directory, device);
      }
      if (mount && mounts->contains(*mount)) {
        open = true;
        process.writable = process.writable || is_open_for_writing(info);
      }
    }
    if (open) {
      process.command = command_of(directory);
      found.push_back(std::move(process));
    }
  });
  return found;
}

std::vector<Process> users_of(const std::string& path) {
  std::vector<Process> found;
  each_process([&](pid_t pid, const std::string& directory) {
    if (uses_path(directory, path)) {
      found.push_back({pid, command_of(directory)});
    }
  });
  return found;
}

std::string describe_use(const std::vector<Process>& processes) {
  std::string text;
  for (const Process& process : processes) {
    fmt::format_to(std::back_inserter(text), "{}pid {} ({}, {})", text.empty() ? "" : ", ",
                   process.pid, printable(process.command), process.writable ? "writes" : "reads");
  }
  return text.empty() ? "nobody" : text;
}

std::string describe(const std::vector<Process>& processes) {
  std::string text;
  for (const Process& process : processes) {
    fmt::format_to(std::back_inserter(text), "{}pid {} ({})", text.empty() ? "" : ", ", process.pid,
                   printable(process.command));
  }
  return text.empty() ? "somebody" : text;
}

std::optional<ProcessStatus> process_status(pid_t pid) {
  // `12 (a name (with) brackets) S 1 ...`: the state is field 3, the start field 22.
  const auto stat = shm::posix::read_file(fmt::format("/proc/{}/stat", pid), kMaxStatBytes);
  const size_t name_end = stat ? stat->rfind(") ") : std::string::npos;
  if (name_end == std::string::npos) {
    return std::nullopt;
  }
  std::istringstream fields(stat->substr(name_end + 2));
  ProcessStatus status{};
  std::string skipped;
  fields >> status.state;
  for (int field = 4; field < 22; ++field) {
    fields >> skipped;
  }
  return fields >> status.start_ticks ? std::optional(status) : std::nullopt;
}

void await_system_call(pid_t thread, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (auto status = process_status(thread); status && status->state == 'R';
       status = process_status(thread)) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

std::string device_of_mount(const std::string& mountpoint) {
  // `47 27 0:42 / /tmp/m rw,... - fuse.arrayfs ...`, the mount point with spaces as \040.
  const auto table = shm::posix::read_file("/proc/self/mountinfo", kMaxProcBytes);
  std::istringstream lines(table ? *table : "");
  std::string escaped;
  for (const char c : mountpoint) {
    const bool special = c == ' ' || c == '\t' || c == '\n' || c == '\\';
    escaped += special ? fmt::format("\\{:03o}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  std::string device;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string id;
    std::string parent;
    std::string numbers;
    std::string root;
    std::string at;
    if (!(fields >> id >> parent >> numbers >> root >> at) || at != escaped) {
      continue;
    }
    unsigned major = 0;
    unsigned minor = 0;
    const char* end = numbers.data() + numbers.size();
    const auto parsed = std::from_chars(numbers.data(), end, major);
    if (parsed.ptr != end && std::from_chars(parsed.ptr + 1, end, minor).ec == std::errc{}) {
      device = fmt::format("{:02x}:{:02x}", major, minor);
    }
  }
  return device;
}

}  // namespace arrayfs
