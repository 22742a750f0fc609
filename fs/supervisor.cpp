#include "supervisor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <thread>

#include "journal.hpp"
#include "kept_fds.hpp"
#include "log.hpp"

namespace arrayfs {
namespace {

constexpr timespec kGlance{1, 0};
// The longest that the session's thread may be at one piece of work; all long ones it hands on.
constexpr std::int64_t kStuckMs = 5'000;
// A server that lived so long did not die of what it found when it started.
constexpr std::int64_t kSettledMs = 2'000;
// How long a killed server may take to vanish: a thread of it may wait in the kernel for a request
// that only its successor can answer.
constexpr std::int64_t kVanishMs = 500;

sigset_t awaited_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal :
       {SIGCHLD, SIGTERM, SIGINT, SIGHUP, Supervisor::kUpgradeSignal, kLogLevelSignal}) {
    sigaddset(&signals, signal);
  }
  return signals;
}

void pause_ms(std::int64_t duration_ms) {
  const timespec pause{duration_ms / 1000, duration_ms % 1000 * 1'000'000};
  nanosleep(&pause, nullptr);
}

// As fork(), but with one table of descriptors for both.
pid_t clone_sharing_descriptors() {
  return static_cast<pid_t>(
      syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

}  // namespace

void Supervisor::start(const std::function<int()>& serve) {
  if (state_.supervision.serving != 0) {
    // What the last server had open for itself. Here, while nobody else uses the table: a server
    // that cleared it up would close what this process opens meanwhile.
    KeptFds::close_unknown(memory_);
  }
  started_ms_ = monotonic_ms();
  state_.busy_since_ms = 0;
  const pid_t pid = clone_sharing_descriptors();
  if (pid != 0) {
    state_.supervision.server_pid = pid;
    return;
  }
  state_.supervision.server_pid = getpid();
  // The other signals stay blocked: a thread of the session waits for them.
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_UNBLOCK, &children, nullptr);
  // On a thread that the C library made itself: it knows the number of that one.
  int status = 1;
  std::thread([&] { status = serve(); }).join();
  std::exit(status);
}

bool Supervisor::ended(int& status) const {
  return waitpid(state_.supervision.server_pid, &status, WNOHANG | WUNTRACED) > 0;
}

bool Supervisor::is_stuck() const {
  const auto since = static_cast<std::int64_t>(state_.busy_since_ms);
  return since != 0 && monotonic_ms() - since > kStuckMs;
}

// A server that ended is no child to wait for while one of its threads is in the kernel, to tell it
// of a name, behind a program that waits for the server's answer. `status` is then as from
// waitpid(2), and SIGKILL where the kernel does not tell.
bool Supervisor::is_dying(int& status) const {
  char path[32];
  char text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", state_.supervision.server_pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
  if (fd >= 0) {
    close(fd);
  }
  text[std::max<ssize_t>(size, 0)] = '\0';
  const char* name_end = strrchr(text, ')');
  if (name_end == nullptr || strncmp(name_end, ") Z", 3) != 0) {
    return false;
  }
  status = static_cast<int>(strtol(strrchr(text, ' '), nullptr, 10));
  status = WIFSIGNALED(status) ? status : SIGKILL;
  return true;
}

bool Supervisor::is_connected() const {
  pollfd device{state_.device_fd, 0, 0};
  return poll(&device, 1, 0) == 0;  // POLLERR after an unmount
}

void Supervisor::kill_server() {
  kill(state_.supervision.server_pid, SIGKILL);
  const std::int64_t deadline = monotonic_ms() + kVanishMs;
  while (waitpid(state_.supervision.server_pid, nullptr, WNOHANG) == 0 &&
         monotonic_ms() < deadline) {
    pause_ms(1);
  }
}

void Supervisor::replace(const std::function<int()>& serve, const char* reason, bool failed) {
  Supervision& self = state_.supervision;
  const bool at_once = monotonic_ms() - started_ms_ < kSettledMs;
  self.failed = failed ? 1 : 0;
  self.crashes = failed && at_once ? self.crashes + 1 : 0;
  if (self.crashes > 1) {
    pause_ms(std::min<std::int64_t>(10LL << std::min(self.crashes, 9U), 5'000));
  }
  snprintf(self.last_reason, sizeof self.last_reason, "%s", reason);
  ++self.restarts;
  start(serve);
}

void Supervisor::upgrade(pid_t asker, const std::function<int()>& serve) {
  char link[32];
  char program[PATH_MAX];
  char memory[16];
  char own_program[16];
  snprintf(link, sizeof link, "/proc/%d/exe", asker);
  snprintf(memory, sizeof memory, "%d", state_.memory_fd);
  const ssize_t size = readlink(link, program, sizeof program - 1);
  if (size <= 0) {
    return;
  }
  program[size] = '\0';
  kill_server();
  Supervision& self = state_.supervision;
  ++self.upgrades;
  snprintf(self.last_reason, sizeof self.last_reason, "upgraded");
  manager_.keep(state_, false);
  KeptFds::pass_through_exec(state_, true);
  // This program, also when its file is replaced: for a new one that cannot take over.
  const int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  fcntl(own, F_SETFD, 0);
  snprintf(own_program, sizeof own_program, "%d", own);
  char name[] = "arrayfs";
  char command[] = "resume";
  char* const arguments[] = {name, command, memory, own >= 0 ? own_program : nullptr, nullptr};
  execv(program, arguments);
  close(own);
  KeptFds::pass_through_exec(state_, false);
  manager_.keep(state_, true);
  --self.upgrades;
  replace(serve, "the new program could not be started", false);
}

void Supervisor::pass_on_log_level(const siginfo_t& info) {
  // From kill(1) the signal has no value.
  if (info.si_code == SI_QUEUE && keep_log_level(state_, info.si_value.sival_int)) {
    sigqueue(state_.supervision.server_pid, kLogLevelSignal, info.si_value);
  }
}

void Supervisor::begin_to_stop(const std::function<void()>& unmount) {
  if (unmounter_ != 0) {
    return;
  }
  unmounter_ = clone_sharing_descriptors();
  if (unmounter_ == 0) {
    unmount();
    _exit(0);
  }
}

bool Supervisor::unmounted() const {
  return unmounter_ != 0 && (waitpid(unmounter_, nullptr, WNOHANG) != 0);
}

Supervisor::End Supervisor::run(const std::function<int()>& serve,
                                const std::function<void()>& unmount) {
  const sigset_t signals = awaited_signals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  state_.supervision.supervisor_pid = getpid();
  std::fflush(nullptr);
  start(serve);
  for (;;) {
    siginfo_t info{};
    const int signal = sigtimedwait(&signals, &info, &kGlance);
    manager_.alive();
    if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP) {
      manager_.stopping();
      begin_to_stop(unmount);
    } else if (signal == kUpgradeSignal && unmounter_ == 0 && state_.can_resend != 0) {
      upgrade(info.si_pid, serve);
    } else if (signal == kLogLevelSignal) {
      pass_on_log_level(info);
    }
    const bool stop = unmounted();
    if (stop) {
      kill(state_.supervision.server_pid, SIGTERM);  // programs may still have files open
    }
    int status = 0;
    int status_when_gone = 0;
    const bool over = ended(status);
    const bool dying = !over && is_dying(status_when_gone);
    if (!over && !(dying && ended(status))) {
      if (dying) {
        replace_ended(serve, status_when_gone);
      } else if (is_stuck()) {
        kill_server();
        replace(serve, "was stuck", true);
      }
      continue;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      return unmounter_ != 0 ? End::kStopped : End::kUnmounted;
    }
    if (!is_connected() && state_.supervision.serving != 0) {
      return End::kUnmounted;  // however the server took it
    }
    if (stop || state_.supervision.serving == 0) {
      return stop ? End::kStopped : End::kFailed;
    }
    if (state_.can_resend == 0) {
      return End::kStopped;  // what the server was asked would never be answered
    }
    replace_ended(serve, status);
  }
}

void Supervisor::replace_ended(const std::function<int()>& serve, int status) {
  char reason[sizeof state_.supervision.last_reason];
  if (WIFSTOPPED(status)) {
    kill_server();
    snprintf(reason, sizeof reason, "stopped by signal %d", WSTOPSIG(status));
    replace(serve, reason, false);
  } else if (WIFSIGNALED(status)) {
    snprintf(reason, sizeof reason, "ended by signal %d (%s)", WTERMSIG(status),
             sigdescr_np(WTERMSIG(status)));
    replace(serve, reason, WTERMSIG(status) != SIGKILL);
  } else {
    snprintf(reason, sizeof reason, "ended with status %d", WEXITSTATUS(status));
    replace(serve, reason, true);
  }
}

}  // namespace arrayfs
