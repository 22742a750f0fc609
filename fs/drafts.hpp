// Arrays that are about to be made through `.arrayfs/new/PATH`: opened there, not written yet.
//
// A view over state memory, so that who has one open does not notice when a server dies. Used by
// the session's thread alone.
#pragma once

#include <cstdint>
#include <shm/error.hpp>
#include <string_view>

#include "file_system.hpp"
#include "state_memory.hpp"

namespace arrayfs {

class Drafts {
 public:
  explicit Drafts(State& state) : state_(state) {}

  /// `again`: the request was seen before, its draft may be there already.
  /// Errors: EMFILE when too many are open, ENAMETOOLONG.
  [[nodiscard]] shm::Result<Draft*> begin(NodeId parent, std::string_view name,
                                          const Caller& caller, bool again);
  /// Null when there is none.
  [[nodiscard]] Draft* find(std::uint64_t handle);
  /// That of the node which ControlTree made of `number` and the directory.
  [[nodiscard]] const Draft* find(NodeId parent, std::uint32_t number) const;
  void end(std::uint64_t handle);

  /// Tells a draft from others of its directory; from View::kFirstGenerated on.
  [[nodiscard]] static std::uint32_t number_of(std::uint64_t handle);

 private:
  State& state_;
};

}  // namespace arrayfs
