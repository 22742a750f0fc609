// The memory that outlives the server process: one memfd, one owner.
//
// Everything that a successor of this server must know and cannot derive from the store lies here,
// as plain records without pointers. The region is reserved whole at the start and costs memory
// only where it was written. Used by the session's thread alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <shm/error.hpp>
#include <shm/posix.hpp>

namespace arrayfs {

/// Bits of Inode::flags.
enum InodeFlag : std::uint32_t {
  kOpenedBefore = 1,   ///< may be mapped by a program that closed its descriptor
  kHolesWanted = 2,    ///< a program punched holes: they are not filled again
  kNameless = 4,       ///< its last name went: an old version, or removed
  kGone = 8,           ///< only views of the control tree remember it; its memory is freed
  kSpaceRefused = 16,  ///< it was cut back for lack of space, which no writer was told yet
};

/// What the kernel was told of one file, directory or other node of the store.
struct Inode {
  std::uint64_t ino;             ///< st_ino in the store; 0: the slot is free
  std::uint64_t lookups;         ///< references that the kernel holds
  std::uint64_t views;           ///< of those, the ones to views in the control tree
  std::uint64_t generation;      ///< of the slot: counts its uses
  std::int32_t fd;               ///< O_PATH; -1 while only the handle is kept
  std::int32_t backing_id;       ///< registered with the kernel; 0: none
  std::uint32_t opens;           ///< open file descriptions
  std::uint32_t writers;         ///< of those, the writable ones
  std::uint32_t next;            ///< slot of the next in the same bucket, or of the next free one
  std::uint32_t mode;            ///< file type, S_IFMT
  std::uint32_t flags;           ///< InodeFlag
  std::uint64_t promised_bytes;  ///< size up to which every page was seen to be reserved
  std::uint32_t handle_type;
  std::uint32_t handle_bytes;  ///< used of `handle`; 0: the store has no handles
  std::uint8_t handle[24];     ///< name_to_handle_at
};

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

struct State {
  std::uint32_t used_slots;              ///< slots below it were in use at some time
  std::uint32_t free_slot;               ///< head of the free list; 0: empty
  std::uint64_t nodes;                   ///< slots in use
  std::uint64_t open_files;              ///< sum of `opens`
  std::int64_t started_at;               ///< seconds since the epoch
  std::int64_t second_lookups_until_ms;  ///< the last of them expires; 0: there are none
  SecondLookup second_lookups[64];
  std::uint64_t renames;  ///< ever; the last ones are in recent_renames, by number modulo its size
  RecentRename recent_renames[64];
};
static_assert(sizeof(State) % alignof(Inode) == 0);

class StateMemory {
 public:
  /// Reserves room for `max_inodes` records. Errors: those of memfd_create(2) and mmap(2).
  [[nodiscard]] static shm::Result<StateMemory> create(std::uint32_t max_inodes);

  [[nodiscard]] State& state() const { return *reinterpret_cast<State*>(mapping_.data()); }
  /// The records by slot; slot 0 is never used, slot 1 is the root.
  [[nodiscard]] Inode* inodes() const {
    return reinterpret_cast<Inode*>(mapping_.data() + sizeof(State));
  }
  [[nodiscard]] std::uint32_t max_inodes() const { return max_inodes_; }

 private:
  StateMemory() = default;

  shm::posix::Fd fd_;
  shm::posix::Mapping mapping_;
  std::uint32_t max_inodes_ = 0;
};

}  // namespace arrayfs
