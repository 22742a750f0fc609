// Where tests reach into the server: named places at which they make it die, before and after each
// change of state, and the kernel's features, of which they take some away.
//
// In the daemon they do nothing; the tests link other definitions (tests/faults/).
#pragma once

#include <cstdint>

namespace arrayfs {

/// Tests end the process by SIGKILL here, when they chose this place.
void fault_point(const char* name);

/// The FUSE_INIT flags that the kernel offers, less those that a test takes away.
std::uint64_t offered_by_kernel(std::uint64_t flags);

}  // namespace arrayfs
