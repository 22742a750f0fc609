// What processes coordinate with around one array: mutex, reader-writer lock, permits (a counting
// semaphore), generation (an event), and locks of rows.
//
// All but the locks of rows live in the array's sync page, 4 KiB beside the array (FORMAT.md). A
// process that is killed while it holds any of these blocks nobody: the next owner gets it within
// milliseconds and is told. The owner is the process, so any of its threads may unlock; a thread
// that ends without unlocking leaves its process the owner. Sync is safe to share between threads
// and may be used on both sides of a fork(); what was locked before belongs to the parent.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <shm/posix.hpp>
#include <string>
#include <utility>

namespace shm {

struct SyncPage;

/// How long a call may wait; none: for ever; zero: not at all.
using Timeout = std::optional<std::chrono::nanoseconds>;

/// Where the sync page of the array `path` is: the hidden file `.NAME.sync` beside the file that
/// the path leads to, if there is one; `.arrayfs/sync/PATH` on an arrayfs mount that has it, which
/// makes the page; otherwise `.NAME.sync`, which Sync::open() makes. Errors: those of realpath(3),
/// ENOSPC and others of a mount that could not make the page.
[[nodiscard]] Result<std::string> sync_path(const std::string& path);

class Sync {
 public:
  /// Something that is held: released by the destructor. Requires: the Sync lives longer.
  class Held {
   public:
    Held(Held&& other) noexcept;
    Held& operator=(Held&&) = delete;
    ~Held();

    /// The last owner died while holding it: what it protects may be half changed. For a reader:
    /// a writer died and no writer has come since.
    [[nodiscard]] bool owner_died() const { return owner_died_; }
    /// Releases it. `damaged` tells the next owner what owner_died() told: this one could not
    /// repair things. Errors: EPERM when this process does not hold it.
    [[nodiscard]] Result<void> release(bool damaged = false);

   private:
    friend class Sync;
    enum class Kind { kNothing, kMutex, kExclusive, kShared, kPermit };
    Held(Sync& sync, Kind kind, bool owner_died, std::size_t slot)
        : sync_(&sync), kind_(kind), owner_died_(owner_died), slot_(slot) {}

    Sync* sync_;
    Kind kind_;
    bool owner_died_;
    std::size_t slot_;
  };

  /// Maps the sync page of an array, made when there is none with the array's owner bits as mode.
  /// Errors: ENOENT (no such array), EACCES, EINVAL (another kind of file, another version), EXDEV
  /// (the page is used in another PID namespace, whose owners this process could not recognise).
  [[nodiscard]] static Result<Sync> open(const std::string& array_path);
  Sync(Sync&&) = default;
  Sync& operator=(Sync&&) = default;

  /// The mutex. Not recursive. Errors: ETIMEDOUT, EBUSY instead of it when the timeout is zero.
  [[nodiscard]] Result<Held> lock(Timeout timeout = {});
  /// The reader-writer lock; writers that wait keep new readers out. At most 256 readers.
  /// Errors: as lock().
  [[nodiscard]] Result<Held> lock_exclusive(Timeout timeout = {});
  [[nodiscard]] Result<Held> lock_shared(Timeout timeout = {});

  /// One of the permits; there is one until set_permits() says otherwise. Errors: as lock().
  [[nodiscard]] Result<Held> acquire_permit(Timeout timeout = {});
  /// Errors: EINVAL beyond 128. Permits that are held and no longer exist end with their holders.
  [[nodiscard]] Result<void> set_permits(std::uint32_t count);
  [[nodiscard]] std::uint32_t permits() const;

  /// How often notify() was called; never decreases.
  [[nodiscard]] std::uint64_t generation() const;
  /// Begins the next generation and wakes who waits for it; returns it.
  std::uint64_t notify();
  /// Waits until the generation is beyond `seen` and returns it. Errors: as lock().
  [[nodiscard]] Result<std::uint64_t> wait_beyond(std::uint64_t seen, Timeout timeout = {});

 private:
  explicit Sync(posix::Mapping mapping) : mapping_(std::move(mapping)) {}
  [[nodiscard]] SyncPage& page() const;
  Result<void> release(Held::Kind kind, std::size_t slot, bool damaged);

  posix::Mapping mapping_;
};

/// A lock of rows [begin, end) of an array file: fcntl(2) OFD, so that it excludes every other
/// program that locks bytes of the file, and the kernel releases it when the holder dies (and the
/// children that it forked meanwhile have ended or called exec). Released by the destructor.
class RowLock {
 public:
  /// All rows, and those that are appended later.
  [[nodiscard]] static Result<RowLock> lock_all(const std::string& path, posix::LockKind kind,
                                                Timeout timeout = {});
  /// Requires: begin < end. Errors: EINVAL (no such rows, 0-d, Fortran order), EACCES and EROFS
  /// (an exclusive lock needs a file that can be opened for writing), and as Sync::lock().
  [[nodiscard]] static Result<RowLock> lock(const std::string& path, posix::LockKind kind,
                                            std::uint64_t begin, std::uint64_t end,
                                            Timeout timeout = {});

  void unlock() { fd_.reset(); }

 private:
  explicit RowLock(posix::Fd fd) : fd_(std::move(fd)) {}

  posix::Fd fd_;
};

}  // namespace shm
