// The dtype as users and headers write it: refused, or one that reads back as it is written.
#include <shm/dtype.hpp>

#include "fuzz_input.hpp"

using arrayfs::fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const arrayfs::fuzz::Input input(data, size);
  const auto dtype = shm::Dtype::parse(input.rest());
  if (!dtype) {
    require(dtype.error().code > 0 && !dtype.error().context.empty());
    return 0;
  }
  require(!dtype->name().empty() && !dtype->typestr().empty());
  const std::string descr = dtype->descr();
  const auto again = shm::Dtype::parse(descr);
  if (!again) {
    require(descr.size() > 10'000);  // written with its padding it may be too long
    return 0;
  }
  require(*again == *dtype);
  return 0;
}
