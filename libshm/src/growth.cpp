#include "growth.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <shm/array.hpp>
#include <string>
#include <tuple>
#include <utility>

namespace shm {

/// One change of the length; holds the growth lock of the file while it lives.
class ArrayGrowth {
 public:
  static Result<ArrayGrowth> begin(const Array& array) {
    if (array.access_ != Access::kReadWrite) {
      return fail(EINVAL, array.path_ + ": not opened read-write");
    }
    auto fd = array.reopen(O_RDWR);
    if (!fd) return tl::unexpected(std::move(fd.error()));
    if (auto locked = posix::lock_range(fd->get(), posix::LockKind::kExclusive, kGrowthLock, true);
        !locked) {
      return tl::unexpected(std::move(locked.error()));
    }
    // Nobody else changes the header now; what the Array knows may be older.
    auto layout = read_npy(fd->get());
    if (!layout) return tl::unexpected(std::move(layout.error()));
    if (layout->shape.empty()) return fail(EINVAL, array.path_ + ": a 0-d array has no rows");
    if (layout->order == Order::kFortran && layout->shape.size() > 1) {
      return fail(EINVAL, array.path_ + ": in Fortran order rows are not together");
    }
    return ArrayGrowth(std::move(*fd), std::move(*layout));
  }

  [[nodiscard]] std::uint64_t length() const { return layout_.shape.front(); }
  [[nodiscard]] std::uint64_t row_bytes() const {
    Layout row = layout_;
    row.shape.erase(row.shape.begin());
    return row.nbytes();
  }

  /// Pages for `length` rows, zero or `rows` behind those that are there; then the header.
  Result<void> grow(std::uint64_t length, std::span<const std::byte> rows) {
    const auto header = header_for(length);
    if (!header) return tl::unexpected(header.error());
    const std::uint64_t end = layout_.data_offset + layout_.nbytes();
    const std::uint64_t wanted = layout_.data_offset + length * row_bytes();
    auto done = remove_leftovers(end, wanted)
                    .and_then([&] { return posix::allocate(fd_.get(), wanted); })
                    .and_then([&] { return posix::pwrite_full(fd_.get(), rows, end); })
                    .and_then([&] { return write_header(*header); });
    // Best effort, so that the file ends with its data; the failure is the one to report.
    std::ignore = posix::truncate(fd_.get(), done ? wanted : end);
    return done;
  }

  Result<void> shrink(std::uint64_t length) {
    const auto header = header_for(length);
    const auto header_before = header_for(this->length());
    if (!header) return tl::unexpected(header.error());
    if (!header_before) return tl::unexpected(header_before.error());
    // First the header: killed in between, the file only has bytes too many.
    if (auto written = write_header(*header); !written) return written;
    auto cut = posix::truncate(fd_.get(), layout_.data_offset + length * row_bytes());
    if (!cut) std::ignore = write_header(*header_before);
    return cut;
  }

 private:
  ArrayGrowth(posix::Fd fd, Layout layout) : fd_(std::move(fd)), layout_(std::move(layout)) {}

  [[nodiscard]] Result<std::string> header_for(std::uint64_t length) const {
    Shape shape = layout_.shape;
    shape.front() = length;
    return npy_header_at(layout_.dtype, shape, layout_.order, layout_.data_offset);
  }

  /// What a killed writer left behind the data must not show up as new rows. An arrayfs mount does
  /// not let the file be cut while others have it: then zeros are written over it.
  Result<void> remove_leftovers(std::uint64_t end, std::uint64_t wanted) {
    const auto status = posix::stat_fd(fd_.get());
    if (!status) return tl::unexpected(status.error());
    const auto size = static_cast<std::uint64_t>(status->st_size);
    if (size <= end || posix::truncate(fd_.get(), end)) return {};
    static constexpr std::array<std::byte, 65'536> kZeros{};
    const std::uint64_t stop = std::min(size, wanted);
    while (end < stop) {
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(stop - end, kZeros.size()));
      auto written = posix::pwrite_full(fd_.get(), std::span(kZeros).first(count), end);
      if (!written) return written;
      end += count;
    }
    return {};
  }

  Result<void> write_header(const std::string& header) {
    auto locked = posix::lock_range(fd_.get(), posix::LockKind::kExclusive, kHeaderLock, true);
    if (!locked) return locked;
    auto written = posix::pwrite_full(fd_.get(), std::as_bytes(std::span(header)), 0);
    auto unlocked = posix::unlock_range(fd_.get(), kHeaderLock);
    return written ? unlocked : written;
  }

  posix::Fd fd_;
  Layout layout_;
};

Result<Layout> read_growing_npy(int fd) {
  auto locked = posix::lock_range(fd, posix::LockKind::kShared, kHeaderLock, false);
  if (!locked && locked.error().code == EAGAIN) {
    // Somebody else's lock of the whole file keeps writers of the header away, too; only theirs is
    // waited for. The kernel shows theirs as one with the growth lock before it.
    const auto other = posix::find_lock(fd, posix::LockKind::kShared, kHeaderLock);
    const std::uint64_t end = kHeaderLock.offset + kHeaderLock.size_bytes;
    const bool writer = !other || other->offset + other->size_bytes == end;
    if (writer) locked = posix::lock_range(fd, posix::LockKind::kShared, kHeaderLock, true);
  }
  auto layout = read_npy(fd);
  // Where locks do not work (a descriptor that cannot be read fails above), there are no writers.
  if (locked) {
    if (auto unlocked = posix::unlock_range(fd, kHeaderLock); !unlocked) {
      return tl::unexpected(std::move(unlocked.error()));
    }
  }
  return layout;
}

Result<void> Array::append(std::span<const std::byte> rows) {
  auto growth = ArrayGrowth::begin(*this);
  if (!growth) return tl::unexpected(std::move(growth.error()));
  const std::uint64_t row_bytes = growth->row_bytes();
  if (row_bytes == 0 || rows.size() % row_bytes != 0) {
    return fail(EINVAL, path_ + ": " + std::to_string(rows.size()) + " bytes are not rows of " +
                            std::to_string(row_bytes));
  }
  if (!rows.empty()) {
    const std::uint64_t length = growth->length() + rows.size() / row_bytes;
    if (auto grown = growth->grow(length, rows); !grown) {
      return fail(grown.error().code, path_ + ": " + grown.error().context);
    }
  }
  return refresh();
}

Result<void> Array::resize(std::uint64_t length) {
  auto growth = ArrayGrowth::begin(*this);
  if (!growth) return tl::unexpected(std::move(growth.error()));
  if (length == growth->length()) return refresh();
  auto changed = length > growth->length() ? growth->grow(length, {}) : growth->shrink(length);
  if (!changed) return fail(changed.error().code, path_ + ": " + changed.error().context);
  return refresh();
}

}  // namespace shm
