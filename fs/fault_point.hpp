// Named places at which tests make the server die: before and after each change of state.
//
// In the daemon they do nothing; the tests link another definition, which ends the process by
// SIGKILL at the place that they chose (tests/faults/).
#pragma once

namespace arrayfs {

void fault_point(const char* name);

}  // namespace arrayfs
