// FileSystem's promises beyond tmpfs: space, overwriting without harm to readers, sealing.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "file_system.hpp"
#include "processes.hpp"
#include "replacement.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

std::string sealed_name(const std::string& prefix) {
  return prefix + "array.sealed";
}

}  // namespace

// ---- space

std::optional<Reservation> FileSystem::missing_space(NodeId node, const struct stat& st) {
  const auto inode = inodes_.find(node);
  if (!inode || !options_.reserve_space || !S_ISREG(st.st_mode)) {
    return std::nullopt;
  }
  const auto size = static_cast<std::uint64_t>(st.st_size);
  if (is_allocated(st)) {
    (*inode)->promised_bytes = size;
    return std::nullopt;
  }
  if ((*inode)->writers == 0 || ((*inode)->flags & kHolesWanted) != 0) {
    return std::nullopt;
  }
  auto fd = reopen(node, O_RDWR);
  if (!fd) {
    return std::nullopt;  // a daemon without rights on the file leaves it as it is
  }
  const bool admitted = admit(size - static_cast<std::uint64_t>(st.st_blocks) * 512);
  return Reservation(std::move(*fd), size, std::min((*inode)->promised_bytes, size), admitted);
}

Result<std::optional<Reservation>> FileSystem::growth(NodeId node, std::uint64_t size) {
  const auto st = get_attributes(node);
  if (!st) {
    return tl::unexpected(st.error());
  }
  const auto now = static_cast<std::uint64_t>(st->st_size);
  if (!options_.reserve_space || !S_ISREG(st->st_mode) || size <= now) {
    return std::nullopt;
  }
  if (auto writable = check_writable(node); !writable) {
    return tl::unexpected(writable.error());
  }
  auto fd = reopen(node, O_RDWR);
  if (!fd) {
    return fd.error().code == EACCES ? Result<std::optional<Reservation>>(std::nullopt)
                                     : tl::unexpected(fd.error());
  }
  return Reservation(std::move(*fd), size, now, admit(size - now));
}

std::uint64_t FileSystem::measure() const {
  std::uint64_t bytes = nameless().bytes;
  std::error_code error;  // what vanishes meanwhile holds nothing
  for (const int base : {store_.root_fd(), store_.private_fd()}) {
    const std::filesystem::path root = "/proc/self/fd/" + std::to_string(base) + "/.";
    for (std::filesystem::recursive_directory_iterator at(root, error), end; !error && at != end;
         at.increment(error)) {
      const auto st = shm::posix::stat_at(AT_FDCWD, at->path(), AT_SYMLINK_NOFOLLOW);
      // A file with several names is met once for each.
      bytes += st ? static_cast<std::uint64_t>(st->st_blocks) * 512 /
                        std::max<std::uint64_t>(1, S_ISDIR(st->st_mode) ? 1 : st->st_nlink)
                  : 0;
    }
  }
  return bytes;
}

bool FileSystem::admit(std::uint64_t growth_bytes) {
  if (options_.capacity_bytes == 0) {
    return true;
  }
  if (!quota_) {  // not before this object is where it stays
    quota_.emplace(options_.capacity_bytes, [this] { return measure(); });
  }
  return quota_->admit(growth_bytes);
}

Result<struct statvfs> FileSystem::statistics() {
  auto usage = store_.usage();
  if (usage && options_.capacity_bytes != 0) {
    const std::uint64_t unit = usage->f_frsize;
    const std::uint64_t used = std::min(measure(), options_.capacity_bytes);
    usage->f_blocks = options_.capacity_bytes / unit;
    usage->f_bfree =
        std::min<std::uint64_t>(usage->f_bfree, (options_.capacity_bytes - used) / unit);
    usage->f_bavail = usage->f_bfree;
  }
  return usage;
}

void FileSystem::want_holes(NodeId node) {
  if (const auto inode = inodes_.find(node)) {
    (*inode)->flags |= kHolesWanted;
  }
}

FileSystem::Nameless FileSystem::nameless() const {
  Nameless sum;
  inodes_.each_nameless([&](const Inode& inode) {
    const auto st = shm::posix::stat_at(inode.fd, "", AT_EMPTY_PATH);
    if (st && st->st_nlink == 0 && S_ISREG(st->st_mode)) {
      ++sum.files;
      sum.bytes += static_cast<std::uint64_t>(st->st_blocks) * 512;
    }
  });
  return sum;
}

// ---- overwriting

bool FileSystem::is_array(NodeId node) {
  const auto file = inspect(node);
  return file && file->layout;
}

bool FileSystem::is_mapped(NodeId node) {
  const auto inode = inodes_.find(node);
  return !inode || !mappers_of(options_.device, (*inode)->ino).empty();
}

Result<void> FileSystem::make_room_for_overwrite(NodeId node) {
  const auto inode = inodes_.find(node);
  const auto fd = inodes_.fd(node);
  if (!inode || !fd) {
    return fail(ESTALE);
  }
  const bool maybe_held = (*inode)->opens != 0 || ((*inode)->flags & kOpenedBefore) != 0;
  const auto st = shm::posix::stat_at(*fd, "", AT_EMPTY_PATH);
  if (!st || st->st_size == 0 || !is_array(node)) {
    return {};
  }
  if (!maybe_held) {
    count_version(store_, *fd);
    return {};
  }
  if (st->st_nlink == 0) {
    return fail(ESTALE);  // the name was given to another file after the kernel looked it up
  }
  if (st->st_nlink != 1) {
    // Which of its names is to be replaced is not known here: only an unused file is overwritten.
    const bool held = (*inode)->opens != 0 || is_mapped(node);
    if (held) {
      return fail(ETXTBSY);
    }
    count_version(store_, *fd);
    return {};
  }
  return replace_by_empty(store_, *fd).and_then([&](const Replacement& now) -> Result<void> {
    (*inode)->flags |= kNameless;
    options_.name_changed(now.parent_ino, now.name);
    options_.attributes_changed(node);
    if (read_lifetime(now.path_fd.get(), store_.xattr_prefix()).limited()) {
      if (auto path_fd = shm::posix::open_at(
              AT_FDCWD, "/proc/self/fd/" + std::to_string(now.path_fd.get()), O_PATH)) {
        options_.lifetime_set(std::move(*path_fd));
      }
    }
    return fail(ESTALE);  // the kernel looks the name up again and opens what it finds
  });
}

Result<void> FileSystem::check_shrink(NodeId node, std::uint64_t size, bool by_handle) {
  const auto inode = inodes_.find(node);
  const auto st = get_attributes(node);
  if (!inode || !st || size >= static_cast<std::uint64_t>(st->st_size)) {
    return {};
  }
  if (auto writable = check_writable(node); !writable) {
    return writable;
  }
  const std::uint32_t own = by_handle ? 1 : 0;
  const bool maybe_held = (*inode)->opens > own || ((*inode)->flags & kOpenedBefore) != 0;
  if (!maybe_held || !is_array(node)) {
    return {};
  }
  const bool held = (*inode)->opens > own || is_mapped(node);
  return held ? fail(ETXTBSY) : Result<void>{};
}

// ---- sealing

Result<void> FileSystem::check_writable(NodeId node) {
  const auto path = proc_path(node);
  if (!path) {
    return tl::unexpected(path.error());
  }
  const std::string& prefix = store_.xattr_prefix();
  const bool sealed =
      !prefix.empty() && getxattr(path->c_str(), sealed_name(prefix).c_str(), nullptr, 0) >= 0;
  return sealed ? fail(EPERM) : Result<void>{};
}

Result<void> FileSystem::set_sealed(NodeId node, const ArrayFile& file, bool sealed) {
  if (sealed == file.sealed) {
    return {};
  }
  const std::string& prefix = store_.xattr_prefix();
  if (prefix.empty()) {
    return fail(ENOTSUP, "the store has no xattrs to keep a seal in");
  }
  const std::string name = sealed_name(prefix);
  const int fd = file.fd.get();
  if (!sealed) {
    return fremovexattr(fd, name.c_str()) == 0 ? Result<void>{} : fail(errno);
  }
  const auto inode = inodes_.find(node);
  if (!inode || (*inode)->writers != 0) {
    return fail(inode ? EBUSY : ESTALE);
  }
  // In passthrough a program may have closed its descriptor and write through a mapping. A read
  // lease is granted exactly when nobody can write.
  if (options_.backing) {
    if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0) {
      return fail(errno == EAGAIN ? EBUSY : errno);
    }
    fcntl(fd, F_SETLEASE, F_UNLCK);
  }
  return fsetxattr(fd, name.c_str(), "1", 1, 0) == 0 ? Result<void>{} : fail(errno);
}

}  // namespace arrayfs
