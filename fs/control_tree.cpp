#include "control_tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

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

bool is_shown(mode_t mode) {
  return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode);
}

// Whoever may read an array may look into the directory that is made of it.
mode_t searchable(mode_t mode) {
  return (mode & 0444) | (mode & 0444) >> 2;
}

// An archive opens what is in a directory, which takes the right to search it, too.
mode_t archive_mode(mode_t mode) {
  return mode & 0444 & (mode << 2);
}

// Changes the rights in a list of permissions: a header of 4 bytes, then entries of tag and rights
// (two bytes each) and id (four). Source: linux/posix_acl_xattr.h.
std::string with_rights(std::string list, const std::function<mode_t(mode_t)>& change) {
  constexpr std::size_t kHeaderBytes = 4;
  constexpr std::size_t kEntryBytes = 8;
  constexpr mode_t kRights = 7;
  for (std::size_t at = kHeaderBytes; at + kEntryBytes <= list.size(); at += kEntryBytes) {
    const mode_t rights = static_cast<unsigned char>(list[at + 2]);
    list[at + 2] = static_cast<char>(change(rights) & kRights);
  }
  return list;
}

// An archive is read by who may read all that is in it. Groups beside the caller's first one are
// not known here: where they would decide, the answer is no.
bool surely_readable(const Caller& caller, int fd, const struct stat& st) {
  if (caller.uid == 0) {
    return true;
  }
  if (caller.uid == st.st_uid) {
    return (st.st_mode & S_IRUSR) != 0;
  }
  const bool listed = fgetxattr(fd, std::string(kAclXattr).c_str(), nullptr, 0) > 0;
  const bool group = (st.st_mode & S_IRGRP) != 0;
  const bool others = (st.st_mode & S_IROTH) != 0;
  return !listed && (caller.gid == st.st_gid ? group : group && others);
}

}  // namespace

void ArchiveSizes::set(NodeId node, std::uint64_t size_bytes) {
  const std::lock_guard lock(mutex_);
  sizes_[node] = size_bytes;
}

void ArchiveSizes::forget(NodeId node) {
  const std::lock_guard lock(mutex_);
  sizes_.erase(node);
}

std::uint64_t ArchiveSizes::get(NodeId node) const {
  const std::lock_guard lock(mutex_);
  const auto found = sizes_.find(node);
  return found == sizes_.end() ? 0 : found->second;
}

Result<std::size_t> OpenView::read(std::uint64_t offset, std::span<char> buffer) {
  const std::lock_guard lock(mutex_);
  return stream_->read(offset, buffer);
}

bool ViewOpening::is_slow() const {
  const auto* array = std::get_if<OfArray>(&what_);
  return array != nullptr ? array->view->is_slow() : std::holds_alternative<OfDirectory>(what_);
}

bool ViewOpening::is_immediate() const {
  const auto* array = std::get_if<OfArray>(&what_);
  return array != nullptr && array->view->is_immediate(array->input);
}

Result<std::unique_ptr<OpenView>> ViewOpening::run() && {
  Result<std::unique_ptr<ViewStream>> stream;
  if (auto* array = std::get_if<OfArray>(&what_)) {
    stream = array->view->open(std::move(array->input));
  } else if (auto* directory = std::get_if<OfDirectory>(&what_)) {
    stream = directory->view->open_directory(std::move(directory->input));
    if (stream) {
      directory->told_size((*stream)->size_bytes().value_or(0));
    }
  } else {
    const auto& mount = std::get<OfMount>(what_);
    stream = std::make_unique<TextStream>(mount.report->text(mount.status));
  }
  return std::move(stream).map([&](std::unique_ptr<ViewStream> opened) {
    return std::make_unique<OpenView>(std::move(opened), is_slow());
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

Role ControlTree::role(NodeId node) {
  if (const Report* report = report_of(node)) {
    return report->role();
  }
  const View* view = view_of(node);
  return view != nullptr ? view->role() : Role::kShow;
}

bool ControlTree::is_live(NodeId node) {
  const Role its = role(node);
  return its == Role::kWait || its == Role::kFollow || (its == Role::kMake && !is_counted(node));
}

Result<Entry> ControlTree::enter_draft(NodeId parent, std::uint64_t handle) {
  return enter(with_view(parent >> kViewShift, about(parent), Drafts::number_of(handle)));
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

Result<shm::Layout> ControlTree::layout_of(NodeId node) {
  return files_.inspect(about(node)).and_then(layout_to_show);
}

bool ControlTree::is_generated_directory(NodeId node, const View& view) {
  const auto inode = files_.find(about(node));
  if (!inode || S_ISDIR((*inode)->mode)) {
    return false;
  }
  return generated(node) != 0 || view.is_directory();
}

// What the view shows under a name of a mirrored directory, and under which face: a directory under
// its own name, everything else with the suffix of the view.
Result<std::pair<Entry, std::uint32_t>> ControlTree::find_shown(NodeId parent, const View& view,
                                                                const std::string& name) {
  const auto find = [&](const std::string& file) {
    auto found = files_.lookup(about(parent), file.c_str());
    if (found && !is_shown(found->attr.st_mode)) {
      files_.forget(found->node, 1);
      found = fail(ENOENT);
    }
    return found;
  };
  const auto stem = without_suffix(name, view.suffix());
  auto found = find(name);
  if (found && (S_ISDIR(found->attr.st_mode) || (view.suffix().empty() && !view.is_archive()))) {
    return std::pair(*found, 0U);
  }
  if (stem) {
    auto with_suffix = find(*stem);
    if (with_suffix && S_ISDIR(with_suffix->attr.st_mode) == view.is_archive()) {
      if (found) {
        files_.forget(found->node, 1);
      }
      return std::pair(*with_suffix, view.is_archive() ? kOtherFace : 0U);
    }
    if (with_suffix) {
      files_.forget(with_suffix->node, 1);
    }
  }
  if (found && view.has_parts() && S_ISREG(found->attr.st_mode)) {
    return std::pair(*found, kOtherFace);
  }
  if (found) {
    files_.forget(found->node, 1);
  }
  return fail(found ? ENOENT : found.error().code);
}

Result<Entry> ControlTree::lookup_in_view(NodeId parent, const View& view, const std::string& name,
                                          const Caller& caller) {
  const std::uint64_t number = parent >> kViewShift;
  if (is_generated_directory(parent, view)) {
    const std::uint32_t within = is_counted(parent) ? 0 : generated(parent);
    return layout_of(parent)
        .and_then([&](const shm::Layout& layout) { return view.find(layout, within, name); })
        .and_then([&](const GeneratedEntry& entry) {
          return enter(with_view(number, about(parent), entry.number));
        });
  }
  if (about(parent) == kRootNode && name == kName) {
    return fail(ENOENT);
  }
  if (view.is_archive() && name == view.suffix()) {
    return enter(with_view(number, about(parent), kArchiveOfSelf));
  }
  const auto found = find_shown(parent, view, name);
  if (!found) {
    return tl::unexpected(found.error());
  }
  if (view.role() == Role::kSync && S_ISREG(found->first.attr.st_mode)) {
    auto page = files_.sync_page(found->first.node);
    files_.forget(found->first.node, 1);
    return page;
  }
  files_.looked_up_for_view(found->first.node, caller);
  return enter(with_view(number, found->first.node, found->second));
}

void ControlTree::forget(NodeId node, std::uint64_t count) {
  if (generated(node) != 0) {
    archive_sizes_->forget(node);
  }
  if (!is_counted(node)) {
    return;
  }
  if (view_of(node) != nullptr) {
    files_.forget_view(about(node), count);
  } else {
    files_.forget(about(node), count);
  }
}

// Rights to write are those of the file itself: to say that it changed, or to make one beside it.
Result<void> ControlTree::show_live(NodeId node, Role role, struct stat& st) {
  if (is_counted(node)) {
    const mode_t bits = S_ISDIR(st.st_mode) && role != Role::kMake ? 0555 : 07777;
    st.st_mode &= S_IFMT | (S_ISREG(st.st_mode) ? 0666 : bits);
  } else if (const Draft* draft = drafts_.find(about(node), generated(node))) {
    st.st_mode = S_IFREG | 0600;
    st.st_uid = draft->uid;
    st.st_gid = draft->gid;
  } else {
    return fail(ESTALE);
  }
  st.st_size = S_ISREG(st.st_mode) ? 0 : st.st_size;
  return {};
}

Result<void> ControlTree::show_as(NodeId node, const View& view, struct stat& st) {
  const std::uint32_t number = generated(node);
  if (S_ISLNK(st.st_mode)) {
    return {};
  }
  if (view.role() != Role::kShow) {
    return show_live(node, view.role(), st);
  }
  if (S_ISDIR(st.st_mode)) {
    const bool archive = number != 0;
    st.st_mode = archive ? S_IFREG | archive_mode(st.st_mode) : S_IFDIR | (st.st_mode & 0555);
    if (archive) {
      st.st_size = static_cast<off_t>(archive_sizes_->get(node));
    }
    return {};
  }
  std::optional<shm::Layout> layout;
  bool is_directory = number == kOtherFace || (number == 0 && view.is_directory());
  if (view.is_sized() || !is_counted(node)) {
    if (auto found = layout_of(node)) {
      layout = std::move(*found);
    }
  }
  if (!is_counted(node)) {
    const auto entry = layout ? view.at(*layout, number) : fail(ESTALE);
    if (!entry) {
      return tl::unexpected(entry.error());
    }
    is_directory = entry->is_directory;
  }
  if (is_directory) {
    st.st_mode = S_IFDIR | searchable(st.st_mode);
    st.st_nlink = 2;
    st.st_size = 0;
    st.st_blocks = 0;
    return {};
  }
  st.st_mode = S_IFREG | (st.st_mode & 0444);
  const auto size = layout && view.is_sized() ? view.size_bytes(*layout, number) : std::nullopt;
  st.st_size = static_cast<off_t>(size.value_or(0));  // otherwise not known before it is read
  return {};
}

Result<struct stat> ControlTree::get_attributes(NodeId node) {
  const Report* report = report_of(node);
  const View* view = view_of(node);
  if (report == nullptr && view == nullptr && node != with_view(kTreeRoot, kRootNode)) {
    return fail(ESTALE);
  }
  auto st = files_.get_attributes(about(node));
  if (!st) {
    return st;
  }
  if (report != nullptr) {
    st->st_mode = S_IFREG | 0444;
    st->st_size = 0;
  } else if (view == nullptr) {
    st->st_mode = S_IFDIR | (st->st_mode & 0555);
  } else if (auto shown = show_as(node, *view, *st); !shown) {
    return tl::unexpected(shown.error());
  }
  if (S_ISREG(st->st_mode)) {
    st->st_nlink = 1;
    st->st_blocks = 0;
  }
  st->st_ino = node ^ (st->st_ino << 8);
  return st;
}

Result<std::string> ControlTree::get_xattr(NodeId node, const std::string& name) {
  const View* view = view_of(node);
  if (view == nullptr || name != kAclXattr) {
    return fail(ENODATA);
  }
  auto list = files_.get_xattr(about(node), name);
  const auto inode = files_.find(about(node));
  if (!list || !inode) {
    return list;
  }
  const bool archive = S_ISDIR((*inode)->mode) && generated(node) != 0;
  if (archive) {
    return with_rights(std::move(*list), archive_mode);
  }
  const auto st = is_generated_directory(node, *view) ? get_attributes(node) : fail(ENODATA);
  return st && S_ISDIR(st->st_mode) ? with_rights(std::move(*list), searchable) : list;
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
  const View* view = view_of(node);
  const bool mirrored = view != nullptr && !is_generated_directory(node, *view);
  return mirrored ? files_.open_directory(about(node)) : Result<std::uint64_t>(0);
}

void ControlTree::release_directory(NodeId node, std::uint64_t handle) {
  if (view_of(node) != nullptr && handle != 0) {
    files_.release_directory(handle);
  }
}

Result<void> ControlTree::read_directory(NodeId node, std::uint64_t handle, std::uint64_t offset,
                                         const std::function<bool(const DirEntry&)>& emit) {
  const View* view = view_of(node);
  if (view != nullptr && handle != 0) {
    const bool archive = view->is_archive();
    return files_.read_directory(handle, offset, [&](const DirEntry& entry) {
      const bool dots = entry.name == "." || entry.name == "..";
      const bool is_directory = entry.type == DT_DIR;
      if (dots || (is_directory && !archive)) {
        return emit(entry);
      }
      if (archive ? !is_directory : entry.type != DT_REG && entry.type != DT_LNK) {
        return true;
      }
      const bool shown_as_directory = entry.type == DT_REG && view->is_directory();
      unsigned char type = entry.type;
      if (archive || shown_as_directory) {
        type = archive ? DT_REG : DT_DIR;
      }
      const std::string name = std::string(entry.name).append(view->suffix());
      return emit({name, entry.ino, entry.next_offset, type});
    });
  }
  std::vector<GeneratedEntry> names{{".", 0, true}, {"..", 0, true}};
  if (view != nullptr) {
    auto layout = layout_of(node);
    if (!layout) {
      return tl::unexpected(layout.error());
    }
    std::ranges::move(view->list(*layout, is_counted(node) ? 0 : generated(node)),
                      std::back_inserter(names));
  } else {
    for (const auto& report : reports()) {
      names.push_back({std::string(report->name()), 0, false});
    }
    for (const auto& each : views()) {
      names.push_back({std::string(each->directory()), 0, true});
    }
  }
  for (std::uint64_t i = offset; i < names.size(); ++i) {
    const unsigned char type = names[i].is_directory ? DT_DIR : DT_REG;
    if (!emit({names[i].name, i + 1, i + 1, type})) {
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
  if (const auto inode = files_.find(about(node)); inode && S_ISDIR((*inode)->mode)) {
    if (generated(node) == 0) {
      return fail(EISDIR);
    }
    return files_.open_directory(about(node)).map([&](std::uint64_t handle) {
      DirectoryInput input{
          shm::posix::Fd(static_cast<int>(handle)), files_.store().xattr_prefix(),
          [caller](int fd, const struct stat& st) { return surely_readable(caller, fd, st); }};
      return ViewOpening(
          *view, std::move(input),
          [node, sizes = archive_sizes_](std::uint64_t size) { sizes->set(node, size); });
    });
  }
  auto file = files_.inspect_for_view(about(node), caller);
  const auto inode = files_.find(about(node));
  if (!file || !inode) {
    return fail(file ? ESTALE : file.error().code);
  }
  const std::uint32_t number = is_counted(node) ? 0 : generated(node);
  auto users = files_.is_used(**inode, file->fd.get()) ? files_.users() : nullptr;
  return ViewOpening(*view, {std::move(*file), (*inode)->opens(), (*inode)->writers(), number,
                             std::move(users), files_.ring_control(about(node))});
}

}  // namespace arrayfs
