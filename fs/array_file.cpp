#include "array_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ctime>

#include "replacement.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Layout;
using shm::Result;
using shm::posix::fail_errno;

// What a raw file's type consists of; the rest follows from these.
constexpr std::string_view kStored[] = {"dtype", "shape", "order", "offset"};

std::string stored_name(const std::string& prefix, std::string_view name) {
  return prefix + "array." + std::string(name);
}

// The value of a stored xattr, or nothing.
std::optional<std::string> stored_value(int fd, const std::string& prefix, std::string_view name) {
  std::string value(16384, '\0');
  const ssize_t size =
      prefix.empty() ? -1
                     : fgetxattr(fd, stored_name(prefix, name).c_str(), value.data(), value.size());
  if (size < 0) {
    return std::nullopt;
  }
  value.resize(static_cast<size_t>(size));
  return value;
}

Result<std::uint64_t> parse_offset(std::string_view text) {
  std::uint64_t offset = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), offset);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return fail(EINVAL, fmt::format("offset '{}': give bytes", text));
  }
  return offset;
}

Result<shm::Order> parse_order(std::string_view text) {
  if (text == "C") {
    return shm::Order::kC;
  }
  if (text == "F") {
    return shm::Order::kFortran;
  }
  return fail(EINVAL, fmt::format("order '{}': give C or F", text));
}

struct RawType {
  std::optional<shm::Dtype> dtype;
  std::optional<shm::Shape> shape;
  shm::Order order = shm::Order::kC;
  std::uint64_t offset = 0;

  Result<void> set(std::string_view name, std::string_view value) {
    if (name == "dtype") {
      return shm::Dtype::parse(value).map([&](shm::Dtype parsed) { dtype = std::move(parsed); });
    }
    if (name == "shape") {
      return shm::parse_shape(value).map([&](shm::Shape parsed) { shape = std::move(parsed); });
    }
    if (name == "order") {
      return parse_order(value).map([&](shm::Order parsed) { order = parsed; });
    }
    return parse_offset(value).map([&](std::uint64_t parsed) { offset = parsed; });
  }

  // The layout, once type and shape are known. Errors: EINVAL when it does not fit the file.
  [[nodiscard]] Result<Layout> layout(std::uint64_t file_size_bytes) const {
    if (!dtype || !shape) {
      return fail(EINVAL, dtype ? "raw file with user.array.dtype but no user.array.shape"
                                : "raw file with user.array.shape but no user.array.dtype");
    }
    if (dtype->is_object()) {
      return fail(EINVAL, "object arrays cannot be shared");
    }
    if (auto checked = shm::check_shape(*dtype, *shape); !checked) {
      return tl::unexpected(checked.error());
    }
    Layout layout{*dtype, *shape, order, offset};
    if (offset > file_size_bytes || layout.nbytes() > file_size_bytes - offset) {
      return fail(EINVAL,
                  fmt::format("{} {} needs {} bytes at offset {}, the file has {}", dtype->name(),
                              layout.shape_text(), layout.nbytes(), offset, file_size_bytes));
    }
    return layout;
  }
};

RawType stored_type(int fd, const std::string& prefix) {
  RawType type;
  for (const std::string_view name : kStored) {
    if (const auto value = stored_value(fd, prefix, name)) {
      static_cast<void>(type.set(name, *value));  // what does not parse counts as not there
    }
  }
  return type;
}

std::string dtype_text(const shm::Dtype& dtype) {
  return dtype.kind() == shm::Kind::kStruct ? dtype.descr() : dtype.typestr();
}

bool is_stored(std::string_view name) {
  return std::ranges::count(kStored, name) != 0;
}

bool is_lifetime(std::string_view name) {
  return name == "ttl" || name == "owner_pid";
}

// What a copy of a file brings along but what its new home tells by itself.
bool is_told(std::string_view name) {
  return name == "nbytes" || name == "dtype_name" || name == "version";
}

// Header or stored type of the file, or the reason why it has neither.
void find_layout(ArrayFile& file, const std::string& prefix) {
  if (!S_ISREG(file.attr.st_mode)) {
    file.reason = "not a regular file";
    return;
  }
  auto header = shm::read_npy(file.fd.get());
  if (header && !header->dtype.is_object()) {
    file.layout = std::move(*header);
    return;
  }
  if (header) {
    file.reason = "dtype object: pickled Python objects are never read";
    return;
  }
  const RawType type = stored_type(file.fd.get(), prefix);
  if (!type.dtype && !type.shape) {
    file.reason = header.error().context;
    return;
  }
  auto layout = type.layout(static_cast<std::uint64_t>(file.attr.st_size));
  if (layout) {
    file.layout = std::move(*layout);
    file.typed_raw = true;
  } else {
    file.reason = layout.error().context;
  }
}

}  // namespace

Result<ArrayFile> inspect_array(shm::posix::Fd fd, const std::string& xattr_prefix) {
  auto attr = shm::posix::stat_fd(fd.get());
  if (!attr) {
    return tl::unexpected(attr.error());
  }
  ArrayFile file;
  file.fd = std::move(fd);
  file.attr = *attr;
  find_layout(file, xattr_prefix);
  file.version = version_of(file.fd.get(), xattr_prefix);
  file.sealed = stored_value(file.fd.get(), xattr_prefix, "sealed").has_value();
  file.lifetime = read_lifetime(file.fd.get(), xattr_prefix);
  return file;
}

Result<std::string> array_xattr(const ArrayFile& file, std::string_view name) {
  if (file.layout) {
    const Layout& layout = *file.layout;
    if (name == "dtype") {
      return dtype_text(layout.dtype);
    }
    if (name == "dtype_name") {
      return layout.dtype.name();
    }
    if (name == "shape") {
      return layout.shape.empty() ? "()" : fmt::format("{}", fmt::join(layout.shape, ","));
    }
    if (name == "order") {
      return std::string(1, static_cast<char>(layout.order));
    }
    if (name == "offset") {
      return std::to_string(layout.data_offset);
    }
    if (name == "nbytes") {
      return std::to_string(layout.nbytes());
    }
    if (name == "version") {
      return std::to_string(file.version);
    }
  }
  if (name == "sealed" && file.sealed) {
    return "1";
  }
  if (name == "ttl" && file.lifetime.expires_at) {
    return std::to_string(std::max<std::int64_t>(0, *file.lifetime.expires_at - time(nullptr)));
  }
  if (name == "owner_pid" && file.lifetime.owner) {
    return std::to_string(file.lifetime.owner->pid);
  }
  return fail(ENODATA);
}

std::vector<std::string> array_xattr_names(const ArrayFile& file) {
  std::vector<std::string> names;
  for (const char* name : {"dtype", "dtype_name", "shape", "order", "offset", "nbytes", "version",
                           "sealed", "ttl", "owner_pid"}) {
    if (array_xattr(file, name)) {
      names.emplace_back(name);
    }
  }
  return names;
}

Result<void> set_array_xattr(const ArrayFile& file, std::string_view name, std::string_view value,
                             const std::string& xattr_prefix) {
  if (const auto now = array_xattr(file, name); now && *now == value) {
    return {};
  }
  if (is_lifetime(name)) {
    return set_lifetime(file.fd.get(), xattr_prefix, name, value);
  }
  const bool has_header = file.layout && !file.typed_raw;
  if (!is_stored(name) || has_header) {
    // A copy (cp -a, rsync -X) brings these, in any order, and is to stay quiet.
    if (name == "version" || (is_told(name) && !file.layout)) {
      return {};
    }
    return fail(EINVAL, fmt::format("user.array.{} follows from the file and cannot be set", name));
  }
  if (xattr_prefix.empty()) {
    return fail(ENOTSUP, "the store has no xattrs to keep a type in");
  }
  RawType type = stored_type(file.fd.get(), xattr_prefix);
  if (auto set = type.set(name, value); !set) {
    return set;
  }
  if (type.dtype && type.shape) {
    if (auto layout = type.layout(static_cast<std::uint64_t>(file.attr.st_size)); !layout) {
      return tl::unexpected(layout.error());
    }
  }
  const std::string stored = stored_name(xattr_prefix, name);
  if (fsetxattr(file.fd.get(), stored.c_str(), value.data(), value.size(), 0) != 0) {
    return fail_errno(stored);
  }
  return {};
}

Result<void> remove_array_xattr(const ArrayFile& file, std::string_view name,
                                const std::string& xattr_prefix) {
  if (is_lifetime(name) && array_xattr(file, name)) {
    return set_lifetime(file.fd.get(), xattr_prefix, name, "");
  }
  if (is_stored(name) && stored_value(file.fd.get(), xattr_prefix, name)) {
    const std::string stored = stored_name(xattr_prefix, name);
    return fremovexattr(file.fd.get(), stored.c_str()) == 0 ? Result<void>{} : fail_errno(stored);
  }
  return fail(array_xattr(file, name) ? EPERM : ENODATA);
}

}  // namespace arrayfs
