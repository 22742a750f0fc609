#include <shm/error.hpp>
#include <system_error>

namespace shm {

std::string to_string(const Error& error) {
  std::string reason = std::generic_category().message(error.code);
  return error.context.empty() ? reason : error.context + ": " + reason;
}

}  // namespace shm
