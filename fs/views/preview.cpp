#include "preview.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <shm/posix.hpp>

#include "../values/array_text.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr std::uint64_t kMaxReadBytes = 4U << 20;

// The elements that a summary shows lie at the same addresses as in the file, in memory that is
// reserved but costs nothing where it is not written. So the text is made by the same code that
// prints a whole array.
class SparseCopy {
 public:
  SparseCopy(int fd, const shm::Layout& layout, bool summarized, std::uint64_t edge_items)
      : fd_(fd), layout_(layout), edge_(summarized ? edge_items : UINT64_MAX / 2) {
    // Slowest axis first, whatever the order.
    const std::vector<std::uint64_t> strides = layout.strides();
    for (size_t axis = 0; axis < layout.shape.size(); ++axis) {
      axes_.push_back({layout.shape[axis], strides[axis]});
    }
    if (layout.order == shm::Order::kFortran) {
      std::ranges::reverse(axes_);
    }
  }

  Result<std::span<const std::byte>> read() {
    const std::uint64_t nbytes = layout_.nbytes();
    if (nbytes == 0) {
      return std::span<const std::byte>();
    }
    if (bytes_shown() > kMaxReadBytes) {
      return fail(EFBIG, "too much to preview");
    }
    auto mapping = shm::posix::Mapping::map(-1, 0, nbytes, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    if (!mapping) {
      return tl::unexpected(mapping.error());
    }
    mapping_ = std::move(*mapping);
    if (auto done = read_axis(0, 0); !done) {
      return tl::unexpected(done.error());
    }
    return std::span<const std::byte>(mapping_.data(), nbytes);
  }

 private:
  struct Axis {
    std::uint64_t extent;
    std::uint64_t stride_bytes;
  };

  [[nodiscard]] bool whole(const Axis& axis) const { return axis.extent <= 2 * edge_; }

  [[nodiscard]] std::uint64_t bytes_shown() const {
    std::uint64_t bytes = layout_.dtype.itemsize();
    for (const Axis& axis : axes_) {
      bytes = saturating_multiply(bytes, whole(axis) ? axis.extent : 2 * edge_);
    }
    return bytes;
  }

  Result<void> read_run(std::uint64_t offset, std::uint64_t size_bytes) {
    const auto got = shm::posix::pread_full(fd_, {mapping_.data() + offset, size_bytes},
                                            layout_.data_offset + offset);
    if (!got) {
      return tl::unexpected(got.error());
    }
    return *got == size_bytes ? Result<void>{} : fail(EIO, "the file became shorter");
  }

  // Items `first` to `last` of an axis; those of the fastest axis lie side by side.
  Result<void> read_items(size_t number, std::uint64_t offset, std::uint64_t first,
                          std::uint64_t last) {
    const std::uint64_t stride = axes_[number].stride_bytes;
    if (number + 1 == axes_.size()) {
      return read_run(offset + first * stride, (last - first) * stride);
    }
    for (std::uint64_t item = first; item < last; ++item) {
      if (auto done = read_axis(number + 1, offset + item * stride); !done) {
        return done;
      }
    }
    return {};
  }

  Result<void> read_axis(size_t number, std::uint64_t offset) {
    if (number == axes_.size()) {
      return read_run(offset, layout_.dtype.itemsize());
    }
    const Axis& axis = axes_[number];
    if (whole(axis)) {
      return read_items(number, offset, 0, axis.extent);
    }
    return read_items(number, offset, 0, edge_).and_then([&] {
      return read_items(number, offset, axis.extent - edge_, axis.extent);
    });
  }

  int fd_;
  const shm::Layout& layout_;
  std::uint64_t edge_;
  std::vector<Axis> axes_;
  shm::posix::Mapping mapping_;
};

}  // namespace

Result<std::string> array_preview(int fd, const shm::Layout& layout) {
  TextOptions options;
  options.limit_bytes = kMaxReadBytes;
  SparseCopy copy(fd, layout, layout.size() > options.threshold, options.edge_items);
  return copy.read().and_then(
      [&](std::span<const std::byte> data) { return array_text(layout, data, options); });
}

}  // namespace arrayfs
