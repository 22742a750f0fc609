// A path as the commands see it: which mount it lies in, and where its views are.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <shm/error.hpp>
#include <string>
#include <utility>
#include <vector>

#include "../mount_point.hpp"

namespace arrayfs {

struct MountedPath {
  MountEntry mount;
  std::string inner;  ///< the path below the mount point, without a slash at either end

  /// The path of a generated file, as `info/w.npy`.
  [[nodiscard]] std::string control(const std::string& view) const;
};

/// The arrayfs mount that `path` lies in. The path itself need not exist, and its mount may be
/// dead. Errors: ENODEV when it is on no arrayfs mount.
[[nodiscard]] shm::Result<MountedPath> find_mount(const std::string& path);

/// Errors: ENOTSUP when the path, on a mount of plane link, is an array: xattrs set through the
/// link would not reach the daemon.
[[nodiscard]] shm::Result<void> check_not_behind_link(const std::string& path);

/// The `key: value` lines of a mount's status. Errors: those of reading it.
[[nodiscard]] shm::Result<std::vector<std::pair<std::string, std::string>>> read_status(
    const std::string& mountpoint);
/// The same, by key.
using StatusFields = std::map<std::string, std::string>;
[[nodiscard]] shm::Result<StatusFields> status_of(const std::string& mountpoint);

/// Asks for the status again and again, also while nobody answers: the first of which `holds` is
/// true, or none within half a minute.
[[nodiscard]] std::optional<StatusFields> wait_for_status(
    const std::string& mountpoint, const std::function<bool(const StatusFields&)>& holds);

}  // namespace arrayfs
