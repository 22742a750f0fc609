// The views that programs have open, by FUSE file handle; also why a draft (drafts.hpp) was
// refused.
//
// A view lives in the server that opened it. Its successor does not know it; the handle tells that
// this is so, and the view is made anew. May be used by several threads; a view that was found
// stays alive for the thread that reads from it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "control_tree.hpp"

namespace arrayfs {

class OpenViews {
 public:
  /// `first_handle` differs from server to server.
  void start_at(std::uint64_t first_handle) {
    const std::lock_guard lock(mutex_);
    next_ = first_handle;
  }

  std::uint64_t add(std::shared_ptr<OpenView> view) {
    const std::lock_guard lock(mutex_);
    views_.emplace(next_, std::move(view));
    return next_++;
  }
  void put(std::uint64_t handle, std::shared_ptr<OpenView> view) {
    const std::lock_guard lock(mutex_);
    views_.insert_or_assign(handle, std::move(view));
  }
  /// Null for a handle of an earlier server.
  [[nodiscard]] std::shared_ptr<OpenView> find(std::uint64_t handle) const {
    const std::lock_guard lock(mutex_);
    const auto at = views_.find(handle);
    return at != views_.end() ? at->second : nullptr;
  }
  void remove(std::uint64_t handle) {
    const std::lock_guard lock(mutex_);
    views_.erase(handle);
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<OpenView>> views_;
  std::uint64_t next_ = 1;
};

}  // namespace arrayfs
