// `arrayfs mount`: checks, becomes a daemon, and returns when the mount can be used. The daemon is
// a supervisor and, one after the other, the servers that it starts.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "../fault_point.hpp"
#include "../log.hpp"
#include "../mount_point.hpp"
#include "../privileges.hpp"
#include "../session.hpp"
#include "../store.hpp"
#include "../supervisor.hpp"
#include "commands.hpp"
#include "mount_options.hpp"

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
  arrayfs mount --config /etc/arrayfs/arrays.conf
A store that an earlier mount of the same name left is taken over with all its arrays.)";

constexpr std::uint32_t kMaxInodes = 1U << 24;

// What a mount consists of, apart from the server: it stays when servers come and go.
struct Mounted {
  MountConfig config;
  Store store;
  StateMemory memory;
  Fd device;
  ServiceManager manager;
};

// Of a mount that failed: nothing was put into its store yet.
void discard_unless_adopted(const MountConfig& config, Store& store) {
  if (!store.adopted()) {
    store = Store::none();  // lets go of the lock
    static_cast<void>(Store::discard(config));
  }
}

Result<Mounted> set_up(const MountConfig& config) {
  auto store = Store::open(config);
  if (!store) {
    return tl::unexpected(store.error());
  }
  auto memory = StateMemory::create(kMaxInodes);
  if (!memory) {
    return tl::unexpected(memory.error());
  }
  // A daemon in the background is not the service that somebody waits for.
  auto manager = config.foreground ? ServiceManager::connect(memory->state())
                                   : Result<ServiceManager>(ServiceManager());
  if (!manager) {
    discard_unless_adopted(config, *store);
    return tl::unexpected(manager.error());
  }
  auto device = Session::mount(config);
  if (!device) {
    discard_unless_adopted(config, *store);
    return tl::unexpected(device.error());
  }
  Mounted mounted{config, std::move(*store), std::move(*memory), std::move(*device),
                  std::move(*manager)};
  State& state = mounted.memory.state();
  for (const int fd : {mounted.memory.fd(), mounted.device.get()}) {
    KeptFds::keep_mount(state, fd);
  }
  for (const int fd : mounted.store.descriptors()) {
    KeptFds::keep_mount(state, fd);
  }
  state.device_fd = mounted.device.get();
  std::ranges::copy(mounted.store.descriptors(), state.store_fds);
  const std::string json = to_json(config);
  if (json.size() > sizeof state.config) {
    return fail(ENAMETOOLONG, "mount point, store and log file: give shorter paths");
  }
  state.config_bytes = static_cast<std::uint32_t>(json.size());
  std::ranges::copy(json, state.config);
  return mounted;
}

// Tells the command that waits for the mount: nullopt once it can be used, or why it cannot.
using Tell = std::function<void(const std::optional<shm::Error>&)>;

// Runs in each server process.
int serve_once(Mounted& mounted, const Tell& tell) {
  auto served = open_log(mounted.config, mounted.memory.state());
  if (served) {
    Session session(mounted.config, mounted.store, mounted.memory);
    served = session.serve(mounted.device.get(), [&] {
      mounted.manager.ready();
      tell(std::nullopt);
    });
  }
  if (!served && mounted.memory.state().supervision.serving == 0) {
    tell(served.error());
  } else if (!served) {
    log_line(spdlog::level::err, shm::to_string(served.error()), {.code = served.error().code});
  }
  spdlog::shutdown();
  return served ? 0 : 1;
}

// Supervises servers until the mount is gone; false when none of them ever came to serve.
bool supervise(Mounted& mounted, const Tell& tell) {
  if (auto dropped = drop_privileges(); !dropped) {
    tell(dropped.error());
    static_cast<void>(unmount(mounted.config.mountpoint, true));
    discard_unless_adopted(mounted.config, mounted.store);
    return false;
  }
  const std::string mountpoint = mounted.config.mountpoint;
  const auto end = Supervisor(mounted.memory, mounted.manager)
                       .run([&] { return serve_once(mounted, tell); },
                            [&] { static_cast<void>(unmount(mountpoint, true)); });
  pollfd connection{mounted.device.get(), 0, 0};
  const bool connected = poll(&connection, 1, 0) == 0;  // POLLERR after an unmount
  // Without a server nobody answers: what still asks is to fail, not to wait.
  KeptFds::close_unknown(mounted.memory);
  mounted.device.reset();
  if (connected && is_mountpoint(mountpoint)) {
    static_cast<void>(unmount(mountpoint, true));
  }
  if (end == Supervisor::End::kFailed) {
    discard_unless_adopted(mounted.config, mounted.store);
  }
  return end != Supervisor::End::kFailed;
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
  const Tell report = [&](const std::optional<shm::Error>& error) {
    tell(writing.get(), error ? error->code : 0, error ? error->context : std::string());
    writing.reset();
  };
  auto mounted = set_up(config);
  if (!mounted) {
    report(mounted.error());
    _exit(1);
  }
  _exit(supervise(*mounted, report) ? 0 : 1);
}

Result<void> run_in_foreground(const MountConfig& config) {
  auto mounted = set_up(config);
  if (!mounted) {
    return tl::unexpected(mounted.error());
  }
  const Tell report = [](const std::optional<shm::Error>& error) {
    if (error) {
      std::fprintf(stderr, "arrayfs: %s\n", shm::to_string(*error).c_str());
    }
  };
  std::exit(supervise(*mounted, report) ? 0 : 1);
}

// What a program is handed that takes over from another one, in its process and with its
// descriptors.
struct Handover {
  int memory_fd = -1;
  int program_fd = -1;  // of the other program; -1: there is no way back
  std::string failure;  // why another program, which this one made way for, could not take over
};

// The mount as another program left it. Changes neither the state nor the store.
Result<Mounted> adopt_mount(int memory_fd) {
  auto memory = StateMemory::adopt(Fd(memory_fd));
  if (!memory) {
    return tl::unexpected(memory.error());
  }
  const State& state = memory->state();
  KeptFds::pass_through_exec(state, false);
  auto config = config_from_json(std::string_view(state.config, state.config_bytes));
  if (!config) {
    return tl::unexpected(config.error());
  }
  auto store = Store::adopt(*config, {state.store_fds[0], state.store_fds[1], state.store_fds[2]});
  if (!store) {
    return tl::unexpected(store.error());
  }
  fault_point("resume: adopted");
  Fd device(state.device_fd);
  return Mounted{std::move(*config), std::move(*store), std::move(*memory), std::move(device), {}};
}

// Tries in another process whether this program can adopt the mount: so neither a crash nor what is
// closed after an error does harm. Returns why it cannot, or nothing.
std::string try_to_adopt(int memory_fd) {
  constexpr int kTimeoutMs = 10'000;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return std::string("pipe: ") + std::strerror(errno);
  }
  Fd reading(ends[0]);
  Fd writing(ends[1]);
  const pid_t trial = fork();
  if (trial == 0) {
    const auto mounted = adopt_mount(memory_fd);
    const std::string why = mounted ? "" : shm::to_string(mounted.error());
    static_cast<void>(!write(writing.get(), why.data(), why.size()));
    _exit(mounted ? 0 : 1);
  }
  writing.reset();
  std::string why(PIPE_BUF, '\0');
  pollfd said{reading.get(), POLLIN, 0};
  const bool in_time = trial > 0 && poll(&said, 1, kTimeoutMs) == 1;
  const ssize_t size = in_time ? read(reading.get(), why.data(), why.size()) : 0;
  why.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  int status = 1;
  if (!in_time && trial > 0) {
    kill(trial, SIGKILL);
  }
  waitpid(trial, &status, 0);
  if (WIFSIGNALED(status)) {
    return in_time ? fmt::format("ended by signal {}", WTERMSIG(status)) : "it hung";
  }
  return status != 0 && why.empty() ? "it could not be tried" : why;
}

// Lets the other program go on; returns only if even that is impossible.
void give_back(const Handover& handover, const std::string& why) {
  const std::string memory = std::to_string(handover.memory_fd);
  const std::string failure = "--failure=" + why;
  const char* const arguments[] = {"arrayfs", "resume", memory.c_str(), failure.c_str(), nullptr};
  fcntl(handover.program_fd, F_SETFD, FD_CLOEXEC);
  fexecve(handover.program_fd, const_cast<char* const*>(arguments), environ);
}

// As if the server alone had been replaced: no program was.
void note_failure(Supervision& supervision, const std::string& failure) {
  --supervision.upgrades;
  ++supervision.restarts;
  snprintf(supervision.last_reason, sizeof supervision.last_reason,
           "the new program could not take over: %s", failure.c_str());
}

Result<void> resume(const Handover& handover) {
  prctl(PR_SET_NAME, "arrayfs");  // fexecve(2) leaves the number of a descriptor
  if (handover.program_fd >= 0) {
    if (const std::string why = try_to_adopt(handover.memory_fd); !why.empty()) {
      give_back(handover, why);
      return fail(errno, "the program before this one, which cannot take over, " + why);
    }
  }
  auto mounted = adopt_mount(handover.memory_fd);
  if (!mounted) {
    return tl::unexpected(mounted.error());
  }
  State& state = mounted->memory.state();
  if (!handover.failure.empty()) {
    note_failure(state.supervision, handover.failure);
  }
  if (mounted->config.foreground) {
    if (auto manager = ServiceManager::connect(state)) {
      mounted->manager = std::move(*manager);
    }
  }
  std::exit(supervise(*mounted, [](const std::optional<shm::Error>&) {}) ? 0 : 1);
}

Result<void> mount_command(CLI::App& command, MountArguments& arguments) {
  if (auto completed = complete(command, arguments); !completed) {
    return completed;
  }
  MountConfig& config = arguments.config;
  clean_stale_mount(config.mountpoint);
  if (auto valid = validate(config); !valid) {
    return valid;
  }
  if (!config.log_file.empty()) {
    config.log_file = std::filesystem::absolute(config.log_file);  // the daemon works elsewhere
  }
  return config.foreground ? run_in_foreground(config) : run_daemon(config);
}

}  // namespace

void add_resume_command(CLI::App& app, Action& action) {
  auto handover = std::make_shared<Handover>();
  CLI::App* command = app.add_subcommand("resume", "")->group("");  // for `arrayfs upgrade` alone
  command->add_option("MEMORY", handover->memory_fd)->required();
  command->add_option("PROGRAM", handover->program_fd);
  command->add_option("--failure", handover->failure);
  command->callback([handover, &action] { action = [handover] { return resume(*handover); }; });
}

void add_mount_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<MountArguments>();
  CLI::App* command = app.add_subcommand("mount", "Mount a directory of shared arrays");
  command->footer(kExamples);
  add_mount_options(*command, *arguments);
  command->callback([command, arguments, &action] {
    if (arguments->config.mountpoint.empty() && arguments->config_file.empty()) {
      throw CLI::RequiredError("DIR or --config");
    }
    action = [command, arguments] { return mount_command(*command, *arguments); };
  });
}

}  // namespace arrayfs
