// `arrayfs umount`: takes the mount away, waits for its daemon, and says where the arrays are.
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <shm/posix.hpp>

#include "../file_users.hpp"
#include "../mount_config.hpp"
#include "../store.hpp"
#include "../text.hpp"
#include "commands.hpp"
#include "mounted_path.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;
using shm::posix::Fd;

constexpr int kDaemonTimeoutMs = 30'000;
constexpr char kExamples[] = R"(
Examples:
  arrayfs umount /mnt/arrays             the arrays stay in memory for the next mount
  arrayfs umount --discard /mnt/arrays   frees them)";

struct UmountArguments {
  std::string dir;
  bool discard = false;
  bool lazy = false;
};

Result<void> take_away(const std::string& mountpoint, bool lazy) {
  auto gone = unmount(mountpoint, lazy);
  if (!gone && gone.error().code == EBUSY) {
    return fail(EBUSY, fmt::format("{}: in use by {}; end that, or give --lazy", mountpoint,
                                   describe(users_of(mountpoint))));
  }
  return gone;
}

// The daemon lets go of the store when it ends.
void await_daemon(const Fd& daemon) {
  pollfd ended{daemon.get(), POLLIN, 0};
  poll(&ended, 1, kDaemonTimeoutMs);
}

Result<void> discard(MountConfig config, const std::string& store_path) {
  if (!store_path.empty() && Store::directory(config) != store_path) {
    config.store_dir = store_path;
    std::cout << "the arrays are files of " << store_path << ": nothing was removed there\n";
  }
  return Store::discard(config);
}

Result<void> umount_command(const UmountArguments& arguments) {
  MountConfig config;
  const auto found = find_mount(arguments.dir);
  if (!found || !found->inner.empty()) {
    // No mount, but an earlier one may have left its store.
    config.mountpoint = arguments.dir;
    if (arguments.discard && validate(config) && Store::discard(config)) {
      return {};
    }
    return fail(EINVAL, arguments.dir + ": no arrayfs is mounted there");
  }
  config.name = found->mount.name;
  const std::string& mountpoint = found->mount.mountpoint;

  StatusFields status = status_of(mountpoint).value_or(StatusFields{});
  // The supervisor is the last to go; a server whose supervisor was killed goes alone.
  const std::string& pid =
      status["supervisor_pid"] == "killed" ? status["server_pid"] : status["supervisor_pid"];
  Fd daemon;
  if (!pid.empty()) {
    daemon = Fd(static_cast<int>(syscall(SYS_pidfd_open, std::stoi(pid), 0)));
  }
  // A mount whose daemon is dead can always be taken away lazily.
  if (auto gone = take_away(mountpoint, arguments.lazy || status.empty()); !gone) {
    return gone;
  }
  if (daemon.valid() && !arguments.lazy) {
    await_daemon(daemon);
  }
  if (arguments.discard) {
    return discard(config, status["store_path"]);
  }
  const std::string store =
      status["store_path"].empty() ? Store::directory(config) : status["store_path"];
  const std::string& files = status["files"];
  const std::string what = files.empty()
                               ? "the arrays"
                               : fmt::format("{} file{} ({})", files, files == "1" ? "" : "s",
                                             human_bytes(std::stoull(status["used_bytes"])));
  std::cout << fmt::format("kept {} in {}\n", what, store);
  if (Store::directory(config) == store) {
    std::cout << fmt::format(
        "arrayfs mount {0} brings them back; arrayfs umount --discard {0} frees them\n",
        mountpoint);
  }
  return {};
}

}  // namespace

void add_umount_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<UmountArguments>();
  CLI::App* command =
      app.add_subcommand("umount", "Unmount; the arrays are kept for the next mount");
  command->footer(kExamples);
  command->add_option("DIR", arguments->dir, "The mount point")->required();
  command->add_flag("--discard", arguments->discard, "Free the arrays");
  command->add_flag("--lazy", arguments->lazy, "Unmount even while files are open");
  command->callback(
      [arguments, &action] { action = [arguments] { return umount_command(*arguments); }; });
}

}  // namespace arrayfs
