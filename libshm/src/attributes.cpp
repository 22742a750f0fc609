#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <shm/array.hpp>

namespace shm {
namespace {

constexpr char kNamespace[] = "user.";
constexpr std::size_t kNamespaceBytes = sizeof kNamespace - 1;

Result<void> set_sealed(const std::string& path, bool sealed) {
  if (const auto root = mount_root(path); !root) {
    if (root.error().code != ENOENT) return tl::unexpected(root.error());
    if (const auto status = posix::stat_at(AT_FDCWD, path, 0); !status) {
      return tl::unexpected(status.error());
    }
    return fail(EOPNOTSUPP, path + ": not on an arrayfs mount, so nothing would keep it sealed");
  }
  return set_attribute(path, "array.sealed", sealed ? "1" : "0");
}

}  // namespace

Result<void> seal(const std::string& path) {
  return set_sealed(path, true);
}

Result<void> unseal(const std::string& path) {
  return set_sealed(path, false);
}

Result<std::string> attribute(const std::string& path, const std::string& name) {
  return posix::get_xattr(path, kNamespace + name);
}

Result<void> set_attribute(const std::string& path, const std::string& name,
                           std::string_view value) {
  return posix::set_xattr(path, kNamespace + name, value);
}

Result<std::vector<std::string>> attributes(const std::string& path) {
  auto names = posix::list_xattrs(path);
  if (!names) return names;
  std::erase_if(*names, [](const std::string& name) { return !name.starts_with(kNamespace); });
  for (std::string& name : *names) name.erase(0, kNamespaceBytes);
  std::sort(names->begin(), names->end());
  return names;
}

Result<std::string> mount_root(const std::string& path) {
  // The last part may be a symlink out of the mount: what counts is where the name is.
  const auto slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  auto directory = posix::real_path(parent);
  if (!directory) return directory;
  for (;;) {
    const std::string prefix = *directory == "/" ? "" : *directory;
    if (posix::stat_at(AT_FDCWD, prefix + "/.arrayfs/status", 0)) return directory;
    if (prefix.empty()) return fail(ENOENT, path + ": not on an arrayfs mount");
    const auto up = directory->rfind('/');
    directory->resize(std::max<std::size_t>(up, 1));
  }
}

}  // namespace shm
