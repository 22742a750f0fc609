// The files beside an array that processes coordinate through: made whole, checked when opened.
//
// Serves the sync page and the control file of a ring, whose beginnings are alike. Stateless.
#pragma once

#include <functional>
#include <shm/posix.hpp>
#include <string>
#include <string_view>

#include "sync_page.hpp"

namespace shm {

struct ControlKind {
  std::string_view magic;  ///< 8 bytes
  std::uint64_t max_size_bytes;
  /// Brings the bytes behind the header into their first state; they may be zero or old.
  std::function<void(std::span<std::byte>)> reset;
};

/// The hidden file `.NAME.SUFFIX` beside the file that `array_path` leads to.
/// Errors: those of realpath(3).
[[nodiscard]] Result<std::string> sibling_path(const std::string& array_path,
                                               std::string_view suffix);

/// Makes the file unless it exists. Errors: those of open(2) but EEXIST.
[[nodiscard]] Result<void> create_control(const std::string& path, mode_t mode,
                                          std::uint64_t size_bytes, const ControlKind& kind,
                                          bool replace);
/// Maps the file, after a restart of the machine in its first state.
/// Errors: ENOENT, EINVAL (no such file format), EXDEV (another PID namespace).
[[nodiscard]] Result<posix::Mapping> map_control(const std::string& path, const ControlKind& kind);

}  // namespace shm
