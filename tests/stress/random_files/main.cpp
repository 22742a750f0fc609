// Many processes do to one directory, at random, whatever programs do to files.
//
//   random_files DIR SECONDS SEED [WORKERS]
//
// What a reader may rely on follows from a file's name:
//   whole-N   arrays that are replaced as a whole: who found one complete sees the same words until
//             it lets go. Overwriters of one name take turns (a mutex in shared memory).
//   link-N    further names of those.
//   live-N    arrays that several processes store into through mappings; also locked by name.
//   free-N    in the root and in dir-N: anything goes, so they are read with pread alone.
// Each word of a file tells its place, so that a word that strayed shows in every one of them.
//
// Every outcome is counted and must be one that tmpfs may give for that call, or a promised
// exception (ETXTBSY, EBUSY, EPERM of a seal, ENOSPC of a growth beyond capacity). Exit 0 when all
// were, and no process died.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "held_array.hpp"
#include "outcomes.hpp"
#include "worker.hpp"

namespace stress {
namespace {

constexpr int kGraceSeconds = 120;  // for slow (sanitized) daemons, after the time is up

std::vector<pid_t> start(const std::string& directory, time_t until, unsigned seed, int workers,
                         Shared& shared) {
  std::vector<pid_t> pids;
  for (int number = 0; number < workers; ++number) {
    const pid_t pid = fork();
    if (pid == 0) {
      explain_bus_errors();
      _exit(Worker(directory, seed, number, shared).run(until));
    }
    pids.push_back(pid);
  }
  return pids;
}

void on_alarm(int) {}

void kill_stuck(const std::vector<pid_t>& pids) {
  for (const pid_t pid : pids) {
    fprintf(stderr, "pid %d does not end: killed\n", pid);
    kill(pid, SIGKILL);
  }
}

// Waits until all have ended, and tells whether all ended well; who is not done in time is stuck in
// a request and is killed.
bool wait_for_all(std::vector<pid_t> pids, time_t seconds) {
  struct sigaction action {};
  action.sa_handler = on_alarm;  // without SA_RESTART: ends the wait
  sigaction(SIGALRM, &action, nullptr);
  alarm(static_cast<unsigned>(seconds));
  bool good = true;
  while (!pids.empty()) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, 0);
    if (pid < 0 && errno == EINTR) {
      kill_stuck(pids);
      good = false;
      continue;
    }
    if (pid < 0) {
      break;
    }
    std::erase(pids, pid);
    if (WIFSIGNALED(status)) {
      fprintf(stderr, "pid %d died: %s\n", pid, strsignal(WTERMSIG(status)));
    }
    good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  return good;
}

}  // namespace
}  // namespace stress

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) {
    fprintf(stderr, "usage: random_files DIR SECONDS SEED [WORKERS]\n");
    return 2;
  }
  const time_t seconds = std::atol(argv[2]);
  const auto seed = static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10));
  const int workers = argc == 5 ? std::atoi(argv[4]) : 20;
  stress::Shared* shared = stress::make_shared();
  if (shared == nullptr) {
    perror("random_files");
    return 1;
  }
  const auto pids = stress::start(argv[1], time(nullptr) + seconds, seed, workers, *shared);
  const bool good = stress::wait_for_all(pids, seconds + stress::kGraceSeconds);
  stress::print_counts(*shared);
  return good && shared->failures == 0 ? 0 : 1;
}
