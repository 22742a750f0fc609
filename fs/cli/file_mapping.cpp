#include "file_mapping.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

namespace arrayfs {

using shm::fail;
using shm::Result;

struct FileMapping::Range {
  shm::posix::Mapping mapping;
  std::atomic<bool> lost = false;
  Range* next = nullptr;
};

std::atomic<FileMapping::Range*> FileMapping::all_mapped_ = nullptr;

// Zeros take the place of the whole mapping, so that the access that failed succeeds.
void FileMapping::on_bus_error(int signal, siginfo_t* info, void* /*context*/) {
  const int code = errno;
  const auto* at = static_cast<const std::byte*>(info->si_addr);
  for (Range* range = all_mapped_; range != nullptr; range = range->next) {
    std::byte* const begin = range->mapping.data();
    if (at < begin || at >= begin + range->mapping.size()) {
      continue;
    }
    range->lost = true;
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    if (mmap(begin, range->mapping.size(), PROT_READ, kFlags, -1, 0) != MAP_FAILED) {
      errno = code;
      return;
    }
  }
  std::signal(signal, SIG_DFL);  // the access comes again, and ends the process
}

FileMapping::FileMapping(shm::posix::Fd fd, std::uint64_t end_bytes, std::unique_ptr<Range> range)
    : fd_(std::move(fd)), end_bytes_(end_bytes), range_(std::move(range)) {
  range_->next = all_mapped_;
  all_mapped_ = range_.get();
}

FileMapping::~FileMapping() {
  if (all_mapped_ == range_.get()) {
    all_mapped_ = range_->next;
    return;
  }
  Range* before = all_mapped_;
  while (before->next != range_.get()) {
    before = before->next;
  }
  before->next = range_->next;
}

Result<std::shared_ptr<const FileMapping>> FileMapping::map(shm::posix::Fd fd, std::uint64_t offset,
                                                            std::size_t size_bytes) {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGBUS, &action, nullptr) != 0) {
    return fail(errno);
  }
  auto range = std::make_unique<Range>();
  auto mapping = shm::posix::Mapping::map(fd.get(), offset, size_bytes, PROT_READ, MAP_PRIVATE);
  if (!mapping) {
    return tl::unexpected(mapping.error());
  }
  range->mapping = std::move(*mapping);
  return std::shared_ptr<const FileMapping>(
      new FileMapping(std::move(fd), offset + size_bytes, std::move(range)));
}

std::span<const std::byte> FileMapping::bytes() const {
  return {range_->mapping.data(), range_->mapping.size()};
}

Result<void> FileMapping::check(const std::string& path) const {
  const auto st = shm::posix::stat_fd(fd_.get());
  if (!st) {
    return fail(st.error().code, path);
  }
  if (static_cast<std::uint64_t>(st->st_size) < end_bytes_) {
    return fail(EIO,
                path + ": became smaller while it was read; try again when its writer is done");
  }
  if (range_->lost) {
    return fail(EIO, path +
                         ": a part of it could not be read: it was cut off meanwhile, or there is "
                         "no memory left for it (df); try again");
  }
  return {};
}

}  // namespace arrayfs
