#include "file_users.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <shm/posix.hpp>
#include <sstream>
#include <string_view>

#include "text.hpp"

namespace arrayfs {
namespace {

namespace stdfs = std::filesystem;

constexpr size_t kMaxProcBytes = 64U << 20;

using Users = std::map<std::uint64_t, UsersOfFile>;

// A line of mountinfo: `47 27 0:42 / /tmp/m rw,... - fuse.arrayfs ...`.
struct Mount {
  std::uint64_t id = 0;
  std::string device;  // as in maps
  std::string point;   // with blanks as \040
};

std::vector<Mount> mounts_seen_by(const std::string& process) {
  const auto table = shm::posix::read_file(process + "/mountinfo", kMaxProcBytes);
  std::istringstream lines(table ? *table : "");
  std::vector<Mount> mounts;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    Mount mount;
    std::string parent;
    unsigned major = 0;
    unsigned minor = 0;
    char colon = 0;
    std::string root;
    if (fields >> mount.id >> parent >> major >> colon >> minor >> root >> mount.point) {
      mount.device = fmt::format("{:02x}:{:02x}", major, minor);
      mounts.push_back(std::move(mount));
    }
  }
  return mounts;
}

// Which numbers of mounts are those of a device. Numbers are the machine's, so that one process of
// each mount name space is asked.
class MountsOfDevice {
 public:
  explicit MountsOfDevice(const std::string& device) : device_(device) {}

  bool contains(std::uint64_t id, const std::string& process) {
    if (const auto known = known_.find(id); known != known_.end()) {
      return known->second;
    }
    for (const Mount& mount : mounts_seen_by(process)) {
      known_[mount.id] = mount.device == device_;
    }
    return known_[id];  // false for what was unmounted, or is no mount that a path leads to
  }

 private:
  const std::string& device_;
  std::map<std::uint64_t, bool> known_;
};

// A number of /proc/PID/fdinfo/FD: `flags:\t0100002`, octal, as open(2) was given them;
// `mnt_id:\t31`; `ino:\t5`, since Linux 5.14.
std::optional<std::uint64_t> fd_number(std::string_view info, std::string_view key, int base = 10) {
  const size_t at = info.find(key);
  std::uint64_t number = 0;
  if (at == std::string_view::npos ||
      std::from_chars(info.data() + at + key.size(), info.data() + info.size(), number, base).ec !=
          std::errc{}) {
    return std::nullopt;
  }
  return number;
}

FileUser& user(std::vector<FileUser>& users, pid_t pid) {
  if (users.empty() || users.back().pid != pid) {
    users.push_back({pid, {}});
  }
  return users.back();
}

// A daemon of this program has a descriptor for each file that its kernel knows, all of them in the
// store: to look at tens of thousands takes long. Of others nobody has that many by chance.
bool has_store_open(const std::string& process, std::uint64_t open_files) {
  constexpr std::uint64_t kMany = 256;
  if (open_files < kMany) {
    return false;
  }
  std::istringstream arguments(shm::posix::read_file(process + "/cmdline", 1U << 20).value_or(""));
  std::string program;
  std::string command;
  std::getline(arguments, program, '\0');
  std::getline(arguments, command, '\0');
  return stdfs::path(program).filename() == "arrayfs" &&
         (command == "mount" || command == "resume");  // the latter after an upgrade
}

void add_opened(pid_t pid, const std::string& process, MountsOfDevice& mounts, Users& users) {
  struct stat descriptors {};  // since Linux 6.2 its size is their number
  if (stat((process + "/fd").c_str(), &descriptors) != 0 ||
      has_store_open(process, static_cast<std::uint64_t>(descriptors.st_size))) {
    return;
  }
  std::error_code error;
  for (stdfs::directory_iterator fd(process + "/fdinfo", error), end; !error && fd != end;
       fd.increment(error)) {
    const std::string info = shm::posix::read_file(fd->path(), 4096).value_or("");
    const auto mount = fd_number(info, "mnt_id:\t");
    const auto ino = fd_number(info, "ino:\t");
    if (!mount || !ino || !mounts.contains(*mount, process)) {
      continue;
    }
    FileUser& opener = user(users[*ino].open_by, pid);
    const auto flags = fd_number(info, "flags:\t", 8).value_or(0);
    opener.writable = opener.writable || (flags & O_ACCMODE) != O_RDONLY;
  }
}

// A line of maps: `7f05-7f06 rw-s 00000000 00:2a 5    /mnt/w.npy`.
void add_mapped(pid_t pid, const std::string& process, const std::string& device, Users& users) {
  const std::string maps = shm::posix::read_file(process + "/maps", kMaxProcBytes).value_or("");
  const std::string wanted = fmt::format(" {} ", device);
  std::istringstream lines(maps);
  for (std::string line; std::getline(lines, line);) {
    const size_t permissions = line.find(' ') + 1;
    const size_t at = line.find(' ', line.find(' ', permissions) + 1);
    if (at == std::string::npos || !std::string_view(line).substr(at).starts_with(wanted)) {
      continue;
    }
    std::uint64_t ino = 0;
    std::from_chars(line.data() + at + wanted.size(), line.data() + line.size(), ino);
    FileUser& mapper = user(users[ino].mapped_by, pid);
    mapper.writable =
        mapper.writable || (line[permissions + 1] == 'w' && line[permissions + 3] == 's');
  }
}

Users all_users(const std::string& device) {
  Users users;
  MountsOfDevice mounts(device);
  each_process([&](pid_t pid, const std::string& process) {
    add_opened(pid, process, mounts, users);
    add_mapped(pid, process, device, users);
  });
  for (auto& [ino, of_file] : users) {
    for (auto* list : {&of_file.open_by, &of_file.mapped_by}) {
      std::ranges::sort(*list, {}, &FileUser::pid);
      for (FileUser& one : *list) {
        one.command = command_of(fmt::format("/proc/{}", one.pid));
      }
    }
  }
  return users;
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

UsersOfFile FileUsers::of(std::uint64_t ino) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  const std::uint64_t changes = changes_;
  if (changes != changes_seen_ || now - seen_at_ > kMaxAge) {
    users_ = all_users(device_);
    changes_seen_ = changes;
    seen_at_ = now;
  }
  const auto found = users_.find(ino);
  return found != users_.end() ? found->second : UsersOfFile{};
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

std::string describe(const std::vector<FileUser>& users) {
  std::string text;
  for (const FileUser& user : users) {
    fmt::format_to(std::back_inserter(text), "{}pid {} ({}, {})", text.empty() ? "" : ", ",
                   user.pid, printable(user.command), user.writable ? "writes" : "reads");
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

std::string device_of_mount(const std::string& mountpoint) {
  std::string escaped;
  for (const char c : mountpoint) {
    const bool special = c == ' ' || c == '\t' || c == '\n' || c == '\\';
    escaped += special ? fmt::format("\\{:03o}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  std::string device;
  for (const Mount& mount : mounts_seen_by("/proc/self")) {
    if (mount.point == escaped) {
      device = mount.device;  // the last one covers the others
    }
  }
  return device;
}

}  // namespace arrayfs
