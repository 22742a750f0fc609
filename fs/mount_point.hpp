// Mount points as the kernel lists them, and taking one away.
#pragma once

#include <shm/error.hpp>
#include <string>
#include <vector>

namespace arrayfs {

struct MountEntry {
  std::string mountpoint;
  std::string name;  ///< of the store
};

/// What the kernel shows as the source of a mount is this and the name of its store.
inline constexpr char kMountSource[] = "arrayfs:";

/// The arrayfs mounts that this process sees.
[[nodiscard]] std::vector<MountEntry> arrayfs_mounts();

/// Whether anything is mounted at `path` (absolute, resolved).
[[nodiscard]] bool is_mountpoint(const std::string& path);

/// Unmounts; `lazily` takes the name away at once and the rest when nobody uses it any more. An
/// ordinary user's mount goes by way of fusermount3. Errors: EBUSY, EPERM, EINVAL, ENOENT.
[[nodiscard]] shm::Result<void> unmount(const std::string& path, bool lazily);

/// Takes away the mount of a daemon that died, if `path` is one; its store is kept.
void clean_stale_mount(const std::string& path);

}  // namespace arrayfs
