#include "file_system.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "act_as.hpp"
#include "fault_point.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;
using shm::posix::fail_errno;
using shm::posix::Fd;

}  // namespace

Result<FileSystem> FileSystem::create(const Store& store, StateMemory& memory,
                                      ServeOptions options) {
  umask(0);
  // The supervisor sees to it before it drops the capability for that.
  if (geteuid() == 0 && (prctl(PR_GET_SECUREBITS) & SECBIT_NO_SETUID_FIXUP) == 0 &&
      prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) != 0) {
    return fail_errno("securebits");
  }
  auto release = options.backing ? options.backing->release : [](std::int32_t) {};
  if (auto sound = memory.check(); !sound) {
    return tl::unexpected(sound.error());
  }
  auto journal = std::make_unique<Journal>(memory);
  static_cast<void>(journal->recover());  // before anything is derived from the counts
  auto kept = std::make_unique<KeptFds>(memory, *journal);
  auto inodes = InodeTable::create(memory, *journal, *kept, store.root_fd(), std::move(release));
  if (!inodes) {
    return tl::unexpected(inodes.error());
  }
  return FileSystem(store, memory, std::move(journal), std::move(kept), std::move(*inodes),
                    std::move(options));
}

// ---- names

Result<Fd> FileSystem::open_name(int parent_fd, const char* name) {
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  const long fd = syscall(SYS_openat2, parent_fd, name, &how, sizeof how);
  if (fd >= 0) {
    return Fd(static_cast<int>(fd));
  }
  if (errno == ENOSYS) {  // Linux before 5.6
    return shm::posix::open_at(parent_fd, name, O_PATH | O_NOFOLLOW);
  }
  return fail(errno);
}

Result<Entry> FileSystem::enter(int parent_fd, const char* name) {
  auto path_fd = open_name(parent_fd, name);
  if (!path_fd) {
    return tl::unexpected(path_fd.error());
  }
  auto st = shm::posix::stat_at(path_fd->get(), "", AT_EMPTY_PATH);
  if (!st) {
    return tl::unexpected(st.error());
  }
  const auto node = inodes_.intern(std::move(*path_fd), *st);
  if (!node) {
    return tl::unexpected(node.error());
  }
  return Entry{*node, (*inodes_.find(*node))->generation, shown(*st)};
}

// What was kept for a thread that never came, since it was killed or interrupted.
void FileSystem::let_go_of_kept() {
  if (second_lookups_.all_over()) {
    inodes_.free_nameless();
  }
}

Result<Entry> FileSystem::lookup(NodeId parent, const char* name) {
  let_go_of_kept();
  return inodes_.fd(parent).and_then([&](int fd) { return enter(fd, name); });
}

std::uint64_t FileSystem::ino_of(int parent_fd, const char* name) {
  const auto st = shm::posix::stat_at(parent_fd, name, AT_SYMLINK_NOFOLLOW);
  return st ? st->st_ino : 0;
}

// Whether what a name must not lead to yet was made by an earlier attempt of this very request.
bool FileSystem::made_before() const {
  return journal_->earlier() && journal_->earlier()->target_ino == 0;
}

// `call` makes the name and returns 0, or -1 and errno.
template <typename Call>
Result<Entry> FileSystem::make(int parent_fd, const char* name, const Caller& caller, Call&& call) {
  journal_->intend({0, ino_of(parent_fd, name)});
  fault_point("make: before");
  {
    const ActAs as(caller);
    if (call() != 0 && !(errno == EEXIST && made_before())) {
      return fail(errno);
    }
  }
  fault_point("make: made");
  return enter(parent_fd, name);
}

Result<Entry> FileSystem::make_node(NodeId parent, const char* name, mode_t mode, dev_t device,
                                    const Caller& caller) {
  const auto fd = inodes_.fd(parent);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  auto made = make(*fd, name, caller, [&] { return mknodat(*fd, name, mode, device); });
  if (made) {
    note(EventKind::kCreated, made->node, caller.pid);
  }
  return made;
}

Result<Entry> FileSystem::make_directory(NodeId parent, const char* name, mode_t mode,
                                         const Caller& caller) {
  const auto fd = inodes_.fd(parent);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  return make(*fd, name, caller, [&] { return mkdirat(*fd, name, mode); });
}

Result<Entry> FileSystem::make_symlink(NodeId parent, const char* name, const char* target,
                                       const Caller& caller) {
  const auto fd = inodes_.fd(parent);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  if (options_.links && std::string_view(target).starts_with(store_.path() + "/")) {
    // Who copies a link of ours believes to copy an array: it would be a second name, or a loop.
    return fail(EPERM);
  }
  return make(*fd, name, caller, [&] { return symlinkat(target, *fd, name); });
}

Result<Entry> FileSystem::link(NodeId node, NodeId new_parent, const char* new_name) {
  const auto path = proc_path(node);
  const auto parent = path.and_then([&](const std::string&) { return inodes_.fd(new_parent); });
  if (!parent) {
    return tl::unexpected(parent.error());
  }
  journal_->intend({0, ino_of(*parent, new_name)});
  if (linkat(AT_FDCWD, path->c_str(), *parent, new_name, AT_SYMLINK_FOLLOW) != 0 &&
      !(errno == EEXIST && made_before())) {
    return fail(errno);
  }
  fault_point("link: made");
  auto entry = enter(*parent, new_name);
  if (entry) {
    note_name(EventKind::kCreated, new_parent, new_name, entry->attr);
  }
  // The new name shows the face that was linked, whatever the file has become meanwhile.
  return (node & kLinkFace) == 0
             ? entry
             : entry.and_then([&](const Entry& made) { return link_face(made); });
}

Result<void> FileSystem::unlink(NodeId parent, const char* name) {
  const auto fd = inodes_.fd(parent);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  const auto gone = shm::posix::stat_at(*fd, name, AT_SYMLINK_NOFOLLOW);
  const std::string page = last_sync_page(*fd, name, gone);
  journal_->intend({gone ? gone->st_ino : 0, 0});
  fault_point("unlink: before");
  if (unlinkat(*fd, name, 0) != 0 && !(errno == ENOENT && removed_before())) {
    return fail(errno);
  }
  fault_point("unlink: removed");
  drop_sync_page(page);
  note_name(EventKind::kRemoved, parent, name, gone);
  if (gone && gone->st_nlink == 1) {
    inodes_.lost_name(gone->st_ino);
  }
  return {};
}

bool FileSystem::removed_before() const {
  return journal_->earlier() && journal_->earlier()->source_ino != 0;
}

Result<void> FileSystem::remove_directory(NodeId parent, const char* name) {
  return inodes_.fd(parent).and_then([&](int fd) -> Result<void> {
    journal_->intend({ino_of(fd, name), 0});
    if (unlinkat(fd, name, AT_REMOVEDIR) != 0 && !(errno == ENOENT && removed_before())) {
      return fail(errno);
    }
    fault_point("rmdir: removed");
    return {};
  });
}

Result<void> FileSystem::rename(NodeId parent, const char* name, NodeId new_parent,
                                const char* new_name, unsigned flags) {
  const auto from = inodes_.fd(parent);
  const auto to = from.and_then([&](int) { return inodes_.fd(new_parent); });
  if (!to) {
    return tl::unexpected(to.error());
  }
  const auto source = shm::posix::stat_at(*from, name, AT_SYMLINK_NOFOLLOW);
  const auto target = shm::posix::stat_at(*to, new_name, AT_SYMLINK_NOFOLLOW);
  const Intent now{source ? source->st_ino : 0, target ? target->st_ino : 0};
  const bool exchanged = (flags & RENAME_EXCHANGE) != 0;
  const std::string page = exchanged ? std::string() : last_sync_page(*to, new_name, target);
  journal_->intend(now);
  fault_point("rename: before");
  const auto& earlier = journal_->earlier();
  const bool renamed_before = earlier && earlier->source_ino != 0 &&
                              now.target_ino == earlier->source_ino &&
                              now.source_ino != earlier->source_ino;
  const bool passed = !renamed_before && pass_sync_page(page, {*from, name}, source, target);
  if (!renamed_before && renameat2(*from, name, *to, new_name, flags) != 0) {
    const int code = errno;
    if (passed) {
      disinherit_sync_page(store_, path_at(*from, name));
    }
    return fail(code);
  }
  fault_point("rename: renamed");
  if (renamed_before) {
    return {};  // settle() has seen to what it replaced
  }
  if (target && target->st_nlink == 1 && !exchanged) {
    if (!passed) {
      drop_sync_page(page);
    }
    inodes_.lost_name(target->st_ino);
  }
  const auto renamed = [&](const Result<struct stat>& st, const std::pair<NodeId, const char*>& at,
                           const std::pair<NodeId, const char*>& before) {
    remember_rename(st, before.first, before.second);
    if (events_.wanted() && st && S_ISREG(st->st_mode)) {
      tell(EventKind::kRenamed, {st->st_ino, st->st_uid, path_below_mount(at.first, at.second),
                                 path_below_mount(before.first, before.second)});
    }
  };
  renamed(source, {new_parent, new_name}, {parent, name});
  if (exchanged) {
    renamed(target, {parent, name}, {new_parent, new_name});
  }
  return {};
}

// Who opens a file to overwrite it may have found it under the name that it had before.
void FileSystem::remember_rename(const Result<struct stat>& st, NodeId parent, const char* name) {
  if (st && S_ISREG(st->st_mode) && st->st_size != 0) {
    if (const auto directory = store_path_of(parent)) {
      second_lookups_.renamed(st->st_ino, *directory + "/" + name);
    }
  }
}

Entry FileSystem::shown_entry(const Entry& entry) {
  if (!options_.links || !S_ISREG(entry.attr.st_mode)) {
    return entry;
  }
  // The header decides, even while the data that it promises is still to come: who makes an array
  // by writing the header first is to map the same pages as everybody else.
  const auto fd = reopen(entry.node, O_RDONLY | O_NONBLOCK | O_NOATIME);
  std::vector<std::byte> prefix(shm::kMaxPrefixBytes);
  const auto got = fd ? shm::posix::pread_full(fd->get(), prefix, 0) : Result<size_t>(0);
  const auto layout = shm::parse_npy(std::span(prefix).first(got.value_or(0)), INT64_MAX);
  return layout ? link_face(entry).value_or(entry) : entry;
}

Result<Entry> FileSystem::link_face(const Entry& entry) {
  const NodeId node = entry.node | kLinkFace;
  return get_attributes(node).map([&](const struct stat& attr) {
    return Entry{node, entry.generation, attr};
  });
}

Result<std::string> FileSystem::store_path_of(NodeId node) {
  return proc_path(node).and_then([](const std::string& proc) -> Result<std::string> {
    std::string path(PATH_MAX, '\0');
    const ssize_t size = readlink(proc.c_str(), path.data(), path.size());
    if (size < 0 || static_cast<size_t>(size) == path.size()) {
      return fail(size < 0 ? errno : ENAMETOOLONG);
    }
    path.resize(static_cast<size_t>(size));
    return path;
  });
}

Result<std::string> FileSystem::read_link(NodeId node) {
  if ((node & kLinkFace) != 0) {
    return store_path_of(node);
  }
  const auto fd = inodes_.fd(node);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  std::string target(PATH_MAX, '\0');
  const ssize_t size = readlinkat(*fd, "", target.data(), target.size());
  if (size < 0) {
    return fail(errno);
  }
  target.resize(static_cast<size_t>(size));
  return target;
}

// ---- directories

Result<std::uint64_t> FileSystem::open_directory(NodeId node) {
  return inodes_.fd(node)
      .and_then([](int fd) { return shm::posix::open_at(fd, ".", O_RDONLY | O_DIRECTORY); })
      .and_then([&](Fd opened) { return keep(std::move(opened), FdUse::kDirectory); });
}

Result<Fd> FileSystem::directory_fd(NodeId node) {
  return inodes_.fd(node).and_then([](int fd) -> Result<Fd> {
    Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!copy.valid()) {
      return fail(errno);
    }
    return copy;
  });
}

Result<std::uint64_t> FileSystem::keep(Fd fd, FdUse use) {
  const std::uint64_t handle = kept_->keep(std::move(fd), use);
  return handle != 0 ? Result<std::uint64_t>(handle) : fail(ENFILE);
}

void FileSystem::release_directory(std::uint64_t handle) {
  kept_->drop(handle);
}

void FileSystem::settle(bool comes_again) {
  const Intent intent = state_.journal_intends != 0 ? state_.intent : Intent{};
  journal_->resolve(comes_again, *kept_);
  inodes_.settle({intent.source_ino, intent.target_ino});
}

Result<void> FileSystem::read_directory(std::uint64_t handle, std::uint64_t offset,
                                        const std::function<bool(const DirEntry&)>& emit) {
  // The kernel's own cookies are passed through, so that no position is kept here.
  const int fd = kept_->get(handle);
  if (lseek(fd, static_cast<off_t>(offset), SEEK_SET) < 0) {
    return fail(errno);
  }
  alignas(dirent64) char buffer[32768];
  for (;;) {
    const ssize_t got = getdents64(fd, buffer, sizeof buffer);
    if (got < 0) {
      return fail(errno);
    }
    if (got == 0) {
      return {};
    }
    for (ssize_t at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
      if (!emit({entry->d_name, entry->d_ino, static_cast<std::uint64_t>(entry->d_off),
                 entry->d_type})) {
        return {};
      }
      at += entry->d_reclen;
    }
  }
}

// ---- files

Result<ArrayFile> FileSystem::inspect(NodeId node) {
  const auto inode = inodes_.find(node);
  if (!inode) {
    return tl::unexpected(inode.error());
  }
  if (!S_ISREG((*inode)->mode)) {
    return fail(ENODATA);
  }
  return reopen(node, O_RDONLY | O_NONBLOCK).and_then([&](Fd fd) {
    return inspect_array(std::move(fd), store_.xattr_prefix());
  });
}

void FileSystem::looked_up_for_view(NodeId node, const Caller& caller) {
  inodes_.looked_up_for_view(node);
  SecondLookup* expected = second_lookups_.find(caller.pid);
  if (expected != nullptr && expected->wanted_ino == 0) {
    SecondLookups::give(*expected, (*inodes_.find(node))->ino);
  }
}

Result<ArrayFile> FileSystem::inspect_for_view(NodeId node, const Caller& caller) {
  second_lookups_.done(caller.pid);
  auto file = inspect(node);
  if (!file && file.error().code == ESTALE) {
    second_lookups_.expect_reader(caller.pid);
  } else if (const auto inode = inodes_.find(node); inode && ((*inode)->flags & kNameless) != 0) {
    inodes_.lost_name((*inode)->ino);  // it was only kept for this
  }
  return file;
}

Result<std::string> FileSystem::proc_path(NodeId node) {
  return inodes_.fd(node).map([](int fd) { return "/proc/self/fd/" + std::to_string(fd); });
}

}  // namespace arrayfs
