// What the mount does, without FUSE: names, attributes, data and space of the files of a store.
//
// Every operation takes node ids and gives a Result with a positive errno; nothing here knows of
// requests or replies. Used by the session's thread alone, except where a job is handed out that
// owns its descriptors. Behaviour and errnos: SEMANTICS.md.
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <shm/error.hpp>
#include <shm/posix.hpp>
#include <span>
#include <string>
#include <string_view>

#include "array_file.hpp"
#include "event_log.hpp"
#include "file_users.hpp"
#include "inode_table.hpp"
#include "quota.hpp"
#include "recent_writes.hpp"
#include "reservation.hpp"
#include "second_lookups.hpp"
#include "store.hpp"
#include "sync_pages.hpp"

namespace arrayfs {

/// Who asks.
struct Caller {
  uid_t uid;
  gid_t gid;
  pid_t pid;
  mode_t umask;
};

struct Entry {
  NodeId node;
  std::uint64_t generation;
  struct stat attr;
};

/// An open file. In passthrough the kernel serves the backing id and `handle` is 0; otherwise
/// `handle` is what read() and write() take.
struct OpenFile {
  std::uint64_t handle = 0;
  std::int32_t backing_id = 0;
};

struct DirEntry {
  std::string_view name;  ///< valid during the call
  std::uint64_t ino;
  std::uint64_t next_offset;  ///< where to go on after this entry
  unsigned char type;         ///< DT_*
};

/// Which attributes setattr() changes; what is not set stays.
struct AttrChange {
  std::optional<mode_t> mode;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<std::uint64_t> size;
  std::optional<timespec> atime;  ///< tv_nsec may be UTIME_NOW
  std::optional<timespec> mtime;
  bool drop_privileges = false;  ///< clear suid, sgid and file capabilities
};

/// Registers backing files with the kernel; without it every file is cached.
struct Backing {
  std::function<shm::Result<std::int32_t>(int fd)> acquire;
  std::function<void(std::int32_t)> release;
};

/// How files are served.
struct ServeOptions {
  std::optional<Backing> backing;
  bool links = false;                ///< arrays are shown as symlinks to their files in the store
  std::uint64_t capacity_bytes = 0;  ///< of a store without a size of its own; 0: it has one
  bool reserve_space = true;         ///< false: holes stay holes, as on tmpfs (`--sparse`)
  std::string device;                ///< of the mount, as /proc/PID/maps shows it
  /// Told when attributes that the kernel may keep changed by themselves.
  std::function<void(NodeId node)> attributes_changed = [](NodeId) {};
  /// Told when a lifetime was set or changed.
  std::function<void(shm::posix::Fd path_fd)> lifetime_set = [](const shm::posix::Fd&) {};
  /// Told of each event that was recorded.
  std::function<void(const Event&)> happened = [](const Event&) {};
};

class FileSystem {
 public:
  [[nodiscard]] static shm::Result<FileSystem> create(const Store& store, StateMemory& memory,
                                                      ServeOptions options);

  // Names.
  [[nodiscard]] shm::Result<Entry> lookup(NodeId parent, const char* name);
  /// To be called before the lookup that a program asks for: when open() sent it to look again, the
  /// name gets its new version now. True: it did, the kernel's own memory of the name is wrong.
  [[nodiscard]] shm::Result<bool> prepare_second_lookup(NodeId parent, const char* name,
                                                        const Caller& caller);
  /// The entry as the link plane shows it: an array becomes a symlink to its file in the store.
  [[nodiscard]] Entry shown_entry(const Entry& entry);
  void forget(NodeId node, std::uint64_t count) { inodes_.forget(node, count); }
  void looked_up_for_view(NodeId node, const Caller& caller);
  void forget_view(NodeId node, std::uint64_t count) { inodes_.forget_view(node, count); }
  /// The last name of a file was removed past this object.
  void lost_name(std::uint64_t ino) { inodes_.lost_name(ino); }
  [[nodiscard]] shm::Result<Entry> make_node(NodeId parent, const char* name, mode_t mode,
                                             dev_t device, const Caller& caller);
  [[nodiscard]] shm::Result<Entry> make_directory(NodeId parent, const char* name, mode_t mode,
                                                  const Caller& caller);
  [[nodiscard]] shm::Result<Entry> make_symlink(NodeId parent, const char* name, const char* target,
                                                const Caller& caller);
  [[nodiscard]] shm::Result<Entry> link(NodeId node, NodeId new_parent, const char* new_name);
  [[nodiscard]] shm::Result<void> unlink(NodeId parent, const char* name);
  [[nodiscard]] shm::Result<void> remove_directory(NodeId parent, const char* name);
  /// `flags`: RENAME_NOREPLACE or RENAME_EXCHANGE.
  [[nodiscard]] shm::Result<void> rename(NodeId parent, const char* name, NodeId new_parent,
                                         const char* new_name, unsigned flags);
  [[nodiscard]] shm::Result<std::string> read_link(NodeId node);

  /// The sync page of a file, made when there is none. Errors: EOPNOTSUPP where the page would not
  /// be shared by all (a link leads past the mount, no xattrs), ENOSPC.
  [[nodiscard]] shm::Result<Entry> sync_page(NodeId node);
  [[nodiscard]] bool is_sync_page(NodeId node);

  // Events.
  [[nodiscard]] EventLog& events() { return events_; }
  /// Where the file is, or was when it lost its last name; empty for the root.
  [[nodiscard]] std::string path_below_mount(NodeId node);
  [[nodiscard]] std::string path_below_mount(NodeId parent, const char* name);
  /// Records what happened to a file, if anybody waits for events; `pid` 0: not known by whom.
  void note(EventKind kind, NodeId node, pid_t pid = 0);
  /// The same for a file that was removed past this object.
  void note_expired(std::uint64_t ino, std::uint64_t parent_ino, const std::string& name);

  /// An array was made past this object.
  void note_made(NodeId parent, const char* name, pid_t pid);

  // Directories.
  /// A descriptor of a directory for a job, to reach names in it.
  [[nodiscard]] shm::Result<shm::posix::Fd> directory_fd(NodeId node);
  [[nodiscard]] shm::Result<std::uint64_t> open_directory(NodeId node);
  void release_directory(std::uint64_t handle);
  /// Calls `emit` for each entry from `offset` on (0: the first) until it returns false.
  [[nodiscard]] shm::Result<void> read_directory(std::uint64_t handle, std::uint64_t offset,
                                                 const std::function<bool(const DirEntry&)>& emit);

  /// The attributes of a file of the store as the mount shows them.
  [[nodiscard]] static struct stat shown(struct stat st);

  // Attributes. `handle` is that of an open file, when the caller has one.
  [[nodiscard]] shm::Result<struct stat> get_attributes(NodeId node);
  [[nodiscard]] shm::Result<struct stat> set_attributes(NodeId node, const AttrChange& change,
                                                        std::optional<std::uint64_t> handle);
  [[nodiscard]] shm::Result<std::string> get_xattr(NodeId node, const std::string& name);
  /// Names, each ended by NUL; `trusted.` ones for root alone.
  [[nodiscard]] shm::Result<std::string> list_xattrs(NodeId node, const Caller& caller);
  [[nodiscard]] shm::Result<void> set_xattr(NodeId node, const std::string& name,
                                            std::string_view value, int flags);
  [[nodiscard]] shm::Result<void> remove_xattr(NodeId node, const std::string& name);
  /// What must be allocated before the attributes `st` may be shown to a program that could map
  /// the file next, or before a writer may close it.
  [[nodiscard]] std::optional<Reservation> missing_space(NodeId node, const struct stat& st);
  /// missing_space() was not to be had and the file was cut back: who closes it is told.
  void refused_space(NodeId node);
  /// Whether so, since the last time this was asked.
  [[nodiscard]] bool take_refusal(NodeId node);
  /// The allocation that a growth to `size` needs; it also sets the size.
  [[nodiscard]] shm::Result<std::optional<Reservation>> growth(NodeId node, std::uint64_t size);
  /// From now on holes of the file are meant.
  void want_holes(NodeId node);
  [[nodiscard]] shm::Result<struct statvfs> statistics();
  /// Whether a store with a quota may grow by so much; others decide for themselves.
  [[nodiscard]] bool admit(std::uint64_t growth_bytes);

  // Files. `flags` are those of open(2).
  /// Whether the file is kept for another caller, who is on its way to open it: wait.
  [[nodiscard]] bool kept_for_another(NodeId node, const Caller& caller);
  [[nodiscard]] shm::Result<OpenFile> open(NodeId node, int flags, const Caller& caller);
  [[nodiscard]] shm::Result<std::pair<Entry, OpenFile>> create_file(NodeId parent, const char* name,
                                                                    mode_t mode, int flags,
                                                                    const Caller& caller);
  void release(NodeId node, std::uint64_t handle, int flags);
  /// Writes to an open file of the cached plane; returns the bytes written.
  [[nodiscard]] shm::Result<std::size_t> write(std::uint64_t handle, std::span<const char> bytes,
                                               std::uint64_t offset);
  /// Who writes to files of the cached plane.
  [[nodiscard]] RecentWrites& recent_writes() { return recent_writes_; }
  /// The descriptor of an open file of the cached plane; borrowed until release(), -1 after it.
  [[nodiscard]] int data_fd(std::uint64_t handle) const { return kept_->get(handle); }
  /// A descriptor of its own of an open file, for work that goes on beside the session's thread.
  /// `access` is O_RDONLY or O_RDWR: FUSE does not say how the caller opened the file.
  [[nodiscard]] shm::Result<shm::posix::Fd> job_fd(NodeId node, std::uint64_t handle, int access);

  /// The file as an array: a fresh look at its header and xattrs.
  [[nodiscard]] shm::Result<ArrayFile> inspect(NodeId node);
  /// The same for a view. A file that is gone by now makes the kernel look its name up again, and
  /// what the caller finds then stays until it is opened.
  [[nodiscard]] shm::Result<ArrayFile> inspect_for_view(NodeId node, const Caller& caller);

  /// The control file of an array that is a ring (libshm/FORMAT.md), for who may read the array;
  /// invalid when there is none, or only the kernel's cache knows its content.
  [[nodiscard]] shm::posix::Fd ring_control(NodeId node);

  /// The record of what the request at hand changes, and the descriptors that outlive the server.
  [[nodiscard]] Journal& journal() { return *journal_; }
  [[nodiscard]] KeptFds& kept_fds() { return *kept_; }
  /// Puts in order what a server left that died; `comes_again` as for Journal::resolve().
  void settle(bool comes_again);

  [[nodiscard]] bool links() const { return options_.links; }
  [[nodiscard]] bool passthrough() const { return options_.backing.has_value(); }
  /// The node of a file of the store, when the kernel knows it.
  [[nodiscard]] std::optional<NodeId> find_by_ino(std::uint64_t ino) const {
    return inodes_.find_by_ino(ino);
  }
  /// Files without a name that somebody still uses, and the bytes that they hold.
  struct Nameless {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
  };
  [[nodiscard]] Nameless nameless();
  /// Visits the directories that the kernel knows.
  void each_directory(const std::function<void(NodeId)>& visit) const {
    inodes_.each_directory(visit);
  }
  [[nodiscard]] const Store& store() const { return store_; }
  /// Whether a program may have the file open or mapped. `fd` is open for reading; while this
  /// process has another such descriptor of the file, the answer is yes.
  [[nodiscard]] bool is_used(Inode& inode, int fd) const;
  /// Asked for who uses the files of this mount.
  [[nodiscard]] std::shared_ptr<FileUsers> users() const { return users_; }
  [[nodiscard]] const State& state() const { return inodes_.state(); }
  [[nodiscard]] shm::Result<Inode*> find(NodeId node) { return inodes_.find(node); }

 private:
  FileSystem(const Store& store, StateMemory& memory, std::unique_ptr<Journal> journal,
             std::unique_ptr<KeptFds> kept, InodeTable inodes, ServeOptions options)
      : store_(store),
        state_(memory.state()),
        journal_(std::move(journal)),
        kept_(std::move(kept)),
        inodes_(std::move(inodes)),
        second_lookups_(memory.state()),
        events_(memory.state()),
        options_(std::move(options)),
        users_(std::make_shared<FileUsers>(options_.device)) {}

  [[nodiscard]] shm::Result<shm::posix::Fd> reopen(NodeId node, int flags);
  /// The file `name` in a directory of the store, O_PATH, and nothing outside of it.
  [[nodiscard]] static shm::Result<shm::posix::Fd> open_name(int parent_fd, const char* name);
  /// Whether the caller's rights on a file follow from its owner and mode alone; `wanted` is
  /// S_IRUSR, S_IWUSR or both.
  [[nodiscard]] static bool surely_may(const Caller& caller, const struct stat& st, mode_t wanted) {
    return caller.uid == 0 || (caller.uid == st.st_uid && (st.st_mode & wanted) == wanted);
  }
  [[nodiscard]] static std::uint64_t ino_of(int parent_fd, const char* name);
  void drop_sync_page(const std::string& name);
  /// The sync page of a file that is about to lose its last name; empty when it has none.
  [[nodiscard]] std::string last_sync_page(int parent_fd, const char* name,
                                           const shm::Result<struct stat>& st) const;
  /// Gives it to the file that is to take over the name, if that has none and the same owner.
  [[nodiscard]] bool pass_sync_page(const std::string& page,
                                    const std::pair<int, const char*>& heir,
                                    const shm::Result<struct stat>& heir_st,
                                    const shm::Result<struct stat>& replaced);
  [[nodiscard]] static std::string path_at(int parent_fd, const char* name);
  [[nodiscard]] bool made_before() const;
  [[nodiscard]] bool removed_before() const;
  template <typename Call>
  [[nodiscard]] shm::Result<Entry> make(int parent_fd, const char* name, const Caller& caller,
                                        Call&& call);
  [[nodiscard]] shm::Result<Entry> enter(int parent_fd, const char* name);
  [[nodiscard]] shm::Result<std::pair<Entry, OpenFile>> open_created(int parent_fd,
                                                                     const char* name, int flags,
                                                                     const Caller& caller);
  [[nodiscard]] shm::Result<Entry> link_face(const Entry& entry);
  [[nodiscard]] shm::Result<std::string> store_path_of(NodeId node);
  void tell(EventKind kind, const EventSubject& subject);
  void note_name(EventKind kind, NodeId parent, const char* name,
                 const shm::Result<struct stat>& st);
  void remember_rename(const shm::Result<struct stat>& st, NodeId parent, const char* name);
  [[nodiscard]] shm::Result<std::string> proc_path(NodeId node);
  [[nodiscard]] shm::Result<std::int32_t> backing_id(NodeId node);
  [[nodiscard]] shm::Result<std::uint64_t> keep(shm::posix::Fd fd, FdUse use);
  [[nodiscard]] shm::Result<void> resize(NodeId node, std::uint64_t size,
                                         std::optional<std::uint64_t> handle);
  [[nodiscard]] shm::Result<struct stat> drop_privileges(NodeId node);
  [[nodiscard]] shm::Result<void> prepare_writing(NodeId node, int flags, const Caller& caller);
  [[nodiscard]] shm::Result<void> check_writable(NodeId node);
  [[nodiscard]] bool is_wanted(const SecondLookup& expected, NodeId parent, const char* name,
                               const shm::Result<shm::posix::Fd>& path_fd, const Caller& caller);
  [[nodiscard]] shm::Result<void> make_room_for_overwrite(NodeId node, const Caller& caller);
  [[nodiscard]] shm::Result<std::uint64_t> replace(int parent_fd, const char* name, int path_fd);
  [[nodiscard]] shm::Result<std::string> name_in_store(NodeId node, const struct stat& st);
  [[nodiscard]] shm::Result<void> check_shrink(NodeId node, std::uint64_t size, bool by_handle);
  [[nodiscard]] std::uint64_t measure();
  [[nodiscard]] bool is_used_array(NodeId node);
  void let_go_of_kept();
  [[nodiscard]] bool is_mapped(const Inode& inode) const;
  [[nodiscard]] bool is_open(std::uint64_t ino);
  [[nodiscard]] shm::Result<void> set_own_xattr(NodeId node, const ArrayFile& file,
                                                std::string_view name, std::string_view value);
  [[nodiscard]] shm::Result<void> remove_stored_xattr(NodeId node, const std::string& name);
  [[nodiscard]] shm::Result<void> set_sealed(NodeId node, const ArrayFile& file, bool sealed);

  const Store& store_;
  State& state_;
  std::unique_ptr<Journal> journal_;  // where InodeTable finds it after a move, too
  std::unique_ptr<KeptFds> kept_;
  InodeTable inodes_;
  SecondLookups second_lookups_;
  EventLog events_;
  RecentWrites recent_writes_;
  ServeOptions options_;
  std::shared_ptr<FileUsers> users_;
  std::optional<Quota> quota_;
};

}  // namespace arrayfs
