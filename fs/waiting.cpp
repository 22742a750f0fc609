#include "waiting.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

// A handle of `wait/PATH`: a stamp of its own, the hash of PATH, and the number of the last event
// before the open, of which the low bits are enough. A file that was replaced while it was waited
// for has no path any more.
constexpr unsigned kStampBits = 12;
constexpr unsigned kNumberBits = 64 - kStampBits - EventLog::kPathBits;

constexpr std::uint64_t low_bits(std::uint64_t value, unsigned bits) {
  return value & ((1ULL << bits) - 1);
}

std::uint64_t wait_handle(std::uint64_t stamp, std::uint64_t path, std::uint64_t number) {
  return low_bits(stamp, kStampBits) << (64 - kStampBits) | path << kNumberBits |
         low_bits(number, kNumberBits);
}

std::uint64_t path_in(std::uint64_t handle) {
  return low_bits(handle >> kNumberBits, EventLog::kPathBits);
}

std::uint64_t number_in(std::uint64_t handle, std::uint64_t last) {
  return last - low_bits(last - handle, kNumberBits);
}

bool may_see(std::uint32_t uid, const Event& event) {
  return uid == 0 || uid == geteuid() || uid == event.uid;
}

}  // namespace

Waiting::Waiting(FileSystem& files, const KernelProtocol& protocol, State& state)
    : files_(files), protocol_(protocol), state_(state), log_(files.events()) {
  for (std::uint64_t& kernel_handle : state_.pollers) {
    if (kernel_handle != 0) {
      protocol_.notify_poll(std::exchange(kernel_handle, 0));  // they poll again
    }
  }
}

Waiting::~Waiting() {
  for (const Reader& reader : readers_) {
    fuse_reply_err(reader.request, EINTR);
  }
}

Result<std::uint64_t> Waiting::open(NodeId node) {
  log_.want();
  const std::uint64_t stamp = ++state_.last_live_handle;
  if (node != kEverything) {
    return wait_handle(stamp, EventLog::hash(files_.path_below_mount(node)), log_.last());
  }
  const auto free = std::ranges::find(state_.event_readers, 0U, &EventReader::handle);
  if (free == std::end(state_.event_readers)) {
    return fail(EMFILE, ".arrayfs/events: too many read it");
  }
  free->current = 0;
  free->delivered = log_.last();
  free->places[0] = {log_.last(), 0};
  free->handle = stamp;
  return stamp;
}

void Waiting::close(NodeId node, std::uint64_t handle) {
  std::erase_if(pollers_, [&](const Poller& poller) {
    const bool gone = poller.target.node == node && poller.target.handle == handle;
    if (gone) {
      *poller.kernel_handle = 0;
    }
    return gone;
  });
  EventReader* reader = node == kEverything ? event_reader(handle) : nullptr;
  if (reader != nullptr) {
    reader->handle = 0;
  }
}

EventReader* Waiting::event_reader(std::uint64_t handle) {
  const auto found = std::ranges::find(state_.event_readers, handle, &EventReader::handle);
  return handle != 0 && found != std::end(state_.event_readers) ? found : nullptr;
}

Waiting::Target Waiting::target(fuse_req_t request, NodeId node, std::uint64_t handle) {
  Target target{node, handle, 0, 0, fuse_req_ctx(request)->uid};
  const auto inode = node == kEverything ? shm::fail(ESTALE) : files_.find(node);
  if (inode) {
    target.ino = (*inode)->ino;
    target.path = path_in(handle);
  }
  return target;
}

// However often and in however small pieces it is read, the line is the same.
std::optional<std::string> Waiting::change(const Reader& reader) {
  const Target& target = reader.target;
  const std::uint64_t known = number_in(target.handle, log_.last());
  const Event* event = log_.first_change(known, target.ino, target.path);
  std::string line;
  if (event != nullptr) {
    line = event_line(*event);
  } else if (known + 1 < log_.oldest()) {
    line = lost_change_line(files_.path_below_mount(target.node));
  } else {
    return std::nullopt;
  }
  return line.substr(std::min<std::size_t>(line.size(), reader.offset), reader.size);
}

std::optional<std::string> Waiting::events(const Reader& reader) {
  EventReader* record = event_reader(reader.target.handle);
  if (record == nullptr) {
    return std::string();
  }
  EventReader::Place place = record->places[record->current];
  std::string text;
  while (place.number < log_.last() && text.size() < reader.size) {
    std::string line;
    std::uint64_t next = place.number + 1;
    if (const Event* event = log_.find(next)) {
      line = may_see(reader.target.uid, *event) ? event_line(*event) : std::string();
    } else {
      next = log_.oldest() - 1;
      line = lost_events_line(next - place.number);
    }
    const std::uint64_t end = place.offset + line.size();
    if (end > reader.offset) {
      text += line.substr(reader.offset > place.offset ? reader.offset - place.offset : 0);
    } else {
      // It was read to its end: the place moves on, whole at every moment.
      record->places[1 - record->current] = {next, end};
      std::atomic_signal_fence(std::memory_order_seq_cst);
      record->current = 1 - record->current;
    }
    place = {next, end};
  }
  if (text.size() <= reader.size) {
    record->delivered = place.number;
  }
  text.resize(std::min(text.size(), reader.size));
  return text.empty() ? std::nullopt : std::optional(std::move(text));
}

std::optional<std::string> Waiting::answer(const Reader& reader) {
  return reader.target.node == kEverything ? events(reader) : change(reader);
}

void Waiting::read(fuse_req_t request, NodeId node, std::uint64_t handle, std::size_t size,
                   std::uint64_t offset) {
  const Reader reader{request, target(request, node, handle), size, offset};
  if (const auto text = answer(reader)) {
    fuse_reply_buf(request, text->data(), text->size());
    return;
  }
  readers_.push_back(reader);
  // May be called from within, when the interruption came first.
  fuse_req_interrupt_func(
      request,
      [](fuse_req_t which, void* self) { static_cast<Waiting*>(self)->interrupted(which); }, this);
}

void Waiting::interrupted(fuse_req_t request) {
  const auto is_it = [&](const Reader& reader) { return reader.request == request; };
  if (std::erase_if(readers_, is_it) != 0) {
    fuse_reply_err(request, EINTR);
  }
}

bool Waiting::is_ready(const Target& target) {
  if (target.node != kEverything) {
    return change({nullptr, target, 1, 0}).has_value();
  }
  const EventReader* reader = event_reader(target.handle);
  if (reader == nullptr) {
    return true;
  }
  for (std::uint64_t number = reader->delivered + 1; number <= log_.last(); ++number) {
    const Event* event = log_.find(number);
    if (event == nullptr || may_see(target.uid, *event)) {
      return true;
    }
  }
  return false;
}

void Waiting::poll(fuse_req_t request, NodeId node, std::uint64_t handle, bool tell_later) {
  const Target wanted = target(request, node, handle);
  if (is_ready(wanted)) {
    fuse_reply_poll(request, POLLIN | POLLRDNORM);
    return;
  }
  auto place = std::ranges::find(state_.pollers, protocol_.poll_handle());
  if (tell_later && place == std::end(state_.pollers)) {
    place = std::ranges::find(state_.pollers, 0U);
    if (place == std::end(state_.pollers)) {
      fuse_reply_err(request, ENOMEM);
      return;
    }
    *place = protocol_.poll_handle();
    pollers_.push_back({place, wanted});
  }
  fuse_reply_poll(request, 0);
}

void Waiting::happened(const Event& event) {
  std::erase_if(readers_, [&](const Reader& reader) {
    const auto text = reader.target.concerned(event) ? answer(reader) : std::nullopt;
    if (text) {
      fuse_reply_buf(reader.request, text->data(), text->size());
    }
    return text.has_value();
  });
  std::erase_if(pollers_, [&](const Poller& poller) {
    const bool ready = poller.target.concerned(event) && is_ready(poller.target);
    if (ready) {
      protocol_.notify_poll(std::exchange(*poller.kernel_handle, 0));
    }
    return ready;
  });
}

}  // namespace arrayfs
