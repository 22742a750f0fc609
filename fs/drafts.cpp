#include "drafts.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "views/view.hpp"

namespace arrayfs {

using shm::fail;
using shm::Result;

Result<Draft*> Drafts::begin(NodeId parent, std::string_view name, const Caller& caller,
                             bool again) {
  if (name.size() >= sizeof Draft::name) {
    return fail(ENAMETOOLONG);
  }
  const auto slot = static_cast<std::uint32_t>(parent & kSlotMask);
  const auto known = std::ranges::find_if(state_.drafts, [&](const Draft& draft) {
    return again && draft.handle != 0 && draft.parent == slot && draft.uid == caller.uid &&
           std::string_view(draft.name, strnlen(draft.name, sizeof draft.name)) == name;
  });
  if (known != std::end(state_.drafts)) {
    return known;
  }
  const auto free = std::ranges::find(state_.drafts, 0U, &Draft::handle);
  if (free == std::end(state_.drafts)) {
    return fail(EMFILE, ".arrayfs/new: too many arrays are being made");
  }
  *free = Draft{0, slot, caller.uid, caller.gid, caller.umask, 0, {}};
  std::ranges::copy(name, free->name);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  free->handle = ++state_.last_live_handle;
  return free;
}

Draft* Drafts::find(std::uint64_t handle) {
  const auto found = std::ranges::find(state_.drafts, handle, &Draft::handle);
  return handle != 0 && found != std::end(state_.drafts) ? found : nullptr;
}

const Draft* Drafts::find(NodeId parent, std::uint32_t number) const {
  const auto found = std::ranges::find_if(state_.drafts, [&](const Draft& draft) {
    return draft.handle != 0 && draft.parent == (parent & kSlotMask) &&
           number_of(draft.handle) == number;
  });
  return found != std::end(state_.drafts) ? found : nullptr;
}

void Drafts::end(std::uint64_t handle) {
  if (Draft* draft = find(handle)) {
    draft->handle = 0;
  }
}

std::uint32_t Drafts::number_of(std::uint64_t handle) {
  constexpr std::uint32_t kCount = View::kMaxGenerated - View::kFirstGenerated;
  return View::kFirstGenerated + static_cast<std::uint32_t>(handle % kCount);
}

}  // namespace arrayfs
