#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <shm/array.hpp>
#include <utility>

#include "aside_file.hpp"
#include "growth.hpp"

namespace shm {
namespace {

tl::unexpected<Error> about(const std::string& path, const Error& error) {
  const bool said = error.context.empty() || error.context == path;
  return fail(error.code, said ? path : path + ": " + error.context);
}

std::uint64_t bytes_before_data(const Layout& layout) {
  return layout.data_offset % posix::page_size_bytes();
}

/// The mapping that array.hpp describes; empty when there is nothing to map.
Result<posix::Mapping> map_data(int fd, const Layout& layout, Access access) {
  if (layout.nbytes() == 0) return posix::Mapping();
  const std::uint64_t skipped = bytes_before_data(layout);
  const int prot = access == Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  const int flags = access == Access::kCopyOnWrite ? MAP_PRIVATE : MAP_SHARED;
  return posix::Mapping::map(fd, layout.data_offset - skipped, layout.nbytes() + skipped, prot,
                             flags);
}

Result<void> check_values(const Layout& layout, const CreateOptions& options) {
  const auto wrong = [](const char* what, std::uint64_t given, std::uint64_t needed) {
    return fail(EINVAL, std::string(what) + std::to_string(given) + " bytes instead of " +
                            std::to_string(needed));
  };
  if (!options.fill.empty() && options.fill.size() != layout.dtype.itemsize()) {
    return wrong("the fill value has ", options.fill.size(), layout.dtype.itemsize());
  }
  if (!options.contents.empty() && options.contents.size() != layout.nbytes()) {
    return wrong("the contents have ", options.contents.size(), layout.nbytes());
  }
  return {};
}

/// Repeats the value over `target` by doubling what is already there.
void fill_with(std::span<std::byte> target, std::span<const std::byte> value) {
  const bool zero =
      std::all_of(value.begin(), value.end(), [](std::byte b) { return b == std::byte{}; });
  if (target.empty() || zero) return;  // new pages are zero
  std::memcpy(target.data(), value.data(), value.size());
  for (std::size_t done = value.size(); done < target.size();) {
    const std::size_t count = std::min(done, target.size() - done);
    std::memcpy(target.data() + done, target.data(), count);
    done += count;
  }
}

Result<void> write_whole(int fd, const std::string& header, std::uint64_t nbytes) {
  // Neither term exceeds int64, so the sum fits; allocate() refuses what off_t cannot hold.
  if (auto allocated = posix::allocate(fd, header.size() + nbytes); !allocated) return allocated;
  return posix::pwrite_full(fd, std::as_bytes(std::span(header)), 0);
}

}  // namespace

Result<Array> Array::create(const std::string& path, const Dtype& dtype, const Shape& shape,
                            const CreateOptions& options) {
  const auto header = npy_header(dtype, shape, options.order, options.align);
  if (!header) return about(path, header.error());
  Array array;
  array.layout_ = Layout{dtype, shape, options.order, header->size()};
  array.access_ = Access::kReadWrite;
  if (auto valid = check_values(array.layout_, options); !valid) return about(path, valid.error());
  // Asked before the work is done; publish() is what decides.
  if (!options.replace && posix::stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)) {
    return fail(EEXIST, path);
  }

  auto aside = AsideFile::create(path, static_cast<mode_t>(options.mode));
  if (!aside) return about(path, aside.error());
  if (auto written = write_whole(aside->fd(), *header, array.layout_.nbytes()); !written) {
    return about(path, written.error());
  }
  auto mapping = map_data(aside->fd(), array.layout_, array.access_);
  if (!mapping) return about(path, mapping.error());
  array.mapping_ = std::move(*mapping);
  const auto status = posix::stat_fd(aside->fd());
  if (!status) return about(path, status.error());
  array.path_ = path;
  array.device_ = status->st_dev;
  array.inode_ = status->st_ino;
  if (options.contents.empty()) {
    fill_with(array.mutable_bytes(), options.fill);
  } else {
    std::memcpy(array.mutable_bytes().data(), options.contents.data(), options.contents.size());
  }
  if (auto published = aside->publish(path, options.replace); !published) {
    return about(path, published.error());
  }
  return array;
}

Result<Array> Array::open(const std::string& path, Access access) {
  // O_NONBLOCK: a FIFO of that name is refused instead of waited for.
  const int mode = access == Access::kReadWrite ? O_RDWR : O_RDONLY;
  const auto fd = posix::open_at(AT_FDCWD, path, mode | O_NONBLOCK);
  if (!fd) return tl::unexpected(fd.error());
  return map_file(fd->get(), path, access);
}

Result<Array> Array::map_file(int fd, const std::string& path, Access access) {
  auto layout = read_growing_npy(fd);
  if (!layout) return about(path, layout.error());
  if (layout->dtype.is_object()) {
    return fail(EINVAL, path + ": object arrays hold pickled Python objects and cannot be mapped");
  }

  Array array;
  array.layout_ = std::move(*layout);
  array.access_ = access;
  auto mapping = map_data(fd, array.layout_, access);
  if (!mapping) return about(path, mapping.error());
  array.mapping_ = std::move(*mapping);

  // Shrunk since the header was read: touching the mapping would be SIGBUS.
  const auto status = posix::stat_fd(fd);
  if (!status) return about(path, status.error());
  const std::uint64_t end = array.layout_.data_offset + array.layout_.nbytes();
  if (static_cast<std::uint64_t>(status->st_size) < end) {
    return fail(EINVAL, path + ": the file shrank while it was opened");
  }
  array.path_ = path;
  array.device_ = status->st_dev;
  array.inode_ = status->st_ino;
  return array;
}

Result<posix::Fd> Array::reopen(int flags) const {
  auto fd = posix::open_at(AT_FDCWD, path_, flags | O_NONBLOCK);
  if (!fd) return fd;
  const auto status = posix::stat_fd(fd->get());
  if (!status) return about(path_, status.error());
  if (status->st_dev != device_ || status->st_ino != inode_) {
    return fail(ESTALE, path_ + ": now another file than the one that is mapped");
  }
  return fd;
}

Result<void> Array::refresh() {
  const auto fd = reopen(access_ == Access::kReadWrite ? O_RDWR : O_RDONLY);
  if (!fd) return tl::unexpected(fd.error());
  auto again = map_file(fd->get(), path_, access_);
  if (!again) return tl::unexpected(again.error());
  *this = std::move(*again);
  return {};
}

Result<void> Array::check_typed(const std::string& typestr, std::uint64_t size_bytes,
                                std::uint64_t align, bool writes) const {
  const Dtype& dtype = layout_.dtype;
  if (dtype.itemsize() != size_bytes || (!typestr.empty() && dtype.typestr() != typestr)) {
    return fail(EINVAL, path_ + ": its elements are " + dtype.name() + " of " +
                            std::to_string(dtype.itemsize()) + " bytes");
  }
  if (layout_.data_offset % align != 0) {
    return fail(EINVAL, path_ + ": the data begins at byte " + std::to_string(layout_.data_offset) +
                            ", not aligned for this type");
  }
  if (writes && access_ == Access::kReadOnly) return fail(EINVAL, path_ + ": opened read-only");
  return {};
}

Result<void> Array::prefault(Touch touch) {
  if (touch == Touch::kWrite && access_ == Access::kReadOnly) {
    return fail(EINVAL, path_ + ": opened read-only");
  }
  if (mapping_.size() == 0) return {};
  const int advice = touch == Touch::kRead ? MADV_POPULATE_READ : MADV_POPULATE_WRITE;
  return posix::advise({mapping_.data(), mapping_.size()}, advice);
}

Result<void> Array::prefer_huge_pages() {
  if (mapping_.size() == 0) return {};
  return posix::advise({mapping_.data(), mapping_.size()}, MADV_HUGEPAGE);
}

Result<void> Array::place_on_node(unsigned node) {
  if (node >= 64) return fail(EINVAL, "NUMA node " + std::to_string(node));
  if (mapping_.size() == 0) return {};
  return posix::bind_to_node({mapping_.data(), mapping_.size()}, node);
}

std::span<const std::byte> Array::bytes() const {
  if (mapping_.size() == 0) return {};
  return std::span(mapping_.data(), mapping_.size())
      .subspan(static_cast<std::size_t>(bytes_before_data(layout_)));
}

std::span<std::byte> Array::mutable_bytes() {
  assert(access_ != Access::kReadOnly);
  const auto data = bytes();
  return {const_cast<std::byte*>(data.data()), data.size()};
}

}  // namespace shm
