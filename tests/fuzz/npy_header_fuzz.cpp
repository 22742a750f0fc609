// The .npy header: refused, or a layout that holds what it promises.
#include <shm/npy.hpp>

#include "fuzz_input.hpp"

using arrayfs::fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  arrayfs::fuzz::Input input(data, size);
  // The file is as long as the input, or has a hole behind it.
  const auto hole_bytes = input.take<std::uint64_t>();
  const std::string_view prefix = input.rest().substr(0, shm::kMaxPrefixBytes);
  const std::uint64_t file_bytes = input.rest().size() + (hole_bytes & (UINT64_MAX >> 1));
  const auto layout = shm::parse_npy(std::as_bytes(std::span(prefix)), file_bytes);
  if (!layout) {
    require(layout.error().code > 0 && !layout.error().context.empty());
    return 0;
  }
  require(layout->data_offset <= file_bytes && layout->shape.size() <= shm::kMaxDims);
  require(layout->strides().size() == layout->shape.size());
  require(!layout->shape_text().empty() && !layout->dtype.name().empty());
  if (layout->dtype.is_object()) {
    return 0;
  }
  require(layout->nbytes() <= file_bytes - layout->data_offset);
  // What this library writes of it reads as the same.
  if (const auto header = shm::npy_header(layout->dtype, layout->shape, layout->order)) {
    const auto again =
        shm::parse_npy(std::as_bytes(std::span(*header)), header->size() + layout->nbytes());
    require(again && again->shape == layout->shape && again->order == layout->order &&
            again->dtype.descr() == layout->dtype.descr() && again->nbytes() == layout->nbytes());
  }
  return 0;
}
