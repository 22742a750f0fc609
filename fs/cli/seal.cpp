// `arrayfs seal` and `arrayfs unseal`: nobody writes to a sealed array, root included.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>

#include "../processes.hpp"
#include "commands.hpp"
#include "mounted_path.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr char kXattr[] = "user.array.sealed";
constexpr char kExamples[] = R"(
Examples:
  arrayfs seal /mnt/arrays/w.npy      succeeds when nobody has it open or mapped for writing
  arrayfs unseal /mnt/arrays/w.npy)";

// Who writes: through a mapping, or with the file open; each process once.
std::vector<Process> writers_of(const std::string& path, const struct stat& st) {
  const std::string device = fmt::format("{:02x}:{:02x}", major(st.st_dev), minor(st.st_dev));
  std::error_code error;
  std::vector<Process> users = openers_of(std::filesystem::canonical(path, error).string());
  std::ranges::move(mappers_of(device, st.st_ino), std::back_inserter(users));
  std::erase_if(users, [](const Process& process) { return !process.writable; });
  std::ranges::sort(users, {}, &Process::pid);
  // Not std::ranges::unique, whose result clang 14 cannot compile.
  const auto same = [](const Process& a, const Process& b) { return a.pid == b.pid; };
  users.erase(std::unique(users.begin(), users.end(), same), users.end());
  return users;
}

Result<void> set_sealed(const std::string& path, bool sealed) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) {
    return fail(errno, path);
  }
  const auto mount = find_mount(path);
  if (!mount) {
    return tl::unexpected(mount.error());
  }
  if (auto possible = check_not_behind_link(path); !possible) {
    return possible;
  }
  if (setxattr(path.c_str(), kXattr, sealed ? "1" : "0", 1, 0) == 0) {
    return {};
  }
  if (errno == EBUSY) {
    return fail(EBUSY, fmt::format("{}: being written by {}; let that close it first", path,
                                   describe(writers_of(path, st))));
  }
  return fail(errno, path);
}

void add_command(CLI::App& app, Action& action, const char* name, const char* description,
                 bool sealed) {
  auto paths = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app.add_subcommand(name, description);
  command->footer(kExamples);
  command->add_option("PATH", *paths, "Files on an arrayfs mount")->required();
  command->callback([paths, sealed, &action] {
    action = [paths, sealed]() -> Result<void> {
      for (const std::string& path : *paths) {
        if (auto done = set_sealed(path, sealed); !done) {
          return done;
        }
      }
      return {};
    };
  });
}

}  // namespace

void add_seal_commands(CLI::App& app, Action& action) {
  add_command(app, action, "seal", "Make an array immutable", true);
  add_command(app, action, "unseal", "Let an array be written again", false);
}

}  // namespace arrayfs
