#include "fault_point.hpp"

namespace arrayfs {

void fault_point(const char*) {}

}  // namespace arrayfs
