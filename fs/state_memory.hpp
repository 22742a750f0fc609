// The memory that outlives the server process: one memfd, one owner.
//
// Everything that a successor of this server must know and cannot derive from the store lies here,
// as plain records without pointers. The region is reserved whole at the start and costs memory
// only where it was written. The supervisor writes `Supervision`, all else is written by the
// session's thread alone. Every change is one store, or is preceded by a record in the journal: a
// server that dies between any two instructions leaves something that Journal::recover() mends.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <shm/error.hpp>
#include <shm/posix.hpp>
#include <string>

namespace arrayfs {

/// Counts the layouts of this file. A server takes over no memory of another layout.
inline constexpr std::uint32_t kStateVersion = 3;

/// Bits of Inode::flags.
enum InodeFlag : std::uint32_t {
  kOpenedBefore = 1,   ///< may be mapped by a program that closed its descriptor
  kHolesWanted = 2,    ///< a program punched holes: they are not filled again
  kNameless = 4,       ///< its last name went: an old version, or removed
  kGone = 8,           ///< only views of the control tree remember it; its memory is freed
  kSpaceRefused = 16,  ///< it was cut back for lack of space, which no writer was told yet
  kSyncPage = 32,      ///< the sync page of an array, known by no name below the root
};

/// What the kernel was told of one file, directory or other node of the store.
struct Inode {
  std::uint64_t ino;             ///< st_ino in the store; 0: the slot is free
  std::uint64_t lookups;         ///< references that the kernel holds
  std::uint64_t views;           ///< of those, the ones to views in the control tree
  std::uint64_t generation;      ///< of the slot: counts its uses
  std::uint64_t users;           ///< open file descriptions; in the upper half, the writable ones
  std::int32_t fd;               ///< O_PATH; -1 while only the handle is kept
  std::int32_t backing_id;       ///< registered with the kernel; 0: none
  std::uint32_t next;            ///< derived: next in the same bucket, or the next free slot
  std::uint32_t mode;            ///< file type, S_IFMT
  std::uint32_t flags;           ///< InodeFlag
  std::uint64_t promised_bytes;  ///< size up to which every page was seen to be reserved
  std::uint32_t handle_type;
  std::uint32_t handle_bytes;  ///< used of `handle`; 0: the store has no handles
  std::uint8_t handle[24];     ///< name_to_handle_at

  [[nodiscard]] std::uint32_t opens() const { return static_cast<std::uint32_t>(users); }
  [[nodiscard]] std::uint32_t writers() const { return static_cast<std::uint32_t>(users >> 32); }
};
/// What one more open file description adds to Inode::users.
[[nodiscard]] constexpr std::uint64_t user_count(bool writable) {
  return writable ? (1ULL << 32) + 1 : 1;
}

/// A file that was renamed a moment ago.
struct RecentRename {
  std::uint64_t ino;   ///< 0: the record is free
  std::uint64_t path;  ///< SecondLookups' hash of where it was before
};

/// A thread that was sent to look a name up again and has not opened what it found yet.
struct SecondLookup {
  std::int32_t thread;        ///< that of the caller, as FUSE tells it; 0 beyond its namespace
  std::uint32_t wanted_mode;  ///< of the file that it wanted to overwrite
  std::uint32_t wanted_uid;
  std::uint32_t wanted_gid;
  std::uint64_t wanted_ino;    ///< 0: it wants to overwrite nothing
  std::uint64_t wanted_path;   ///< hash of where that file is
  std::uint64_t earlier_path;  ///< and of where it was before it was renamed; 0: nowhere else
  std::uint32_t missed;        ///< whether it looked once and found nothing
  std::uint64_t given_ino;     ///< the file that is kept for it; 0: it has not looked yet
  std::int64_t kept_until_ms;  ///< CLOCK_MONOTONIC; others leave given_ino alone until then
  std::int64_t expires_ms;     ///< CLOCK_MONOTONIC; 0: the record is free
};

/// What a descriptor of the table that all servers share is for.
enum class FdUse : std::uint32_t {
  kNone,       ///< closed, or of the present server alone
  kMount,      ///< the device, this memory, the store
  kNode,       ///< Inode::fd of the slot `owner`
  kFile,       ///< an open file of the cached plane
  kDirectory,  ///< an open directory
};
struct FdRecord {
  std::uint32_t use;    ///< FdUse
  std::uint32_t owner;  ///< slot of a node; of others the stamp of the handle
};

/// One change of a 64-bit word of this memory, or a descriptor that was opened.
struct JournalEntry {
  std::uint64_t offset;  ///< of the word, bytes from the start of the memory; 0: a descriptor
  std::uint64_t before;
  std::uint64_t after;  ///< of a descriptor: its handle
};

/// What a request is about to do to the store, so that it can be told whether it did.
struct Intent {
  std::uint64_t source_ino;  ///< of what is to lose its name; 0: nothing is there
  std::uint64_t target_ino;  ///< of what has the name that is to be given; 0: nothing
};

/// Something that happened to a file, which somebody may wait for.
struct Event {
  std::uint64_t number;   ///< counts events from 1; 0: the record is free
  std::int64_t time_ns;   ///< since the epoch
  std::uint64_t ino;      ///< of the file
  std::uint64_t path;     ///< hash of where it is
  std::uint64_t version;  ///< of the array; 0: not told
  std::int32_t pid;       ///< of who did it; 0: not known
  std::uint32_t uid;      ///< of the file's owner
  std::uint32_t kind;     ///< EventKind
  std::uint16_t text_bytes;
  std::uint16_t from_bytes;  ///< of those, the last ones: where it was before
  char text[960];            ///< the path below the mount, cut at its start when it is too long
};
/// Who reads `.arrayfs/events`: one open file description.
struct EventReader {
  std::uint64_t handle;     ///< 0: the record is free
  std::uint64_t delivered;  ///< number of the last event that was handed out
  std::uint64_t current;    ///< index of the valid one of the two places
  struct Place {
    std::uint64_t number;  ///< the last event before `offset`
    std::uint64_t offset;  ///< in the reader's stream, bytes
  } places[2];
};
/// A file that is being made by who writes to `.arrayfs/new/PATH`.
struct Draft {
  std::uint64_t handle;  ///< 0: the record is free
  std::uint32_t parent;  ///< slot of its directory
  std::uint32_t uid;
  std::uint32_t gid;
  std::uint32_t umask;
  std::uint32_t begun;  ///< 1: an array of this name may have been made
  char name[256];
};

/// A request that was at hand when servers ended.
struct Suspect {
  std::uint64_t unique;  ///< 0: the record is free
  std::uint64_t ends;    ///< servers that ended meanwhile
};

/// The supervisor's part, written by it before it starts a server.
struct Supervision {
  pid_t supervisor_pid;
  pid_t server_pid;
  std::uint64_t restarts;   ///< servers that were replaced
  std::uint64_t upgrades;   ///< supervisors that were replaced by a newer program
  std::uint32_t crashes;    ///< one after the other, each soon after its start
  std::uint32_t failed;     ///< 1: the last server crashed or hung; 0: somebody ended it
  std::uint32_t serving;    ///< set by the server once the mount can be used
  char last_reason[96];     ///< why the last server was replaced; empty while none was
  std::uint32_t log_level;  ///< 0: that of `config`; otherwise it was changed, see log.hpp
};

inline constexpr std::uint32_t kMaxFds = 1U << 20;
inline constexpr std::uint32_t kJournalEntries = 8192;
inline constexpr std::uint32_t kSecondLookups = 64;
inline constexpr std::uint32_t kRecentRenames = 64;
inline constexpr std::uint32_t kSuspects = 16;
inline constexpr std::uint32_t kEvents = 1024;
inline constexpr std::uint32_t kEventReaders = 64;
inline constexpr std::uint32_t kPollers = 4096;
inline constexpr std::uint32_t kDrafts = 64;
/// Threads that work on requests beside the session's, at most.
inline constexpr std::uint32_t kHelpers = 16;
/// More than libfuse ever reads at once: 256 pages and a header.
inline constexpr std::size_t kRequestBytes = (1U << 20) + 8192;

struct State {
  std::uint64_t magic;
  std::uint32_t version;  ///< kStateVersion of who made it
  std::uint32_t max_inodes;
  std::int32_t memory_fd;
  std::int32_t device_fd;
  std::int32_t store_fds[3];  ///< Store::descriptors()
  std::uint32_t config_bytes;
  char config[65536];  ///< MountConfig as JSON

  Supervision supervision;

  std::uint32_t init_bytes;     ///< of `init`; 0: the kernel has not spoken yet
  std::uint32_t init_answered;  ///< 1 once the kernel has the answer
  std::uint32_t can_resend;     ///< 1 when the kernel sends again what was not answered
  std::byte init[256];          ///< the INIT request
  std::int64_t started_at;      ///< of the mount, seconds since the epoch
  std::uint64_t busy_since_ms;  ///< CLOCK_MONOTONIC, when the work at hand began; 0: none

  std::uint32_t used_slots;       ///< slots below it were in use at some time
  std::uint32_t free_slot;        ///< derived: head of the free list; 0: empty
  std::uint64_t nodes;            ///< derived: slots in use
  std::uint64_t open_files;       ///< derived: sum of Inode::opens()
  std::uint32_t pending_backing;  ///< slot for which a backing id is being registered; 0: none
  std::int32_t last_backing_id;   ///< the last that the kernel gave

  std::int64_t second_lookups_until_ms;  ///< the last of them expires; 0: there are none
  SecondLookup second_lookups[kSecondLookups];
  std::uint64_t renames;  ///< ever; the last ones are in recent_renames, by number modulo its size
  RecentRename recent_renames[kRecentRenames];

  std::uint64_t at_hand[kHelpers];  ///< requests at which helpers are; 0: none
  std::uint64_t blamed;             ///< suspects ever; the last ones are kept
  Suspect suspects[kSuspects];

  std::uint64_t
      journal_unique;  ///< the request to which the entries and the intent belong; 0: none
  std::uint32_t journal_used;
  std::uint32_t journal_intends;  ///< whether `intent` is set
  Intent intent;
  JournalEntry journal[kJournalEntries];

  std::uint32_t fd_stamp;  ///< of the last handle
  std::uint32_t used_fds;  ///< descriptors below it were in use at some time
  FdRecord fds[kMaxFds];

  std::uint64_t last_event;        ///< number of the newest; the last ones are kept
  std::uint64_t last_live_handle;  ///< of event readers and drafts
  std::uint64_t events_wanted;     ///< 1 once somebody waited for one
  EventReader event_readers[kEventReaders];
  Draft drafts[kDrafts];
  std::uint64_t pollers[kPollers];  ///< the kernel's handles of who polls; 0: the place is free
  Event events[kEvents];

  alignas(4096) std::byte request[kRequestBytes];  ///< what was read last and is not done yet
  std::byte backlog[2 * kRequestBytes];            ///< FORGETs, one after the other
  std::uint64_t backlog_bytes;                     ///< used of `backlog`
  std::uint64_t backlog_done;                      ///< bytes at its start that are done
};

class StateMemory {
 public:
  /// Reserves room for `max_inodes` records. Errors: those of memfd_create(2) and mmap(2).
  [[nodiscard]] static shm::Result<StateMemory> create(std::uint32_t max_inodes);
  /// Maps the memory that another program made. Errors: EPROTO when its layout is another, or as
  /// check().
  [[nodiscard]] static shm::Result<StateMemory> adopt(shm::posix::Fd fd);

  /// Whether what a server left here can be read: every count fits the place that it counts.
  /// Single records are mended by who owns them. Errors: EPROTO.
  [[nodiscard]] shm::Result<void> check() const;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] State& state() const { return *reinterpret_cast<State*>(mapping_.data()); }
  /// The records by slot; slot 0 is never used, slot 1 is the root.
  [[nodiscard]] Inode* inodes() const {
    return reinterpret_cast<Inode*>(mapping_.data() + sizeof(State));
  }
  [[nodiscard]] std::uint32_t max_inodes() const { return state().max_inodes; }

 private:
  StateMemory() = default;

  shm::posix::Fd fd_;
  shm::posix::Mapping mapping_;
};

/// CLOCK_MONOTONIC, which outlives every process.
[[nodiscard]] std::int64_t monotonic_ms();

}  // namespace arrayfs
