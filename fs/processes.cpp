#include "processes.hpp"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <shm/posix.hpp>
#include <sstream>
#include <thread>

namespace arrayfs {

void each_process(const std::function<void(pid_t pid, const std::string& directory)>& visit) {
  std::error_code error;
  for (std::filesystem::directory_iterator at("/proc", error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename();
    pid_t pid = 0;
    const auto [rest, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad == std::errc{} && rest == name.data() + name.size()) {
      visit(pid, at->path());
    }
  }
}

std::string command_of(const std::string& directory) {
  const auto command = shm::posix::read_file(directory + "/comm", 256);
  return command ? command->substr(0, command->find('\n')) : "?";
}

std::optional<ProcessStatus> process_status(pid_t pid) {
  // `12 (a name (with) brackets) S 1 ...`: the state is field 3, the start field 22.
  const auto stat = shm::posix::read_file(fmt::format("/proc/{}/stat", pid), 4096);
  const size_t name_end = stat ? stat->rfind(") ") : std::string::npos;
  if (name_end == std::string::npos) {
    return std::nullopt;
  }
  std::istringstream fields(stat->substr(name_end + 2));
  ProcessStatus status{};
  std::string skipped;
  fields >> status.state;
  for (int field = 4; field < 22; ++field) {
    fields >> skipped;
  }
  return fields >> status.start_ticks ? std::optional(status) : std::nullopt;
}

void await_system_call(pid_t thread, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (auto status = process_status(thread); status && status->state == 'R';
       status = process_status(thread)) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

}  // namespace arrayfs
