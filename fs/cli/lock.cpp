// `arrayfs lock`: runs a command while holding an array's lock, or that of some of its rows.
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <shm/sync.hpp>

#include "commands.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr char kExamples[] = R"(
Examples:
  arrayfs lock /mnt/arrays/w.npy -- python3 update.py
  arrayfs lock --shared /mnt/arrays/w.npy -- cp /mnt/arrays/w.npy backup.npy
  arrayfs lock --range 0:100 --timeout 5 /mnt/arrays/w.npy -- ./first_rows

Exits as the command does. Killed, it takes the command with it: that never runs without the lock.)";

constexpr int kNotFound = 127;

struct LockArguments {
  std::string path;
  std::vector<std::string> command;
  std::string range;
  bool shared = false;
  double timeout_s = -1;
};

struct Rows {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

Result<Rows> parse_rows(const std::string& text) {
  Rows rows;
  const char* last = text.data() + text.size();
  const auto begin = std::from_chars(text.data(), last, rows.begin);
  if (begin.ec == std::errc() && begin.ptr != last && *begin.ptr == ':') {
    const auto end = std::from_chars(begin.ptr + 1, last, rows.end);
    if (end.ec == std::errc() && end.ptr == last && rows.begin < rows.end) {
      return rows;
    }
  }
  return fail(EINVAL, fmt::format("--range {}: give two rows as 0:100, the second left out", text));
}

// What waitpid says of the command.
Result<int> run(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) {
    return fail(errno, "fork");
  }
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
      _exit(kNotFound);
    }
    execvp(arguments[0], arguments.data());
    std::perror(("arrayfs: " + command[0]).c_str());
    _exit(kNotFound);
  }
  // A terminal sends these to the command, too, whose answer decides.
  signal(SIGINT, SIG_IGN);
  signal(SIGQUIT, SIG_IGN);
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return fail(errno, "waitpid");
    }
  }
  return status;
}

Result<int> run_locked(const LockArguments& arguments) {
  shm::Timeout timeout;
  if (arguments.timeout_s >= 0) {
    timeout = std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(arguments.timeout_s));
  }
  const auto explain = [&](const shm::Error& error) {
    return fail(error.code, arguments.path + ": " + error.context);
  };
  if (!arguments.range.empty()) {
    const auto rows = parse_rows(arguments.range);
    if (!rows) {
      return tl::unexpected(rows.error());
    }
    const auto kind =
        arguments.shared ? shm::posix::LockKind::kShared : shm::posix::LockKind::kExclusive;
    const auto held = shm::RowLock::lock(arguments.path, kind, rows->begin, rows->end, timeout);
    if (!held) {
      return tl::unexpected(held.error());
    }
    return run(arguments.command);
  }
  auto sync = shm::Sync::open(arguments.path);
  if (!sync) {
    return tl::unexpected(sync.error());
  }
  auto held = arguments.shared ? sync->lock_shared(timeout) : sync->lock_exclusive(timeout);
  if (!held) {
    return explain(held.error());
  }
  if (held->owner_died()) {
    std::fprintf(stderr, "arrayfs: %s: the last owner of the lock died; look at the values\n",
                 arguments.path.c_str());
  }
  auto status = run(arguments.command);
  const bool killed = status && WIFSIGNALED(*status);
  if (auto released = held->release(killed && !arguments.shared); !released) {
    return explain(released.error());
  }
  return status;
}

Result<void> lock_command(const LockArguments& arguments) {
  const auto status = run_locked(arguments);
  if (!status) {
    return tl::unexpected(status.error());
  }
  const int code = WIFSIGNALED(*status) ? 128 + WTERMSIG(*status) : WEXITSTATUS(*status);
  if (code != 0) {
    std::exit(code);
  }
  return {};
}

}  // namespace

void add_lock_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<LockArguments>();
  CLI::App* command = app.add_subcommand("lock", "Run a command while holding an array's lock");
  command->footer(kExamples);
  command->add_option("PATH", arguments->path, "An array")->required();
  command->add_option("COMMAND", arguments->command, "What to run, behind --")->required();
  command->add_flag("--shared", arguments->shared, "Beside other readers, without writers");
  command->add_option("--range", arguments->range, "Rows BEGIN:END instead of the whole array");
  command->add_option("--timeout", arguments->timeout_s, "Give up after so many seconds")
      ->check(CLI::NonNegativeNumber);
  command->callback(
      [arguments, &action] { action = [arguments] { return lock_command(*arguments); }; });
}

}  // namespace arrayfs
