#include "sync_pages.hpp"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>
#include <shm/posix.hpp>

namespace arrayfs {
namespace {

namespace stdfs = std::filesystem;
using shm::fail;
using shm::Result;
using shm::posix::fail_errno;
using shm::posix::Fd;

constexpr std::string_view kNamePrefix = "sync-";
constexpr char kAcl[] = "system.posix_acl_access";

std::string xattr_of(const Store& store) {
  return store.xattr_prefix() + "array.sync";
}

std::string path_of(const Store& store, const std::string& name) {
  return "/proc/self/fd/" + std::to_string(store.private_fd()) + "/" + name;
}

std::string acl_of(const std::string& path) {
  std::string list(XATTR_SIZE_MAX, '\0');
  const ssize_t size = getxattr(path.c_str(), kAcl, list.data(), list.size());
  list.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return list;
}

Result<Fd> make_file(const Store& store, std::string& name) {
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
  for (;;) {
    if (name.empty()) {
      const auto bits = shm::posix::random_bits();
      if (!bits) {
        return tl::unexpected(bits.error());
      }
      name = std::string(kNamePrefix) + std::to_string(*bits);
    }
    auto fd = shm::posix::open_at(store.private_fd(), name, kFlags, 0600);
    if (fd || fd.error().code != EEXIST) {
      return fd;
    }
    name.clear();
  }
}

// The pages that files of the store bear; nothing when some of the files cannot be seen.
std::optional<std::set<std::string>> pages_in_use(const Store& store) {
  std::set<std::string> used;
  std::error_code error;
  const stdfs::path root = "/proc/self/fd/" + std::to_string(store.root_fd()) + "/.";
  for (stdfs::recursive_directory_iterator at(root, error), end; !error && at != end;
       at.increment(error)) {
    if (auto name = sync_page_of(store, at->path()); !name.empty()) {
      used.insert(std::move(name));
    }
  }
  return error ? std::nullopt : std::optional(std::move(used));
}

}  // namespace

std::string sync_page_of(const Store& store, const std::string& path) {
  char text[20];
  const ssize_t size = store.xattr_prefix().empty()
                           ? -1
                           : getxattr(path.c_str(), xattr_of(store).c_str(), text, sizeof text);
  // In a store that others can write it could be anything.
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text, text + std::max<ssize_t>(size, 0), number);
  const bool valid = size > 0 && parsed.ec == std::errc() && parsed.ptr == text + size;
  return valid ? std::string(kNamePrefix) + std::to_string(number) : std::string();
}

Result<std::string> make_sync_page(const Store& store, const std::string& path,
                                   const std::string& name) {
  if (store.xattr_prefix().empty()) {
    return fail(EOPNOTSUPP, "the store has no xattrs to keep the page's name in");
  }
  std::string made = name;
  const auto fd = make_file(store, made);
  auto done = fd.and_then(
      [](const Fd& file) { return shm::posix::allocate(file.get(), kSyncPageFileBytes); });
  const std::string number = made.substr(std::min(made.size(), kNamePrefix.size()));
  if (done && made != name &&
      setxattr(path.c_str(), xattr_of(store).c_str(), number.data(), number.size(), 0) != 0) {
    done = fail_errno("sync page");
  }
  if (!done) {
    if (fd) {
      unlinkat(store.private_fd(), made.c_str(), 0);
    }
    return tl::unexpected(done.error());
  }
  return made;
}

Result<void> dress_sync_page(const Store& store, const std::string& name,
                             const std::string& array_path, const struct stat& array) {
  const std::string path = path_of(store, name);
  const auto page = shm::posix::stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
  if (!page) {
    return tl::unexpected(page.error());
  }
  constexpr mode_t kPermissions = 0777;
  const std::string list = acl_of(array_path);
  const std::string own_list = acl_of(path);
  const bool same_owner = page->st_uid == array.st_uid && page->st_gid == array.st_gid;
  const bool same_mode = ((page->st_mode ^ array.st_mode) & kPermissions) == 0;
  if (same_owner && same_mode && list == own_list) {
    return {};
  }
  // Nobody new may open it before all is in place.
  const bool done =
      chmod(path.c_str(), 0) == 0 && chown(path.c_str(), array.st_uid, array.st_gid) == 0 &&
      (own_list.empty() || list == own_list || removexattr(path.c_str(), kAcl) == 0) &&
      (list.empty() || setxattr(path.c_str(), kAcl, list.data(), list.size(), 0) == 0) &&
      chmod(path.c_str(), array.st_mode & kPermissions) == 0;
  return done ? Result<void>{} : fail_errno("sync page");
}

bool inherit_sync_page(const Store& store, const std::string& path, const std::string& name) {
  const std::string number = name.substr(kNamePrefix.size());
  return setxattr(path.c_str(), xattr_of(store).c_str(), number.data(), number.size(), 0) == 0;
}

void disinherit_sync_page(const Store& store, const std::string& path) {
  removexattr(path.c_str(), xattr_of(store).c_str());
}

std::uint64_t remove_sync_page(const Store& store, const std::string& name) {
  const auto page = name.empty()
                        ? fail(ENOENT)
                        : shm::posix::stat_at(store.private_fd(), name, AT_SYMLINK_NOFOLLOW);
  return page && unlinkat(store.private_fd(), name.c_str(), 0) == 0 ? page->st_ino : 0;
}

void remove_orphaned_sync_pages(const Store& store) {
  std::set<std::string> pages;
  std::error_code error;
  for (stdfs::directory_iterator at(path_of(store, "."), error), end; !error && at != end;
       at.increment(error)) {
    if (std::string name = at->path().filename(); name.starts_with(kNamePrefix)) {
      pages.insert(std::move(name));
    }
  }
  const auto used = pages.empty() ? std::nullopt : pages_in_use(store);
  for (const std::string& name : pages) {
    if (used && !used->contains(name)) {
      unlinkat(store.private_fd(), name.c_str(), 0);
    }
  }
}

}  // namespace arrayfs
