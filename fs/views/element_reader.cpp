#include "element_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <shm/posix.hpp>

#include "../values/array_view.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr std::uint64_t kBlockBytes = 4096;
constexpr std::size_t kBlocks = 4096;

}  // namespace

ElementReader::ElementReader(int fd, shm::Layout layout)
    : fd_(fd),
      layout_(std::move(layout)),
      strides_(layout_.strides()),
      itemsize_(layout_.dtype.itemsize()),
      contiguous_(layout_.order == shm::Order::kC || layout_.shape.size() < 2 ||
                  layout_.nbytes() == 0) {
  if (!contiguous_) {
    block_bytes_ = std::max(itemsize_, kBlockBytes / itemsize_ * itemsize_);
    blocks_.resize(kBlocks);
  }
}

Result<void> ElementReader::read_file(std::uint64_t offset, std::span<std::byte> out) const {
  const auto got = shm::posix::pread_full(fd_, out, layout_.data_offset + offset);
  if (!got) {
    return tl::unexpected(got.error());
  }
  return *got == out.size() ? Result<void>{} : fail(EIO, "the file became shorter");
}

Result<const std::byte*> ElementReader::element(std::uint64_t offset) {
  const std::uint64_t number = offset / block_bytes_;
  Block& block = blocks_[number % kBlocks];
  if (block.number != number) {
    const std::uint64_t begin = number * block_bytes_;
    block.number = UINT64_MAX;
    block.bytes.resize(static_cast<std::size_t>(std::min(block_bytes_, layout_.nbytes() - begin)));
    if (auto done = read_file(begin, block.bytes); !done) {
      return tl::unexpected(done.error());
    }
    block.number = number;
  }
  return block.bytes.data() + offset % block_bytes_;
}

Result<void> ElementReader::read(std::uint64_t offset, std::span<std::byte> out) {
  if (contiguous_) {
    return read_file(offset, out);
  }
  const std::size_t axes = layout_.shape.size();
  std::vector<std::uint64_t> index = index_of(offset / itemsize_, layout_.shape);
  std::uint64_t at = std::inner_product(index.begin(), index.end(), strides_.begin(), 0UL);
  std::uint64_t skipped = offset % itemsize_;
  for (std::size_t done = 0; done < out.size();) {
    const auto bytes = element(at);
    if (!bytes) {
      return tl::unexpected(bytes.error());
    }
    const auto size = std::min<std::size_t>(itemsize_ - skipped, out.size() - done);
    std::memcpy(out.data() + done, *bytes + skipped, size);
    done += size;
    skipped = 0;
    for (std::size_t axis = axes; axis-- > 0;) {
      at += strides_[axis];
      if (++index[axis] < layout_.shape[axis]) {
        break;
      }
      at -= layout_.shape[axis] * strides_[axis];
      index[axis] = 0;
    }
  }
  return {};
}

}  // namespace arrayfs
