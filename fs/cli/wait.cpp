// `arrayfs wait` and `arrayfs notify`: programs tell each other that an array has changed.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <iostream>
#include <shm/posix.hpp>

#include "commands.hpp"
#include "mounted_path.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr size_t kMaxLineBytes = 8192;
constexpr char kWaitExamples[] = R"(
Examples:
  arrayfs wait /mnt/arrays/w.npy                    until a writer closes it, it is replaced, ...
  arrayfs wait --timeout 5 /mnt/arrays/w.npy || echo nothing happened
  while arrayfs wait w.npy; do arrayfs plot w.npy; done)";
constexpr char kNotifyExamples[] = R"(
Examples:
  arrayfs notify /mnt/arrays/w.npy                  who waits for w.npy goes on)";

struct WaitArguments {
  std::string path;
  double timeout_s = -1;
};

Result<std::string> waiting_place(const std::string& path) {
  if (const auto st = shm::posix::stat_at(AT_FDCWD, path, 0); !st) {
    return tl::unexpected(st.error());
  }
  return find_mount(path).map(
      [](const MountedPath& found) { return found.control("wait/" + found.inner); });
}

Result<void> wait_command(const WaitArguments& arguments) {
  const auto fd = waiting_place(arguments.path).and_then([](const std::string& place) {
    return shm::posix::open_at(AT_FDCWD, place, O_RDONLY);
  });
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  constexpr double kMillisecondsPerSecond = 1000;
  pollfd readable{fd->get(), POLLIN, 0};
  const int timeout_ms =
      arguments.timeout_s < 0 ? -1 : static_cast<int>(arguments.timeout_s * kMillisecondsPerSecond);
  const int ready = poll(&readable, 1, timeout_ms);
  if (ready == 0) {
    return fail(ETIMEDOUT, arguments.path + ": did not change");
  }
  std::string line(kMaxLineBytes, '\0');
  const ssize_t size = ready < 0 ? -1 : read(fd->get(), line.data(), line.size());
  if (size < 0) {
    return shm::posix::fail_errno(arguments.path);
  }
  line.resize(static_cast<size_t>(size));
  std::cout << line;
  return {};
}

Result<void> notify_command(const std::string& path) {
  const auto fd = waiting_place(path).and_then(
      [](const std::string& place) { return shm::posix::open_at(AT_FDCWD, place, O_WRONLY); });
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  return write(fd->get(), "\n", 1) == 1 ? Result<void>{} : shm::posix::fail_errno(path);
}

}  // namespace

void add_wait_commands(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<WaitArguments>();
  CLI::App* wait = app.add_subcommand("wait", "Wait until an array changes and say how, as JSON");
  wait->footer(kWaitExamples);
  wait->add_option("PATH", arguments->path, "A file on an arrayfs mount")->required();
  wait->add_option("--timeout", arguments->timeout_s, "Give up after so many seconds")
      ->check(CLI::Range(0.0, 2e6));
  wait->callback(
      [arguments, &action] { action = [arguments] { return wait_command(*arguments); }; });

  auto path = std::make_shared<std::string>();
  CLI::App* notify = app.add_subcommand("notify", "Tell who waits for an array that it changed");
  notify->footer(kNotifyExamples);
  notify->add_option("PATH", *path, "A file on an arrayfs mount")->required();
  notify->callback([path, &action] { action = [path] { return notify_command(*path); }; });
}

}  // namespace arrayfs
