#include "control_tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr std::string_view kAclXattr = "system.posix_acl_access";

// `w.npy.json` and `.json` give `w.npy`.
std::optional<std::string> without_suffix(const std::string& name, std::string_view suffix) {
  if (name.size() <= suffix.size() || !name.ends_with(suffix)) {
    return std::nullopt;
  }
  return name.substr(0, name.size() - suffix.size());
}

}  // namespace

Result<std::size_t> OpenView::read(std::uint64_t offset, std::span<char> buffer) {
  const std::lock_guard lock(mutex_);
  return stream_->read(offset, buffer);
}

Result<std::unique_ptr<OpenView>> ViewOpening::run() && {
  Result<std::unique_ptr<ViewStream>> stream;
  if (auto* array = std::get_if<OfArray>(&what_)) {
    stream = array->view->open(std::move(array->input));
  } else {
    const auto& mount = std::get<OfMount>(what_);
    stream = std::make_unique<TextStream>(mount.report->text(mount.status));
  }
  return std::move(stream).map([](std::unique_ptr<ViewStream> opened) {
    return std::make_unique<OpenView>(std::move(opened));
  });
}

const View* ControlTree::view_of(NodeId node) {
  const std::uint64_t number = node >> kViewShift;
  const bool known = number >= first_view() && number - first_view() < views().size();
  return known ? views()[number - first_view()].get() : nullptr;
}

const Report* ControlTree::report_of(NodeId node) {
  const std::uint64_t number = node >> kViewShift;
  const bool known = number >= kFirstReport && number < first_view() && about(node) == kRootNode;
  return known ? reports()[number - kFirstReport].get() : nullptr;
}

Result<Entry> ControlTree::root() {
  return enter(with_view(kTreeRoot, kRootNode));
}

Result<Entry> ControlTree::enter(NodeId node) {
  return get_attributes(node).map([&](const struct stat& st) {
    return Entry{node, (*files_.find(about(node)))->generation, st};
  });
}

Result<Entry> ControlTree::lookup(NodeId parent, const char* name, const Caller& caller) {
  const std::uint64_t number = parent >> kViewShift;
  if (const View* view = view_of(parent)) {
    return lookup_in_view(parent, *view, name, caller);
  }
  if (number != kTreeRoot) {
    return fail(ENOTDIR);
  }
  for (size_t i = 0; i < reports().size(); ++i) {
    if (reports()[i]->name() == name) {
      return enter(with_view(kFirstReport + i, kRootNode));
    }
  }
  for (size_t i = 0; i < views().size(); ++i) {
    if (views()[i]->directory() == name) {
      return enter(with_view(first_view() + i, kRootNode));
    }
  }
  return fail(ENOENT);
}

Result<Entry> ControlTree::lookup_in_view(NodeId parent, const View& view, const std::string& name,
                                          const Caller& caller) {
  const std::uint64_t number = parent >> kViewShift;
  if (about(parent) == kRootNode && name == kName) {
    return fail(ENOENT);
  }
  // A directory is mirrored under its own name, everything else with the suffix of the view.
  auto found = files_.lookup(about(parent), name.c_str());
  if (!view.suffix().empty() && (!found || !S_ISDIR(found->attr.st_mode))) {
    if (found) {
      files_.forget(found->node, 1);
    }
    const auto stem = without_suffix(name, view.suffix());
    if (!stem) {
      return fail(ENOENT);
    }
    found = files_.lookup(about(parent), stem->c_str());
    if (found && S_ISDIR(found->attr.st_mode)) {
      files_.forget(found->node, 1);
      return fail(ENOENT);
    }
  }
  if (!found) {
    return found;
  }
  const mode_t type = found->attr.st_mode & S_IFMT;
  if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK) {
    files_.forget(found->node, 1);
    return fail(ENOENT);
  }
  files_.looked_up_for_view(found->node, caller);
  return enter(with_view(number, found->node));
}

void ControlTree::forget(NodeId node, std::uint64_t count) {
  if (view_of(node) != nullptr) {
    files_.forget_view(about(node), count);
  } else {
    files_.forget(about(node), count);
  }
}

Result<struct stat> ControlTree::get_attributes(NodeId node) {
  const Report* report = report_of(node);
  if (report == nullptr && view_of(node) == nullptr && node != with_view(kTreeRoot, kRootNode)) {
    return fail(ESTALE);
  }
  auto st = files_.get_attributes(about(node));
  if (!st) {
    return st;
  }
  if (report != nullptr) {
    st->st_mode = S_IFREG | 0444;
  } else if (S_ISDIR(st->st_mode)) {
    st->st_mode = S_IFDIR | (st->st_mode & 0555);
  } else if (S_ISREG(st->st_mode)) {
    st->st_mode = S_IFREG | (st->st_mode & 0444);
  }
  if (S_ISREG(st->st_mode)) {
    st->st_nlink = 1;
    st->st_size = 0;  // made when it is opened
    st->st_blocks = 0;
  }
  st->st_ino = node ^ (st->st_ino << 8);
  return st;
}

Result<std::string> ControlTree::get_xattr(NodeId node, const std::string& name) {
  if (view_of(node) == nullptr || name != kAclXattr) {
    return fail(ENODATA);
  }
  return files_.get_xattr(about(node), name);
}

Result<std::string> ControlTree::read_link(NodeId node) {
  const View* view = view_of(node);
  if (view == nullptr) {
    return fail(EINVAL);
  }
  return files_.read_link(about(node)).map([&](std::string target) {
    return target.append(view->suffix());
  });
}

Result<std::uint64_t> ControlTree::open_directory(NodeId node) {
  return view_of(node) == nullptr ? Result<std::uint64_t>(0) : files_.open_directory(about(node));
}

void ControlTree::release_directory(NodeId node, std::uint64_t handle) {
  if (view_of(node) != nullptr) {
    files_.release_directory(handle);
  }
}

Result<void> ControlTree::read_directory(NodeId node, std::uint64_t handle, std::uint64_t offset,
                                         const std::function<bool(const DirEntry&)>& emit) {
  if (const View* view = view_of(node)) {
    return files_.read_directory(handle, offset, [&](const DirEntry& entry) {
      if (entry.type != DT_REG && entry.type != DT_LNK) {
        return entry.type == DT_DIR ? emit(entry) : true;
      }
      const std::string name = std::string(entry.name).append(view->suffix());
      return emit({name, entry.ino, entry.next_offset, entry.type});
    });
  }
  std::vector<std::pair<std::string_view, unsigned char>> names{{".", DT_DIR}, {"..", DT_DIR}};
  for (const auto& report : reports()) {
    names.emplace_back(report->name(), DT_REG);
  }
  for (const auto& view : views()) {
    names.emplace_back(view->directory(), DT_DIR);
  }
  for (std::uint64_t i = offset; i < names.size(); ++i) {
    if (!emit({names[i].first, i + 1, i + 1, names[i].second})) {
      break;
    }
  }
  return {};
}

Result<ViewOpening> ControlTree::open(NodeId node, int flags, const Caller& caller) {
  if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0) {
    return fail(EACCES);
  }
  if (const Report* report = report_of(node)) {
    return ViewOpening(*report, status_());
  }
  const View* view = view_of(node);
  if (view == nullptr) {
    return fail(node == with_view(kTreeRoot, kRootNode) ? EISDIR : ESTALE);
  }
  auto file = files_.inspect_for_view(about(node), caller);
  const auto inode = files_.find(about(node));
  if (!file || !inode) {
    return fail(file ? ESTALE : file.error().code);
  }
  return ViewOpening(*view, {std::move(*file), (*inode)->opens(), (*inode)->writers()});
}

}  // namespace arrayfs
