// `arrayfs mount`: checks, becomes a daemon, and returns when the mount can be used.
#include <fcntl.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <map>

#include "../mount_point.hpp"
#include "../session.hpp"
#include "../store.hpp"
#include "commands.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;
using shm::posix::Fd;

constexpr char kExamples[] = R"(
Examples:
  arrayfs mount /mnt/arrays --size 8G      as root: private tmpfs, passthrough, for all users
  arrayfs mount ~/arrays                   as an ordinary user: for this user alone
  arrayfs mount /mnt/arrays --store /data  arrays in the files of /data
A store that an earlier mount of the same name left is taken over with all its arrays.)";

const std::map<std::string, Io> kPlanes{{"auto", Io::kAuto},
                                        {"passthrough", Io::kPassthrough},
                                        {"cached", Io::kCached},
                                        {"link", Io::kLink}};

struct MountArguments {
  MountConfig config;
  std::string size;
  std::string mode;
  std::string io;
};

Result<void> set_up_log(const MountConfig& config) {
  std::shared_ptr<spdlog::logger> logger;
  if (!config.log_file.empty()) {
    const Fd writable(
        open(config.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!writable.valid()) {
      return fail(errno, "--log-file " + config.log_file);
    }
    logger = spdlog::basic_logger_mt("arrayfs", config.log_file);
    logger->flush_on(spdlog::level::info);
  } else if (config.foreground) {
    logger = spdlog::stderr_color_mt("arrayfs");
  } else {
    logger = spdlog::syslog_logger_mt("arrayfs", "arrayfs", LOG_PID, LOG_DAEMON);
  }
  logger->set_level(spdlog::level::from_str(config.log_level));
  spdlog::set_default_logger(std::move(logger));
  return {};
}

Result<void> serve(const MountConfig& config, const std::function<void()>& ready) {
  if (auto log = set_up_log(config); !log) {
    return log;
  }
  auto store = Store::open(config);
  if (!store) {
    return tl::unexpected(store.error());
  }
  const bool adopted = store->adopted();
  Result<void> served;
  {
    Session session(config, std::move(*store));
    served = session.serve(ready);
  }
  if (!served && !adopted) {
    static_cast<void>(Store::discard(config));  // nothing was put into it yet
  }
  return served;
}

// What the daemon tells the command that started it, in one message: 0, or an errno and a line.
Result<void> await_daemon(int pipe_fd, pid_t daemon) {
  std::string message(PIPE_BUF, '\0');
  ssize_t size = 0;
  do {
    size = read(pipe_fd, message.data(), message.size());
  } while (size < 0 && errno == EINTR);
  int code = 0;
  if (size < static_cast<ssize_t>(sizeof code)) {
    waitpid(daemon, nullptr, 0);
    return fail(EIO, "the daemon ended before the mount was ready; see the log (--log-file)");
  }
  std::memcpy(&code, message.data(), sizeof code);
  if (code == 0) {
    return {};
  }
  waitpid(daemon, nullptr, 0);
  return fail(code, message.substr(sizeof code, static_cast<size_t>(size) - sizeof code));
}

void tell(int pipe_fd, int code, const std::string& context) {
  std::string message(sizeof code, '\0');
  std::memcpy(message.data(), &code, sizeof code);
  message += context;
  message.resize(std::min<size_t>(message.size(), PIPE_BUF));
  static_cast<void>(!write(pipe_fd, message.data(), message.size()));
}

// A daemon keeps nothing of who started it: no session, no directory, no descriptor but `pipe`.
void leave_caller(Fd& pipe) {
  constexpr int kPipe = STDERR_FILENO + 1;
  setsid();
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    dup2(null, standard);
  }
  if (pipe.get() != kPipe) {
    if (dup3(pipe.get(), kPipe, O_CLOEXEC) < 0) {
      _exit(1);
    }
    pipe = Fd(kPipe);
  }
  close_range(kPipe + 1, ~0U, 0);
  if (chdir("/") != 0) {
    _exit(1);
  }
}

Result<void> run_daemon(const MountConfig& config) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return shm::posix::fail_errno("pipe");
  }
  Fd reading(ends[0]);
  Fd writing(ends[1]);
  const pid_t daemon = fork();
  if (daemon < 0) {
    return shm::posix::fail_errno("fork");
  }
  if (daemon > 0) {
    writing.reset();
    return await_daemon(reading.get(), daemon);
  }
  reading.reset();
  leave_caller(writing);
  const auto served = serve(config, [&] {
    tell(writing.get(), 0, {});
    writing.reset();
  });
  if (!served && writing.valid()) {
    tell(writing.get(), served.error().code, served.error().context);
  } else if (!served) {
    spdlog::error("{}", shm::to_string(served.error()));
  }
  spdlog::shutdown();
  _exit(served ? 0 : 1);
}

Result<void> mount_command(MountArguments& arguments) {
  MountConfig& config = arguments.config;
  if (!arguments.size.empty()) {
    const auto size = parse_size(arguments.size);
    if (!size) {
      return fail(size.error().code, "--" + size.error().context);
    }
    config.capacity_bytes = *size;
  }
  if (!arguments.mode.empty()) {
    config.root_mode = static_cast<mode_t>(std::stoul(arguments.mode, nullptr, 8));
  }
  if (!arguments.io.empty()) {
    config.io = kPlanes.at(arguments.io);
  }
  clean_stale_mount(config.mountpoint);
  if (auto valid = validate(config); !valid) {
    return valid;
  }
  return config.foreground ? serve(config, [] {}) : run_daemon(config);
}

}  // namespace

void add_mount_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<MountArguments>();
  MountConfig& config = arguments->config;
  CLI::App* command = app.add_subcommand("mount", "Mount a directory of shared arrays");
  command->footer(kExamples);
  command->add_option("DIR", config.mountpoint, "An existing directory")->required();
  CLI::Option* size = command->add_option(
      "--size", arguments->size,
      "Capacity: bytes with K, M, G or T, or a share of the memory as 50% (default)");
  command
      ->add_option("--store", config.store_dir,
                   "Keep the arrays in the files of this directory, not in a private tmpfs")
      ->excludes(size);  // its file system has a size
  command->add_option(
      "--name", config.name,
      "Name of the private store (default: from DIR); the same name finds it again");
  command
      ->add_option("--io", arguments->io,
                   "Data plane: auto (default: the best that keeps all promises), passthrough, "
                   "cached, link")
      ->check(CLI::IsMember({"auto", "passthrough", "cached", "link"}));
  command
      ->add_option("--huge", config.huge, "Huge pages of the private tmpfs (default within_size)")
      ->check(CLI::IsMember({"never", "within_size", "always", "advise"}));
  command
      ->add_option("--mode", arguments->mode, "Mode of a new store's root directory (default 1777)")
      ->check([](const std::string& text) {
        return !text.empty() && text.size() <= 5 &&
                       text.find_first_not_of("01234567") == std::string::npos
                   ? std::string()
                   : "give an octal mode, as 0755";
      });
  command->add_flag("--sparse", config.sparse,
                    "Let files have holes; touching one when memory is full is then SIGBUS");
  command->add_flag("--show-control", config.show_control, "List .arrayfs in the root directory");
  command->add_flag("--foreground", config.foreground, "Stay in the foreground, log to stderr");
  command->add_option("--log-file", config.log_file,
                      "Log to this file (default: syslog, or stderr in the foreground)");
  command->add_option("--log-level", config.log_level, "trace, debug, info, warning, error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}));
  command->callback(
      [arguments, &action] { action = [arguments] { return mount_command(*arguments); }; });
}

}  // namespace arrayfs
