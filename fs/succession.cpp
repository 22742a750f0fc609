// How a server goes on where its predecessor died.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "backlog.hpp"
#include "log.hpp"
#include "session.hpp"
#include "suspects.hpp"

namespace arrayfs {

using shm::Result;

// What the kernel sends again. FORGETs that come in between go to the backlog.
std::vector<std::vector<std::byte>> Session::read_again() {
  Backlog backlog(state_);
  std::vector<std::vector<std::byte>> requests;
  pollfd readable{device_, POLLIN, 0};
  while (poll(&readable, 1, 0) == 1 && (readable.revents & POLLIN) != 0) {
    const auto room = backlog.room();
    const ssize_t got = room.empty() ? 0 : read(device_, room.data(), room.size());
    if (got <= 0) {
      break;
    }
    const auto message = room.first(static_cast<size_t>(got));
    const auto header = KernelProtocol::header_of(message);
    if (header.forgets) {
      backlog.keep(message.size());
      continue;
    }
    requests.emplace_back(message.begin(), message.end());
    if (header.answered && !header.resent) {
      break;  // those that are sent again come first
    }
  }
  return requests;
}

void Session::process_again(std::span<std::byte> request, const std::function<void()>& done) {
  const auto header = KernelProtocol::header_of(request);
  if (!Suspects(state_).guilty(header.unique)) {
    state_.busy_since_ms = static_cast<std::uint64_t>(monotonic_ms());
    protocol_.see(request);
    process(request, done);
    return;
  }
  log_line(spdlog::level::err,
           fmt::format("{}: request {} is refused: servers crash or hang over it",
                       config_.mountpoint, header.unique & ~kResentBit),
           {.code = EIO});
  if (header.answered) {
    protocol_.refuse(header.unique, EIO);
  }
  done();
}

Result<void> Session::take_over() {
  Suspects(state_).server_ended(state_.supervision.failed != 0);
  Backlog backlog(state_);
  const auto left = KernelProtocol::message_in(state_.request);
  if (!left.empty() && KernelProtocol::header_of(left).forgets) {
    backlog.keep_copy(left);
  }
  KernelProtocol::mark_done(state_.request);
  if (auto asked = protocol_.request_resend(); !asked) {
    return asked;
  }
  auto requests = read_again();
  const auto unanswered = std::ranges::find_if(requests, [&](const auto& request) {
    const auto header = KernelProtocol::header_of(request);
    return header.resent && (header.unique & ~kResentBit) == state_.journal_unique;
  });
  files_->settle(unanswered != requests.end() || backlog.has(state_.journal_unique));
  if (unanswered != requests.end()) {
    // At once: what is known of its first attempt is forgotten when another request begins.
    std::rotate(requests.begin(), unanswered, unanswered + 1);
  }
  for (auto& request : requests) {
    process_again(request, [] {});
  }
  backlog.work_off([this](auto request, const auto& done) { process_again(request, done); });
  // Of what the last server changed itself it may not have told.
  files_->each_directory([this](NodeId directory) { forget_listing(directory); });
  return {};
}

}  // namespace arrayfs
