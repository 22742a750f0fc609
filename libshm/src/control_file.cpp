#include "control_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <shm/posix.hpp>

#include "aside_file.hpp"

namespace shm {
namespace {

using HeaderWords = std::array<std::uint64_t, sizeof(ControlHeader) / sizeof(Word)>;

Result<ControlHeader> make_header(std::uint64_t size_bytes, const ControlKind& kind) {
  const auto boot = posix::boot_id();
  if (!boot) return tl::unexpected(boot.error());
  const auto pid_namespace = posix::pid_namespace();
  if (!pid_namespace) return tl::unexpected(pid_namespace.error());
  ControlHeader header{};
  std::ranges::copy(kind.magic, header.magic.begin());
  std::ranges::copy(*boot, header.boot.begin());
  header.version = kSyncVersion;
  header.size_bytes = static_cast<std::uint32_t>(size_bytes);
  header.pid_namespace = *pid_namespace;
  return header;
}

/// Writes the first state, the header last: who sees it whole sees the rest, too.
void initialise(std::span<std::byte> file, const ControlHeader& header, const ControlKind& kind) {
  kind.reset(file.subspan(sizeof header));
  HeaderWords values;
  std::memcpy(values.data(), &header, sizeof header);
  auto* words = reinterpret_cast<Word*>(file.data());
  for (const std::uint64_t value : values) words++->store(value, std::memory_order_release);
}

bool is_blank(const ControlHeader& header) {
  static constexpr ControlHeader kBlank{};
  return std::memcmp(&header, &kBlank, sizeof header) == 0;
}

/// Whether the state is of this boot; a blank page is of none.
Result<bool> is_current(const ControlHeader& found, const ControlHeader& own,
                        const std::string& path) {
  if (is_blank(found)) return false;
  if (found.magic != own.magic || found.version != own.version ||
      found.size_bytes != own.size_bytes) {
    return fail(EINVAL, path + ": not a control file of this version");
  }
  if (found.boot != own.boot) return false;
  if (found.pid_namespace != own.pid_namespace) {
    return fail(EXDEV, path + ": in use in another PID namespace");
  }
  return true;
}

ControlHeader read_header(const posix::Mapping& mapping) {
  HeaderWords values;
  const auto* words = reinterpret_cast<const Word*>(mapping.data());
  for (std::uint64_t& value : values) value = words++->load(std::memory_order_acquire);
  ControlHeader header;
  std::memcpy(&header, values.data(), sizeof header);
  return header;
}

}  // namespace

Result<std::string> sibling_path(const std::string& array_path, std::string_view suffix) {
  auto real = posix::real_path(array_path);
  if (!real) return real;
  const auto slash = real->rfind('/');
  return real->substr(0, slash + 1) + "." + real->substr(slash + 1) + "." + std::string(suffix);
}

Result<void> create_control(const std::string& path, mode_t mode, std::uint64_t size_bytes,
                            const ControlKind& kind, bool replace) {
  const auto header = make_header(size_bytes, kind);
  if (!header) return tl::unexpected(header.error());
  auto aside = AsideFile::create(path, mode);
  if (!aside) return tl::unexpected(aside.error());
  if (auto set = posix::set_mode(aside->fd(), mode); !set) return set;
  if (auto allocated = posix::allocate(aside->fd(), size_bytes); !allocated) return allocated;
  auto mapping =
      posix::Mapping::map(aside->fd(), 0, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED);
  if (!mapping) return tl::unexpected(mapping.error());
  initialise({mapping->data(), mapping->size()}, *header, kind);
  auto published = aside->publish(path, replace);
  if (!published && published.error().code == EEXIST) return {};
  return published;
}

Result<posix::Mapping> map_control(const std::string& path, const ControlKind& kind) {
  const auto fd = posix::open_at(AT_FDCWD, path, O_RDWR | O_NONBLOCK);
  if (!fd) return tl::unexpected(fd.error());
  const auto status = posix::stat_fd(fd->get());
  if (!status) return tl::unexpected(status.error());
  const auto size = static_cast<std::uint64_t>(status->st_size);
  if (!S_ISREG(status->st_mode) || size < kSyncPageBytes || size > kind.max_size_bytes) {
    return fail(EINVAL, path + ": not a control file");
  }
  auto mapping = posix::Mapping::map(fd->get(), 0, size, PROT_READ | PROT_WRITE, MAP_SHARED);
  if (!mapping) return mapping;
  const auto own = make_header(size, kind);
  if (!own) return tl::unexpected(own.error());
  auto current = is_current(read_header(*mapping), *own, path);
  if (current && !*current) {
    // Nobody of an earlier boot lives; of those that come first in this one, one resets the state.
    if (auto locked = posix::lock_whole(fd->get()); !locked) return tl::unexpected(locked.error());
    current = is_current(read_header(*mapping), *own, path);
    if (current && !*current) initialise({mapping->data(), mapping->size()}, *own, kind);
  }
  if (!current) return tl::unexpected(current.error());
  return mapping;
}

}  // namespace shm
