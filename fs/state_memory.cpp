#include "state_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

namespace arrayfs {

shm::Result<StateMemory> StateMemory::create(std::uint32_t max_inodes) {
  StateMemory memory;
  memory.max_inodes_ = max_inodes;
  const size_t size_bytes = sizeof(State) + (size_t{max_inodes} + 1) * sizeof(Inode);
  memory.fd_ = shm::posix::Fd(memfd_create("arrayfs-state", MFD_CLOEXEC));
  if (!memory.fd_.valid() || ftruncate(memory.fd_.get(), static_cast<off_t>(size_bytes)) != 0) {
    return shm::posix::fail_errno("state memory");
  }
  auto mapping = shm::posix::Mapping::map(memory.fd_.get(), 0, size_bytes, PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_NORESERVE);
  if (!mapping) {
    return tl::unexpected(mapping.error());
  }
  memory.mapping_ = std::move(*mapping);
  return memory;
}

}  // namespace arrayfs
