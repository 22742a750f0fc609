// FileSystem's promises beyond tmpfs: space, overwriting without harm to readers, sealing.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "fault_point.hpp"
#include "file_system.hpp"
#include "replacement.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;
using shm::posix::Fd;

std::string sealed_name(const std::string& prefix) {
  return prefix + "array.sealed";
}

bool is_sealed(const std::string& path, const std::string& prefix) {
  return !prefix.empty() && getxattr(path.c_str(), sealed_name(prefix).c_str(), nullptr, 0) >= 0;
}

bool has_acl(const std::string& path) {
  return getxattr(path.c_str(), "system.posix_acl_access", nullptr, 0) >= 0;
}

// Whether the kernel would grant a lease at this moment; EAGAIN when others use the file.
Result<void> try_lease(int fd, int kind) {
  if (fcntl(fd, F_SETLEASE, kind) != 0) {
    return fail(errno);
  }
  fcntl(fd, F_SETLEASE, F_UNLCK);
  return {};
}

std::string path_of(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
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
  if ((*inode)->writers() == 0 || ((*inode)->flags & kHolesWanted) != 0) {
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
  if (is_sync_page(node)) {
    return fail(EPERM);
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

std::uint64_t FileSystem::measure() {
  std::uint64_t bytes = nameless().bytes;
  std::error_code error;  // what vanishes meanwhile holds nothing
  for (const int base : {store_.root_fd(), store_.private_fd()}) {
    const std::filesystem::path root = path_of(base) + "/.";
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

void FileSystem::refused_space(NodeId node) {
  if (const auto inode = inodes_.find(node)) {
    (*inode)->flags |= kSpaceRefused;
  }
}

bool FileSystem::take_refusal(NodeId node) {
  const auto inode = inodes_.find(node);
  const bool refused = inode && ((*inode)->flags & kSpaceRefused) != 0;
  if (refused) {
    (*inode)->flags &= ~static_cast<std::uint32_t>(kSpaceRefused);
  }
  return refused;
}

FileSystem::Nameless FileSystem::nameless() {
  let_go_of_kept();
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

bool FileSystem::is_used_array(NodeId node) {
  const auto file = inspect(node);
  return file && file->layout && is_used(**inodes_.find(node), file->fd.get());
}

// Where programs use the backing files themselves, a mapping outlives its RELEASE. A write lease is
// granted exactly when nobody else has the file open or mapped: that much is known in microseconds.
// No program can be opening the file meanwhile: it would have been counted.
bool FileSystem::is_used(Inode& inode, int fd) const {
  if (inode.opens() != 0 || (inode.flags & kOpenedBefore) == 0 || !options_.backing) {
    return inode.opens() != 0;
  }
  if (!try_lease(fd, F_WRLCK)) {
    return true;
  }
  inode.flags &= ~static_cast<std::uint32_t>(kOpenedBefore);
  return false;
}

bool FileSystem::is_mapped(const Inode& inode) const {
  users_->changed();  // what was seen before a mapping was made does not count
  return !users_->of(inode.ino).mapped_by.empty();
}

// An empty file that somebody has open is about to be written.
bool FileSystem::is_open(std::uint64_t ino) {
  const auto node = inodes_.find_by_ino(ino);
  return node && (*inodes_.find(*node))->opens() != 0;
}

bool FileSystem::kept_for_another(NodeId node, const Caller& caller) {
  const auto inode = inodes_.find(node);
  return inode && second_lookups_.kept_for_another((*inode)->ino, caller.pid);
}

Result<void> FileSystem::make_room_for_overwrite(NodeId node, const Caller& caller) {
  const auto inode = inodes_.find(node);
  const auto fd = inodes_.fd(node);
  if (!inode || !fd) {
    return fail(ESTALE);
  }
  const SecondLookup* earlier = second_lookups_.find(caller.pid);
  const bool was_given = earlier != nullptr && SecondLookups::keeps(*earlier, (*inode)->ino);
  // The same file again without a lookup: it was not opened by a name that could get another.
  const bool by_no_name = earlier != nullptr && earlier->given_ino == 0 && earlier->missed == 0 &&
                          earlier->wanted_ino == (*inode)->ino;
  second_lookups_.done(caller.pid);

  const auto file = inspect(node);
  if (!file || !file->layout) {
    return {};
  }
  if (!is_used(**inode, file->fd.get())) {
    count_version(store_, *fd);
    return {};
  }
  if (was_given || by_no_name) {
    const bool held = (*inode)->opens() != 0 || is_mapped(**inode);
    return held ? fail(ETXTBSY) : Result<void>{};
  }
  const struct stat& st = file->attr;
  journal_->intend({st.st_ino, st.st_ino});
  // The kernel looks the name up again: that is when it gets its new version.
  second_lookups_.expect(caller.pid, st, name_in_store(node, st).value_or(""));
  return fail(ESTALE);
}

Result<std::string> FileSystem::name_in_store(NodeId node, const struct stat& st) {
  return store_path_of(node).map([&](std::string path) {
    constexpr std::string_view kRemoved = " (deleted)";  // what the kernel appends
    if (st.st_nlink == 0 && path.ends_with(kRemoved)) {
      path.resize(path.size() - kRemoved.size());
    }
    return path;
  });
}

// Whether `path_fd`, found as `name`, is what the caller set out to overwrite and may overwrite.
bool FileSystem::is_wanted(const SecondLookup& expected, NodeId parent, const char* name,
                           const Result<Fd>& path_fd, const Caller& caller) {
  const auto st = path_fd.and_then(
      [](const Fd& fd) { return shm::posix::stat_at(fd.get(), "", AT_EMPTY_PATH); });
  if (!st || is_sealed(path_of(path_fd->get()), store_.xattr_prefix())) {
    return false;
  }
  if (st->st_ino == expected.wanted_ino) {
    return true;
  }
  // The kernel has checked the caller's rights on the file that had the name then.
  const bool same_rights = !has_acl(path_of(path_fd->get())) &&
                           st->st_mode == expected.wanted_mode &&
                           st->st_uid == expected.wanted_uid && st->st_gid == expected.wanted_gid;
  const auto directory = store_path_of(parent);
  return (same_rights || surely_may(caller, *st, S_IWUSR)) && directory &&
         SecondLookups::leads(expected, *directory + "/" + name);
}

Result<bool> FileSystem::prepare_second_lookup(NodeId parent, const char* name,
                                               const Caller& caller) {
  SecondLookup* expected = second_lookups_.find(caller.pid);
  if (expected == nullptr || expected->wanted_ino == 0) {
    return false;
  }
  const auto parent_fd = inodes_.fd(parent);
  const auto path_fd = parent_fd.and_then([&](int fd) { return open_name(fd, name); });
  const auto st = path_fd.and_then(
      [](const Fd& fd) { return shm::posix::stat_at(fd.get(), "", AT_EMPTY_PATH); });
  if (st && (!S_ISREG(st->st_mode) || st->st_ino == expected->given_ino)) {
    return false;  // a directory or a link on the way; or the kernel asks once more
  }
  if (!st && expected->missed == 0) {
    expected->missed = 1;  // within one open the kernel looks twice before it believes
    return false;
  }
  if (!is_wanted(*expected, parent, name, path_fd, caller)) {
    second_lookups_.done(caller.pid);
    return false;
  }
  if (st->st_size == 0 && !second_lookups_.kept(st->st_ino) && !is_open(st->st_ino)) {
    SecondLookups::give(*expected, st->st_ino);
    return false;
  }
  return replace(*parent_fd, name, path_fd->get()).map([&](std::uint64_t fresh_ino) {
    SecondLookups::give(*expected, fresh_ino);
    return true;
  });
}

Result<std::uint64_t> FileSystem::replace(int parent_fd, const char* name, int path_fd) {
  const auto before = shm::posix::stat_at(path_fd, "", AT_EMPTY_PATH);
  const std::uint64_t old_ino = before ? before->st_ino : 0;
  journal_->intend({old_ino, old_ino});
  fault_point("replace: before");
  const auto fresh = replace_by_empty(store_, parent_fd, name, path_fd);
  fault_point("replace: replaced");
  const auto st = fresh.and_then([](const Fd& fd) { return shm::posix::stat_fd(fd.get()); });
  if (!before || !st) {
    return tl::unexpected(st ? before.error() : st.error());
  }
  if (const auto old = inodes_.find_by_ino(before->st_ino)) {
    if (before->st_nlink == 1) {
      inodes_.lost_name(before->st_ino);
    }
    options_.attributes_changed(*old);
  }
  if (read_lifetime(fresh->get(), store_.xattr_prefix()).limited()) {
    if (auto opened = open_name(parent_fd, name)) {
      options_.lifetime_set(std::move(*opened));
    }
  }
  return st->st_ino;
}

Result<void> FileSystem::check_shrink(NodeId node, std::uint64_t size, bool by_handle) {
  const auto inode = inodes_.find(node);
  const auto st = get_attributes(node);
  if (!inode || !st || size >= static_cast<std::uint64_t>(st->st_size)) {
    return {};
  }
  if (!is_used_array(node)) {
    return {};
  }
  const std::uint32_t own = by_handle ? 1 : 0;
  const bool held = (*inode)->opens() > own || is_mapped(**inode);
  return held ? fail(ETXTBSY) : Result<void>{};
}

// ---- sealing

Result<void> FileSystem::check_writable(NodeId node) {
  const auto path = proc_path(node);
  if (!path) {
    return tl::unexpected(path.error());
  }
  return is_sealed(*path, store_.xattr_prefix()) ? fail(EPERM) : Result<void>{};
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
    if (fremovexattr(fd, name.c_str()) != 0) {
      return fail(errno);
    }
    note(EventKind::kUnsealed, node);
    return {};
  }
  const auto inode = inodes_.find(node);
  if (!inode || (*inode)->writers() != 0) {
    return fail(inode ? EBUSY : ESTALE);
  }
  // In passthrough a program may have closed its descriptor and write through a mapping. A read
  // lease is granted exactly when nobody can write.
  if (options_.backing) {
    if (auto nobody = try_lease(fd, F_RDLCK); !nobody) {
      return fail(nobody.error().code == EAGAIN ? EBUSY : nobody.error().code);
    }
  }
  if (fsetxattr(fd, name.c_str(), "1", 1, 0) != 0) {
    return fail(errno);
  }
  note(EventKind::kSealed, node);
  return {};
}

}  // namespace arrayfs
