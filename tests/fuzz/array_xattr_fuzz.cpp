// The values of user.array.*: types and lifetimes set on a raw file, taken back, and read as what
// somebody wrote into the store itself.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <initializer_list>

#include "array_file.hpp"
#include "fuzz_input.hpp"

namespace arrayfs {
namespace {

using fuzz::require;
using shm::posix::Fd;

constexpr std::string_view kNames[] = {"dtype",     "shape",   "order",   "offset", "ttl",
                                       "owner_pid", "nbytes",  "version", "sealed", "dtype_name",
                                       "owner",     "expires", "nonsense"};
constexpr off_t kFileBytes = 4096;

// A raw file without a name; the prefix of xattrs that its file system takes.
struct Scratch {
  Fd fd{open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
  std::string prefix;

  Scratch() {
    require(fd.valid() && ftruncate(fd.get(), kFileBytes) == 0);
    for (const char* candidate : {"user.", "trusted."}) {
      if (fsetxattr(fd.get(), (std::string(candidate) + "probe").c_str(), "1", 1, 0) == 0) {
        prefix = candidate;
        return;
      }
    }
  }
};

ArrayFile inspect(const Scratch& scratch) {
  auto file = inspect_array(Fd(fcntl(scratch.fd.get(), F_DUPFD_CLOEXEC, 0)), scratch.prefix);
  require(file.has_value());
  if (file->layout) {
    require(file->layout->data_offset + file->layout->nbytes() <= kFileBytes);
  } else {
    require(!file->reason.empty());
  }
  return std::move(*file);
}

void read_all(const ArrayFile& file) {
  for (const std::string& name : array_xattr_names(file)) {
    const auto value = array_xattr(file, name);
    require(value && (!value->empty() || name == "dtype_name"));
  }
  static_cast<void>(file.lifetime.over(0));
}

void step(const Scratch& scratch, fuzz::Input& input) {
  const auto what = input.take<std::uint8_t>();
  const std::string_view name = kNames[what % std::size(kNames)];
  const std::string_view value = input.take_bytes(input.take<std::uint8_t>());
  ArrayFile file = inspect(scratch);
  if (what < 0xC0) {
    if (set_array_xattr(file, name, value, scratch.prefix)) {
      file = inspect(scratch);
    }
  } else if (what < 0xE0) {
    static_cast<void>(remove_array_xattr(file, name, scratch.prefix));
  } else if (!scratch.prefix.empty()) {
    const std::string stored = scratch.prefix + "array." + std::string(name);
    fsetxattr(scratch.fd.get(), stored.c_str(), value.data(), value.size(), 0);
  }
  read_all(inspect(scratch));
}

void clear(const Scratch& scratch) {
  for (const std::string_view name : kNames) {
    fremovexattr(scratch.fd.get(), (scratch.prefix + "array." + std::string(name)).c_str());
  }
}

}  // namespace
}  // namespace arrayfs

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const arrayfs::Scratch scratch;
  arrayfs::fuzz::Input input(data, size);
  while (!input.empty()) {
    arrayfs::step(scratch, input);
  }
  arrayfs::clear(scratch);
  return 0;
}
