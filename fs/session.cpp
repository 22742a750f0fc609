#include "session.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <thread>

#include "fault_point.hpp"
#include "file_users.hpp"
#include "fuse_ops.hpp"
#include "log.hpp"
#include "mount_point.hpp"
#include "version.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;
using shm::posix::Fd;

constexpr unsigned kExecutorThreads = 4;
constexpr unsigned kSlowThreads = 8;
constexpr unsigned kSlowThreadsOfOneUser = 3;
static_assert(kExecutorThreads + kSlowThreads < kHelpers);

// libfuse tells why a mount failed through its log alone: the last line of it is kept.
std::string& last_fuse_message() {
  static std::string message;
  return message;
}

__attribute__((format(printf, 2, 0))) void log_of_fuse(fuse_log_level level, const char* format,
                                                       va_list arguments) {
  char line[512];
  vsnprintf(line, sizeof line, format, arguments);
  std::string_view text(line);
  while (text.ends_with('\n')) {
    text.remove_suffix(1);
  }
  last_fuse_message() = text;
  spdlog::log(level <= FUSE_LOG_WARNING ? spdlog::level::debug : spdlog::level::trace, "{}", text);
}

// Waits for the signals that ask something of the server, on a thread of its own.
class AwaitedSignals {
 public:
  AwaitedSignals(std::function<void()> stop, std::function<void(int)> set_log_level)
      : stop_(std::move(stop)), set_log_level_(std::move(set_log_level)) {
    thread_ = std::thread([this] { wait(); });
  }
  AwaitedSignals(const AwaitedSignals&) = delete;
  AwaitedSignals& operator=(const AwaitedSignals&) = delete;
  ~AwaitedSignals() {
    pthread_kill(thread_.native_handle(), kFinished);
    thread_.join();
  }

  /// From here on the signals wait for an object of this class to come.
  static sigset_t block() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, kFinished, kLogLevelSignal}) {
      sigaddset(&signals, signal);
    }
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    return signals;
  }

 private:
  static constexpr int kFinished = SIGUSR2;

  void wait() {
    siginfo_t info{};
    do {
      sigwaitinfo(&signals_, &info);
      if (info.si_signo == kLogLevelSignal && info.si_code == SI_QUEUE) {
        set_log_level_(info.si_value.sival_int);
      }
    } while (info.si_signo == 0 || info.si_signo == kLogLevelSignal);
    if (info.si_signo != kFinished) {
      log_line(spdlog::level::info, fmt::format("signal {}: unmounting", info.si_signo),
               {.pid = info.si_pid});
      stop_();
    }
  }

  std::function<void()> stop_;
  std::function<void(int)> set_log_level_;
  sigset_t signals_ = block();
  std::thread thread_;
};

// Options as libfuse parses them; commas and backslashes of values are escaped.
std::string mount_options(const MountConfig& config) {
  char* options = nullptr;
  const auto add = [&](const std::string& option) {
    fuse_opt_add_opt_escaped(&options, option.c_str());
  };
  add(std::string("fsname=") + kMountSource + config.name);
  add("subtype=arrayfs");
  add("default_permissions");
  // Links lead into a directory that only this user may enter.
  if (geteuid() == 0 && config.io != Io::kLink) {
    add("allow_other");
  }
  std::string text(options);
  free(options);
  return text;
}

Result<fuse_session*> new_fuse_session(const MountConfig& config, void* userdata) {
  fuse_set_log_func(log_of_fuse);
  const std::string options = mount_options(config);
  const char* argv[] = {"arrayfs", "-o", options.c_str(), nullptr};
  fuse_args arguments{3, const_cast<char**>(argv), 0};
  fuse_session* session =
      fuse_session_new(&arguments, &fuse_operations(), sizeof(fuse_lowlevel_ops), userdata);
  fuse_opt_free_args(&arguments);
  if (session == nullptr) {
    return fail(EINVAL, "libfuse: " + last_fuse_message());
  }
  return session;
}

bool in_path(const char* program) {
  const char* path = getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    if (access((std::string(rest.substr(0, end)) + "/" + program).c_str(), X_OK) == 0) {
      return true;
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

// What mounting needs, checked before libfuse tries it.
Result<void> check_machine() {
  if (access("/dev/fuse", F_OK) != 0) {
    return fail(errno,
                "/dev/fuse: the kernel has no FUSE here; load it with modprobe fuse, or give "
                "the container --device /dev/fuse");
  }
  if (access("/dev/fuse", R_OK | W_OK) != 0) {
    return fail(errno, "/dev/fuse: no access for this user; let root run chmod 0666 /dev/fuse");
  }
  if (geteuid() != 0 && !in_path("fusermount3")) {
    return fail(ENOENT,
                "fusermount3: an ordinary user needs it to mount; install the package fuse3");
  }
  return {};
}

}  // namespace

KernelProtocol& session_protocol(void* userdata) {
  return static_cast<Session*>(userdata)->protocol();
}

Session::Session(const MountConfig& config, const Store& store, StateMemory& memory)
    : config_(config),
      store_(store),
      memory_(memory),
      state_(memory.state()),
      protocol_({config.io == Io::kAuto || config.io == Io::kPassthrough, store_.stack_depth()},
                memory.state()) {}

Session::~Session() {
  if (mailbox_) {
    mailbox_->close();
  }
  waiting_.reset();
  reaper_.reset();
  notifier_.reset();
  slow_executor_.reset();
  executor_.reset();  // its jobs reply to requests of the session
  if (session_ != nullptr) {
    fuse_session_destroy(session_);
  }
}

Result<Fd> Session::mount(const MountConfig& config) {
  if (auto machine = check_machine(); !machine) {
    return tl::unexpected(machine.error());
  }
  if (is_mountpoint(config.mountpoint)) {
    return fail(EBUSY, "mount point " + config.mountpoint +
                           ": something is mounted there; unmount it or give another directory");
  }
  auto session = new_fuse_session(config, nullptr);
  if (!session) {
    return tl::unexpected(session.error());
  }
  // libfuse mounts; the sessions that serve are made later, one for each server.
  const std::unique_ptr<fuse_session, decltype(&fuse_session_destroy)> mounting(
      *session, &fuse_session_destroy);
  if (fuse_session_mount(mounting.get(), config.mountpoint.c_str()) != 0) {
    const int code = errno != 0 ? errno : EPERM;
    return fail(code, "mount point " + config.mountpoint + ": " + last_fuse_message());
  }
  Fd device(fcntl(fuse_session_fd(mounting.get()), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!device.valid()) {
    return shm::posix::fail_errno("/dev/fuse");
  }
  return device;
}

Result<void> Session::attach(int device) {
  auto session = new_fuse_session(config_, this);
  if (!session) {
    return tl::unexpected(session.error());
  }
  session_ = *session;
  device_ = device;
  takes_over_ = protocol_.is_successor();
  Fd own(fcntl(device, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));  // which libfuse closes
  return protocol_.attach(session_, own.get()).map([&] { static_cast<void>(own.release()); });
}

Result<void> Session::serve(int device, const std::function<void()>& ready) {
  AwaitedSignals::block();
  return attach(device)
      .and_then([&] { return negotiate(); })
      .and_then([&] { return choose_plane(); })
      .and_then([&]() -> Result<void> {
        state_.supervision.serving = 1;
        if (takes_over_) {
          log_line(spdlog::level::warn,
                   fmt::format("server {} takes over {}: its predecessor {}", getpid(),
                               config_.mountpoint, state_.supervision.last_reason),
                   {.pid = getpid()});
        } else {
          spdlog::info("{} serves {} ({}), plane {}: {}", config_.mountpoint, store_.path(),
                       store_.description(), plane(), plane_reason_);
        }
        if (!takes_over_) {
          ready();
        }
        return loop();
      });
}

// Whoever speaks first with the kernel hears INIT; its successors hear it played back.
Result<void> Session::negotiate() {
  fuse_buf buffer{};  // not the state's: what a predecessor died over may still be there
  const bool got = fuse_session_receive_buf(session_, &buffer) > 0;
  if (got) {
    fuse_session_process_buf(session_, &buffer);
  }
  free(buffer.mem);
  if (!got || protocol_.kernel_minor() == 0) {
    return fail(EPROTO, "the kernel and libfuse did not agree: " + last_fuse_message());
  }
  return {};
}

Result<void> Session::choose_plane() {
  std::optional<Backing> backing;
  plane_reason_ = protocol_.refusal();
  if (protocol_.passthrough()) {
    // The kernel agreed in principle; whether it takes files of this store shows at the first.
    const auto probe = protocol_.register_backing(
        Fd(openat(store_.private_fd(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)).get());
    if (probe) {
      protocol_.unregister_backing(*probe);
      // The kernel counts them upwards: between the last known one and this may be one that the
      // predecessor registered with its last breath.
      if (state_.pending_backing != 0 && *probe - state_.last_backing_id == 2) {
        protocol_.unregister_backing(*probe - 1);
      }
      state_.last_backing_id = *probe;
      state_.pending_backing = 0;
      backing = Backing{[this](int fd) { return protocol_.register_backing(fd); },
                        [this](std::int32_t id) { protocol_.unregister_backing(id); }};
      plane_reason_ = "the kernel maps the store's files itself";
    } else {
      plane_reason_ = "the kernel takes no files of this store: " + shm::to_string(probe.error());
    }
  }
  if (config_.io == Io::kPassthrough && !backing) {
    return fail(ENOTSUP, "--io passthrough: " + plane_reason_ + "; use --io auto or cached");
  }
  if (config_.io == Io::kCached) {
    plane_reason_ = "asked for with --io cached";
  } else if (config_.io == Io::kLink) {
    plane_reason_ =
        "asked for with --io link; space, overwriting and sealing are not guarded behind a link";
  }
  return start_serving(std::move(backing));
}

Result<void> Session::start_serving(std::optional<Backing> backing) {
  if (state_.started_at == 0) {
    state_.started_at = time(nullptr);
  }
  ServeOptions options;
  options.backing = std::move(backing);
  options.links = shows_links();
  options.capacity_bytes = store_.has_size() ? 0 : config_.capacity_bytes;
  options.reserve_space = !config_.sparse;
  options.device = device_of_mount(config_.mountpoint);
  options.attributes_changed = [this](NodeId node) { forget_attributes(node); };
  options.lifetime_set = [this](Fd path_fd) { reaper_->watch(std::move(path_fd)); };
  options.happened = [this](const Event& event) { waiting_->happened(event); };
  auto files = FileSystem::create(store_, memory_, std::move(options));
  if (!files) {
    return tl::unexpected(files.error());
  }
  files_.emplace(std::move(*files));
  views_.start_at((state_.supervision.restarts + state_.supervision.upgrades + 1) << 32);
  control_.emplace(*files_, Drafts(state_), [this] { return status(); });
  executor_.emplace(kExecutorThreads);
  slow_executor_.emplace(kSlowThreads, kSlowThreadsOfOneUser);
  notifier_.emplace(1);
  mailbox_.emplace();
  waiting_.emplace(*files_, protocol_, state_);
  reaper_.emplace(store_, [this](const Reaper::Removal& removal) {
    mailbox_->post([this, removal] {
      const auto parent = files_->find_by_ino(removal.parent_ino);
      if (!parent) {
        return expired(removal);
      }
      forget_name(*parent, removal.name);
      forget_listing(*parent, [this, removal] { expired(removal); });
    });
  });
  return {};
}

void Session::expired(const Reaper::Removal& removal) {
  files_->note_expired(removal.ino, removal.parent_ino, removal.name);
  if (removal.last_name) {
    files_->lost_name(removal.ino);
  }
  files_->lost_name(removal.sync_page_ino);
  if (const auto node = files_->find_by_ino(removal.ino)) {
    forget_attributes(*node);
  }
}

// The kernel may still know the name. Telling it takes the directory's lock, which a request that
// waits for this thread may hold: so another thread tells.
void Session::forget_name(NodeId parent, const std::string& name) {
  notifier_->run(Executor::Job([this, parent, name] {
    fuse_lowlevel_notify_inval_entry(session_, parent, name.data(), name.size());
  }));
}

void Session::forget_listing(NodeId directory, const Mailbox::Task& after) {
  notifier_->run(Executor::Job([this, directory, after] {
    fuse_lowlevel_notify_inval_inode(session_, directory, 0, 0);
    if (after) {
      mailbox_->post(after);
    }
  }));
}

void Session::forget_attributes(NodeId node) {
  notifier_->run(Executor::Job([this, node] {
    fuse_lowlevel_notify_inval_inode(session_, node, -1, 0);  // the data stays
  }));
}

Result<void> Session::loop() {
  signal(SIGIO, SIG_IGN);  // sent when a file is opened while a lease on it is being asked for
  const AwaitedSignals signals(
      [this] {
        // Who tells the kernel of names may wait for requests that are yet to be answered here.
        notifier_->finish();
        mailbox_->post([this] { fuse_session_exit(session_); });
      },
      [this](int level) {
        if (keep_log_level(state_, level)) {
          obey_log_level(config_, state_);
        }
      });
  if (takes_over_) {
    if (auto taken = take_over(); !taken) {
      return taken;
    }
  }
  int result = 0;
  while (!fuse_session_exited(session_)) {
    result = next_request();
    if (result < 0 && result != -EINTR && result != -EAGAIN) {
      break;
    }
    mailbox_->run_pending();
  }
  mailbox_->close();
  if (result < 0 && result != -EINTR && result != -EAGAIN) {
    return fail(-result, "reading from /dev/fuse");
  }
  spdlog::info("{} is unmounted; the arrays stay in {}", config_.mountpoint, store_.path());
  return {};
}

// Requests are read into the state memory: one that has no answer, as FORGET, is never sent again,
// and would be lost with the server that read it.
int Session::next_request() {
  state_.busy_since_ms = 0;
  fuse_buf buffer{};
  buffer.mem = state_.request;
  const int result = fuse_session_receive_buf(session_, &buffer);
  if (result > 0) {
    state_.busy_since_ms = static_cast<std::uint64_t>(monotonic_ms());
    process(std::span(state_.request, static_cast<size_t>(result)),
            [this] { KernelProtocol::mark_done(state_.request); });
  }
  return result;
}

void Session::process(std::span<std::byte> request, const std::function<void()>& done) {
  fault_point("request: read");
  fuse_buf buffer{};
  buffer.mem = request.data();
  buffer.size = request.size();
  files_->journal().begin(protocol_.unique());
  fuse_session_process_buf(session_, &buffer);
  done();
  fault_point("request: done");
  files_->journal().end();
}

void Session::call_for(std::uint64_t unique, Mailbox::Task task) {
  mailbox_->post([this, unique, task = std::move(task)] {
    files_->journal().begin(unique);
    task();
    files_->journal().end();
  });
}

const char* Session::plane() const {
  if (shows_links()) {
    return "link";
  }
  return files_->passthrough() ? "passthrough" : "cached";
}

MountStatus Session::status() {
  MountStatus status;
  status.version = kVersion;
  status.mountpoint = config_.mountpoint;
  status.name = config_.name;
  status.plane = plane();
  status.plane_reason = plane_reason_;
  status.store_path = store_.path();
  status.store_description = store_.description();
  status.store_root_fd = store_.root_fd();
  if (const auto usage = files_->statistics()) {
    status.capacity_bytes = usage->f_blocks * usage->f_frsize;
    status.free_bytes = usage->f_bfree * usage->f_frsize;
    status.used_bytes = status.capacity_bytes - status.free_bytes;
  }
  status.sparse = config_.sparse;
  const FileSystem::Nameless nameless = files_->nameless();
  status.nameless_files = nameless.files;
  status.nameless_bytes = nameless.bytes;
  status.nodes = files_->state().nodes;
  status.open_files = files_->state().open_files;
  status.uptime_seconds = time(nullptr) - files_->state().started_at;
  status.server_pid = getpid();
  status.supervisor_pid = getppid() == state_.supervision.supervisor_pid ? getppid() : 0;
  status.restarts = state_.supervision.restarts;
  status.can_resend = state_.can_resend != 0;
  status.upgrades = state_.supervision.upgrades;
  status.last_restart = state_.supervision.last_reason;
  status.log_destination = log_destination(config_);
  status.log_format = config_.log_format;
  status.log_level = log_level();
  return status;
}

}  // namespace arrayfs
