// How the length of an array changes under the eyes of its readers.
//
// Two OFD locks on the array file order it, and the kernel releases both when their holder dies:
// byte 0 is held exclusively by who appends or resizes, from beginning to end; bytes 1 to 9
// exclusively for the instant in which the header is rewritten, and shared by who reads it.
// A file is never shorter than its header says, so a writer killed anywhere leaves a valid array.
#pragma once

#include <shm/npy.hpp>
#include <shm/posix.hpp>

namespace shm {

inline constexpr posix::ByteRange kGrowthLock{0, 1};
inline constexpr posix::ByteRange kHeaderLock{1, 9};

/// read_npy() of a file whose header libshm may be rewriting. Errors: those of read_npy.
[[nodiscard]] Result<Layout> read_growing_npy(int fd);

}  // namespace shm
