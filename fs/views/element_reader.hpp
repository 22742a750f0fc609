// The elements of an array file one after the other in C order, whatever the order of the file.
//
// Reads with pread alone, so a file that shrinks is an error and not a SIGBUS. Memory is bounded:
// a Fortran array is read by blocks that are kept while they are near. For one thread at a time;
// the descriptor is borrowed.
#pragma once

#include <cstdint>
#include <shm/npy.hpp>
#include <span>
#include <vector>

namespace arrayfs {

class ElementReader {
 public:
  ElementReader(int fd, shm::Layout layout);

  [[nodiscard]] const shm::Layout& layout() const { return layout_; }
  /// Fills `out` from byte `offset` of the array in C order. Requires: the range lies in the array.
  /// Errors: those of pread; EIO when the file became shorter.
  [[nodiscard]] shm::Result<void> read(std::uint64_t offset, std::span<std::byte> out);

 private:
  struct Block {
    std::uint64_t number = UINT64_MAX;
    std::vector<std::byte> bytes;
  };

  [[nodiscard]] shm::Result<void> read_file(std::uint64_t offset, std::span<std::byte> out) const;
  /// The element at `offset` of the data as it lies in the file.
  [[nodiscard]] shm::Result<const std::byte*> element(std::uint64_t offset);

  int fd_;
  shm::Layout layout_;
  std::vector<std::uint64_t> strides_;
  std::uint64_t itemsize_;
  bool contiguous_;
  std::uint64_t block_bytes_ = 0;
  std::vector<Block> blocks_;
};

}  // namespace arrayfs
