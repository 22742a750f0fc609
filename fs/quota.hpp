// The capacity of a store that has no size of its own: an ordinary user's directory on a tmpfs that
// others use too.
//
// Growth is added up and never taken back; when the sum reaches the limit the store is measured
// anew. So the common case costs an addition, and what was freed is found when it matters.
// Used by the session's thread alone.
#pragma once

#include <cstdint>
#include <functional>

namespace arrayfs {

class Quota {
 public:
  /// `measure` gives the bytes that the store's files hold now.
  Quota(std::uint64_t limit_bytes, std::function<std::uint64_t()> measure)
      : limit_bytes_(limit_bytes), measure_(std::move(measure)), used_bytes_(measure_()) {}

  /// Whether the files may grow by so much; if so it counts as used.
  [[nodiscard]] bool admit(std::uint64_t growth_bytes);

 private:
  [[nodiscard]] bool fits(std::uint64_t growth_bytes) const {
    return used_bytes_ <= limit_bytes_ && growth_bytes <= limit_bytes_ - used_bytes_;
  }

  std::uint64_t limit_bytes_;
  std::function<std::uint64_t()> measure_;
  std::uint64_t used_bytes_;
};

}  // namespace arrayfs
