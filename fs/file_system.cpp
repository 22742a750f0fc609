#include "file_system.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "fault_point.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;
using shm::posix::fail_errno;
using shm::posix::Fd;

// New files belong to who asked for them: while it lives, this thread makes files with the
// caller's ids and umask, so that they never exist with others. Capabilities are kept
// (SECBIT_NO_SETUID_FIXUP): the kernel has checked the caller's permissions already, with groups
// and ACLs that this thread does not have.
class ActAs {
 public:
  explicit ActAs(const Caller& caller)
      : switched_(geteuid() == 0 && (caller.uid != 0 || caller.gid != 0)) {
    umask(caller.umask);
    if (switched_) {
      setfsgid(caller.gid);
      setfsuid(caller.uid);
    }
  }
  ActAs(const ActAs&) = delete;
  ActAs& operator=(const ActAs&) = delete;
  ~ActAs() {
    if (switched_) {
      setfsuid(0);
      setfsgid(0);
    }
    umask(0);
  }

 private:
  bool switched_;
};

bool is_writable(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY;
}

// Whether somebody may have the file open or mapped.
bool maybe_held(const Inode& inode) {
  return inode.opens() != 0 || (inode.flags & kOpenedBefore) != 0;
}

}  // namespace

Result<FileSystem> FileSystem::create(const Store& store, StateMemory& memory,
                                      ServeOptions options) {
  umask(0);
  if (geteuid() == 0 && prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) != 0) {
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
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
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

Result<Entry> FileSystem::lookup(NodeId parent, const char* name) {
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
  return make(*fd, name, caller, [&] { return mknodat(*fd, name, mode, device); });
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
  journal_->intend({gone ? gone->st_ino : 0, 0});
  fault_point("unlink: before");
  if (unlinkat(*fd, name, 0) != 0 && !(errno == ENOENT && removed_before())) {
    return fail(errno);
  }
  fault_point("unlink: removed");
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
  journal_->intend(now);
  fault_point("rename: before");
  const auto& earlier = journal_->earlier();
  const bool renamed_before = earlier && earlier->source_ino != 0 &&
                              now.target_ino == earlier->source_ino &&
                              now.source_ino != earlier->source_ino;
  if (!renamed_before && renameat2(*from, name, *to, new_name, flags) != 0) {
    return fail(errno);
  }
  fault_point("rename: renamed");
  if (renamed_before) {
    return {};  // settle() has seen to what it replaced
  }
  const bool exchanged = (flags & RENAME_EXCHANGE) != 0;
  if (target && target->st_nlink == 1 && !exchanged) {
    inodes_.lost_name(target->st_ino);
  }
  remember_rename(source, parent, name);
  if (exchanged) {
    remember_rename(target, new_parent, new_name);
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

Result<Fd> FileSystem::reopen(NodeId node, int flags) {
  // The kernel opens all others itself; opening a FIFO here would wait for its other end.
  const auto inode = inodes_.find(node);
  if (inode && (flags & O_PATH) == 0 && !S_ISREG((*inode)->mode) && !S_ISDIR((*inode)->mode)) {
    return fail(ENXIO);
  }
  return proc_path(node).and_then([&](const std::string& path) {
    return shm::posix::open_at(AT_FDCWD, path, flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW));
  });
}

Result<Fd> FileSystem::job_fd(NodeId node, std::uint64_t handle, int access) {
  if (options_.backing) {
    return reopen(node, access);
  }
  Fd copy(fcntl(data_fd(handle), F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) {
    return fail(errno);
  }
  return copy;
}

Result<std::int32_t> FileSystem::backing_id(NodeId node) {
  const auto fd = inodes_.fd(node);
  const auto inode = inodes_.find(node);
  if (!fd || !inode) {
    return fail(ESTALE);
  }
  if ((*inode)->backing_id == 0) {
    // Kept until FORGET: an inode that is open cannot change its backing id.
    state_.pending_backing = static_cast<std::uint32_t>(node & kSlotMask);
    auto id = options_.backing->acquire(*fd);
    fault_point("backing: registered");
    if (!id) {
      return id;
    }
    inodes_.set_backing(**inode, *id);
    state_.last_backing_id = *id;
    state_.pending_backing = 0;
  }
  return (*inode)->backing_id;
}

Result<void> FileSystem::prepare_writing(NodeId node, int flags, const Caller& caller) {
  auto ready = check_writable(node);
  if (ready && (flags & O_TRUNC) != 0) {
    ready = make_room_for_overwrite(node, caller);
  }
  if (ready && caller.uid != 0) {
    // The kernel leaves it to us to drop suid and sgid, and writes go past us: so it is done now.
    if (auto dropped = drop_privileges(node); !dropped) {
      return tl::unexpected(dropped.error());
    }
  }
  return ready;
}

Result<OpenFile> FileSystem::open(NodeId node, int flags, const Caller& caller) {
  if ((flags & O_TRUNC) == 0) {
    second_lookups_.done(caller.pid);  // an earlier open of the thread ended without one
  }
  if (is_writable(flags) || (flags & O_TRUNC) != 0) {
    if (auto ready = prepare_writing(node, flags, caller); !ready) {
      return tl::unexpected(ready.error());
    }
  }
  OpenFile file;
  if (options_.backing) {
    const auto id = backing_id(node);
    if (!id) {
      return tl::unexpected(id.error());
    }
    if ((flags & O_TRUNC) != 0) {
      if (auto emptied = reopen(node, O_WRONLY | O_TRUNC); !emptied) {
        return tl::unexpected(emptied.error());
      }
    }
    file.backing_id = *id;
  } else {
    // Where to append, the kernel knows: it may be told to stop appending.
    auto fd = reopen(node, flags & ~(O_DIRECT | O_APPEND));
    if (!fd) {
      return tl::unexpected(fd.error());
    }
    const auto handle = keep(std::move(*fd), FdUse::kFile);
    if (!handle) {
      return tl::unexpected(handle.error());
    }
    file.handle = *handle;
  }
  fault_point("open: before counting");
  inodes_.opened(node, is_writable(flags));
  fault_point("open: counted");
  return file;
}

Result<std::pair<Entry, OpenFile>> FileSystem::create_file(NodeId parent, const char* name,
                                                           mode_t mode, int flags,
                                                           const Caller& caller) {
  second_lookups_.done(caller.pid);
  const auto parent_fd = inodes_.fd(parent);
  if (!parent_fd) {
    return tl::unexpected(parent_fd.error());
  }
  journal_->intend({0, ino_of(*parent_fd, name)});
  fault_point("create: before");
  Fd fd;
  {
    const ActAs as(caller);
    const int own_flags = flags & ~(O_DIRECT | O_TRUNC | O_APPEND | O_CREAT | O_EXCL);
    auto made = shm::posix::open_at(*parent_fd, name, own_flags | O_CREAT | O_EXCL, mode);
    if (!made && made.error().code == EEXIST && made_before()) {
      made = shm::posix::open_at(*parent_fd, name, own_flags | O_NOFOLLOW);
    }
    if (!made) {
      // The caller's kernel believed the name to be free.
      const int code = made.error().code;
      return code == EEXIST && (flags & O_EXCL) == 0 ? open_created(*parent_fd, name, flags, caller)
                                                     : fail(code);
    }
    fd = std::move(*made);
  }
  fault_point("create: made");
  auto entry = enter(*parent_fd, name);
  if (!entry) {
    return tl::unexpected(entry.error());
  }
  OpenFile file;
  if (options_.backing) {
    const auto id = backing_id(entry->node);
    if (!id) {
      inodes_.forget(entry->node, 1);
      return tl::unexpected(id.error());
    }
    file.backing_id = *id;
  } else {
    const auto handle = keep(std::move(fd), FdUse::kFile);
    if (!handle) {
      inodes_.forget(entry->node, 1);
      return tl::unexpected(handle.error());
    }
    file.handle = *handle;
  }
  inodes_.opened(entry->node, is_writable(flags));
  fault_point("create: counted");
  return std::pair(*entry, file);
}

// Somebody else made the name a moment ago. The kernel would look again when told ESTALE, but only
// once; and it has not checked whether the caller may open what is there.
Result<std::pair<Entry, OpenFile>> FileSystem::open_created(int parent_fd, const char* name,
                                                            int flags, const Caller& caller) {
  auto entry = enter(parent_fd, name);
  if (!entry) {
    return fail(entry.error().code == ENOENT ? ESTALE : entry.error().code);
  }
  const mode_t wanted = ((flags & O_ACCMODE) != O_WRONLY ? S_IRUSR : 0) |
                        (is_writable(flags) || (flags & O_TRUNC) != 0 ? S_IWUSR : 0);
  if (!surely_may(caller, entry->attr, wanted) || !S_ISREG(entry->attr.st_mode) ||
      kept_for_another(entry->node, caller)) {
    inodes_.forget(entry->node, 1);
    return fail(ESTALE);
  }
  const bool in_use = maybe_held(**inodes_.find(entry->node)) && is_array(entry->node);
  if ((flags & O_TRUNC) != 0 && in_use) {
    const auto path_fd = open_name(parent_fd, name);
    const auto replaced =
        path_fd.and_then([&](const Fd& fd) { return replace(parent_fd, name, fd.get()); });
    inodes_.forget(entry->node, 1);
    entry = replaced.and_then([&](std::uint64_t) { return enter(parent_fd, name); });
    if (!entry) {
      return tl::unexpected(entry.error());
    }
  }
  auto file = open(entry->node, flags & ~(O_CREAT | O_EXCL), caller);
  if (!file) {
    inodes_.forget(entry->node, 1);
    return tl::unexpected(file.error());
  }
  return std::pair(*entry, *file);
}

Result<std::size_t> FileSystem::write(std::uint64_t handle, std::span<const char> bytes,
                                      std::uint64_t offset) {
  const int fd = data_fd(handle);
  if (options_.capacity_bytes != 0) {
    const auto st = shm::posix::stat_fd(fd);
    const std::uint64_t end = offset + bytes.size();
    const std::uint64_t size = st ? static_cast<std::uint64_t>(st->st_size) : 0;
    const std::uint64_t into_hole = st && is_allocated(*st) ? 0 : bytes.size();
    if (!admit(end > size ? std::min<std::uint64_t>(end - size, bytes.size()) : into_hole)) {
      return fail(ENOSPC);
    }
  }
  const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  if (written < 0) {
    return fail(errno);
  }
  return static_cast<std::size_t>(written);
}

void FileSystem::release(NodeId node, std::uint64_t handle, int flags) {
  fault_point("release: before");
  if (!options_.backing) {
    kept_->drop(handle);
  }
  inodes_.released(node, is_writable(flags));
  fault_point("release: counted");
}

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
