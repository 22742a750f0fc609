// The fault points of the daemon under test: the one that a test has chosen ends the process.
//
// ARRAYFS_FAULT_FILE names a file of one page: the name of a fault point, NUL, which the point
// takes away before it strikes, so that the next server passes it; behind an exclamation mark the
// name stays, and every server crashes there. Behind it, at byte 256, the
// names of all points that were passed are collected, each ended by a newline.
//
// ARRAYFS_KERNEL_LACKS is a number: flags of FUSE_INIT that the kernel is not to have.
#include "fault_point.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace arrayfs {
namespace {

constexpr size_t kFileBytes = 65536;
constexpr size_t kListAt = 256;

char* map_file() {
  const char* path = getenv("ARRAYFS_FAULT_FILE");
  const int fd = path != nullptr ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) {
    return nullptr;
  }
  void* memory = mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return memory != MAP_FAILED ? static_cast<char*>(memory) : nullptr;
}

// Which points there are, a test learns by passing them.
void collect(char* list, const char* name) {
  const size_t size = std::strlen(name);
  for (char* at = list; *at != '\0'; at = std::strchr(at, '\n') + 1) {
    if (std::strncmp(at, name, size) == 0 && at[size] == '\n') {
      return;
    }
  }
  *std::copy_n(name, size, list + std::strlen(list)) = '\n';
}

}  // namespace

void fault_point(const char* name) {
  static char* const file = map_file();
  static std::mutex mutex;
  if (file == nullptr) {
    return;
  }
  const std::lock_guard lock(mutex);
  if (file[0] == '!' && std::strcmp(file + 1, name) == 0) {
    std::abort();
  }
  if (std::strcmp(file, name) == 0) {
    file[0] = '\0';
    kill(getpid(), SIGKILL);
    pause();
  }
  collect(file + kListAt, name);
}

std::uint64_t offered_by_kernel(std::uint64_t flags) {
  const char* lacking = getenv("ARRAYFS_KERNEL_LACKS");
  return lacking != nullptr ? flags & ~std::strtoull(lacking, nullptr, 0) : flags;
}

}  // namespace arrayfs
