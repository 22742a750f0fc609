// What the daemon may, once its mount is made: capabilities and limits.
//
// Called by the supervisor before it has threads; its servers inherit what is left.
#pragma once

#include <cstddef>
#include <shm/error.hpp>

namespace arrayfs {

/// Lets this process and its children have as many descriptors as it may ask for, a million at
/// most; returns how many.
std::size_t raise_descriptor_limit();

/// Gives up every capability that serving does not need, for this process and all that come from
/// it, and lets no program that it runs gain any; the limit of descriptors is raised before. An
/// ordinary user's daemon has none to give up. What this process lacks already is not asked for.
/// Errors: those of capset(2) and prctl(2).
[[nodiscard]] shm::Result<void> drop_privileges();

}  // namespace arrayfs
