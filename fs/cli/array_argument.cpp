#include "array_argument.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "../array_file.hpp"
#include "../values/slice.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

// Types of raw files stand in `user.array.*`, on the mount as in the store.
constexpr char kXattrPrefix[] = "user.";

}  // namespace

Result<ArrayArgument> ArrayArgument::open(const std::string& path, const std::string& slice_text) {
  const auto about = [&](const shm::Error& error) {
    return fail(error.code, path + ": " + error.context);
  };
  auto fd = shm::posix::open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  auto file = inspect_array(std::move(*fd), kXattrPrefix);
  if (!file) {
    return about(file.error());
  }
  if (!file->layout) {
    return fail(EOPNOTSUPP, path + ": " + file->reason);
  }
  ArrayArgument array;
  array.path = path;
  array.layout = *file->layout;
  const std::uint64_t skipped = array.layout.data_offset % shm::posix::page_size_bytes();
  std::span<const std::byte> data;
  if (array.layout.nbytes() != 0) {
    auto mapping = FileMapping::map(std::move(file->fd), array.layout.data_offset - skipped,
                                    array.layout.nbytes() + skipped);
    if (!mapping) {
      return about(mapping.error());
    }
    array.mapping = std::move(*mapping);
    data = array.mapping->bytes().subspan(skipped);
  }
  auto view = view_of(array.layout, data).and_then([&](const ArrayView& whole) {
    return slice(whole, slice_text);
  });
  if (!view) {
    return about(view.error());
  }
  array.view = std::move(*view);
  return array;
}

Result<void> ArrayArgument::check() const {
  return mapping == nullptr ? Result<void>{} : mapping->check(path);
}

ArrayView flattened(const ArrayView& view) {
  if (view.size() == 0) {
    return view;
  }
  std::vector<std::pair<std::int64_t, std::uint64_t>> axes;  // stride and extent
  for (std::size_t axis = 0; axis < view.shape.size(); ++axis) {
    if (view.shape[axis] != 1) {
      axes.emplace_back(view.strides_bytes[axis], view.shape[axis]);
    }
  }
  std::ranges::sort(axes);
  auto expected = static_cast<std::int64_t>(view.dtype.itemsize());
  for (const auto& [stride, extent] : axes) {
    if (stride != expected) {
      return view;
    }
    expected *= static_cast<std::int64_t>(extent);
  }
  return {view.dtype, {view.size()}, {static_cast<std::int64_t>(view.dtype.itemsize())}, view.data};
}

}  // namespace arrayfs
