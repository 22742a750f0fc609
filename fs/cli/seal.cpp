// `arrayfs seal` and `arrayfs unseal`: nobody writes to a sealed array, root included.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cerrno>
#include <map>

#include "../file_users.hpp"
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
std::vector<Process> writers_of(const struct stat& st) {
  FileUsers users(fmt::format("{:02x}:{:02x}", major(st.st_dev), minor(st.st_dev)));
  const auto [open_by, mapped_by] = users.of(st.st_ino);
  std::map<pid_t, std::string> writers;
  for (const auto& list : {open_by, mapped_by}) {
    for (const FileUser& user : list) {
      if (user.writable) {
        writers[user.pid] = user.command;
      }
    }
  }
  std::vector<Process> processes;
  processes.reserve(writers.size());
  for (auto& [pid, command] : writers) {
    processes.push_back({pid, std::move(command)});
  }
  return processes;
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
                                   describe(writers_of(st))));
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
