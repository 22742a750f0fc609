// The first and last values of an array, as NumPy prints it.
#pragma once

#include <shm/npy.hpp>
#include <string>

namespace arrayfs {

/// `numpy.array2string` of the array in `fd`. Reads what is shown and nothing else, with pread, so
/// that a file which shrinks meanwhile is an error and not a SIGBUS.
/// Errors: those of pread; EIO when the file ended early.
[[nodiscard]] shm::Result<std::string> array_preview(int fd, const shm::Layout& layout);

}  // namespace arrayfs
