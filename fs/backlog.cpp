#include "backlog.hpp"

#include <algorithm>
#include <cstring>

#include "kernel_protocol.hpp"

namespace arrayfs {

// A predecessor may have died between the two steps that empty it.
Backlog::Backlog(State& state) : state_(state) {
  if (state_.backlog_bytes == 0) {
    state_.backlog_done = 0;
  }
}

std::span<std::byte> Backlog::room() const {
  const auto rest = std::span(state_.backlog).subspan(state_.backlog_bytes);
  return rest.size() < kRequestBytes ? rest.first(0) : rest.first(kRequestBytes);
}

void Backlog::keep(std::size_t bytes) {
  state_.backlog_bytes += bytes;
}

void Backlog::keep_copy(std::span<const std::byte> message) {
  const auto place = room();
  if (place.size() >= message.size() && !has(KernelProtocol::header_of(message).unique)) {
    std::ranges::copy(message, place.begin());
    keep(message.size());
  }
}

bool Backlog::has(std::uint64_t unique) const {
  for (std::size_t at = state_.backlog_done; at < state_.backlog_bytes;) {
    const auto message = KernelProtocol::message_in(
        std::span(state_.backlog).subspan(at, state_.backlog_bytes - at));
    if (message.empty()) {
      return false;
    }
    if (KernelProtocol::header_of(message).unique == unique) {
      return true;
    }
    at += message.size();
  }
  return false;
}

void Backlog::work_off(
    const std::function<void(std::span<std::byte>, const std::function<void()>&)>& process) {
  while (state_.backlog_done < state_.backlog_bytes) {
    const auto rest = std::span(state_.backlog)
                          .subspan(state_.backlog_done, state_.backlog_bytes - state_.backlog_done);
    const std::size_t size = KernelProtocol::message_in(rest).size();
    if (size == 0) {
      break;  // damaged
    }
    process(rest.first(size), [&] { state_.backlog_done += size; });
  }
  state_.backlog_bytes = 0;
  state_.backlog_done = 0;
}

}  // namespace arrayfs
