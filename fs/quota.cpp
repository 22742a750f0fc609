#include "quota.hpp"

namespace arrayfs {

bool Quota::admit(std::uint64_t growth_bytes) {
  if (!fits(growth_bytes)) {
    used_bytes_ = measure_();
    if (!fits(growth_bytes)) {
      return false;
    }
  }
  used_bytes_ += growth_bytes;
  return true;
}

}  // namespace arrayfs
