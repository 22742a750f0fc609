#include "transcript.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

namespace parity {
namespace {

constexpr int kRowTimeoutMs = 60'000;

[[noreturn]] void run_here(const Row& row, const std::string& directory, int transcript) {
  // The same descriptors on both sides, and none of the parent's.
  if (dup2(transcript, kTranscriptFd) < 0 || close_range(3, kTranscriptFd - 1, 0) != 0 ||
      close_range(kTranscriptFd + 1, ~0U, 0) != 0 || chdir(directory.c_str()) != 0) {
    _exit(1);
  }
  umask(022);
  row.run();
  _exit(0);
}

}  // namespace

std::string transcript_of(const Row& row, const std::string& directory,
                          const std::function<void()>& abort) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe");
  }
  const pid_t child = fork();
  if (child < 0) {
    throw std::system_error(errno, std::generic_category(), "fork");
  }
  if (child == 0) {
    run_here(row, directory, ends[1]);
  }
  close(ends[1]);

  std::string transcript;
  std::array<char, 4096> block{};
  pollfd readable{.fd = ends[0], .events = POLLIN, .revents = 0};
  for (ssize_t got = 1; got > 0;) {
    if (poll(&readable, 1, kRowTimeoutMs) == 0) {
      transcript += "hangs here\n";
      kill(child, SIGKILL);
      abort();
      break;
    }
    got = read(ends[0], block.data(), block.size());
    transcript.append(block.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) {
    transcript += std::string("row ended early: SIG") + sigabbrev_np(WTERMSIG(status)) + "\n";
  } else if (WEXITSTATUS(status) != 0) {
    transcript += "row ended early\n";
  }
  return transcript;
}

}  // namespace parity
