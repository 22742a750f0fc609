// The sync page of an array: libshm/FORMAT.md as C++.
//
// Lives in a file that processes map shared; every word is untrusted and accessed atomically.
// A page is valid for one boot and one PID namespace, which its header names.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace shm {

using Word = std::atomic<std::uint64_t>;
using Counter = std::atomic<std::uint32_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == 8);
static_assert(Counter::is_always_lock_free && sizeof(Counter) == 4);

inline constexpr std::size_t kSyncPageBytes = 4096;
inline constexpr std::size_t kMaxPermits = 128;
inline constexpr std::size_t kMaxReaders = 256;
inline constexpr std::uint32_t kSyncVersion = 1;

/// What the sync page and the control file of a ring begin with.
struct ControlHeader {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t size_bytes;     ///< of the page or the whole control file
  std::array<char, 32> boot;    ///< boot_id in hexadecimal digits
  std::uint64_t pid_namespace;  ///< inode number of the namespace that the pids are of
  std::uint64_t reserved;
};
static_assert(sizeof(ControlHeader) == 64);

/// A count of events to sleep on, and whether somebody does.
struct Signal {
  Counter count;
  Counter wanted;
};

struct SyncPage {
  ControlHeader header;
  alignas(64) Word generation;
  alignas(64) Word mutex;
  alignas(64) Word writer;
  Signal readers_gone;
  alignas(64) Counter permits;  ///< at most kMaxPermits
  Counter reserved;
  Signal permits_released;
  alignas(1024) std::array<Word, kMaxPermits> holders;
  std::array<Word, kMaxReaders> readers;
};
static_assert(offsetof(SyncPage, generation) == 64);
static_assert(offsetof(SyncPage, mutex) == 128);
static_assert(offsetof(SyncPage, writer) == 192);
static_assert(offsetof(SyncPage, readers_gone) == 200);
static_assert(offsetof(SyncPage, permits) == 256);
static_assert(offsetof(SyncPage, permits_released) == 264);
static_assert(offsetof(SyncPage, holders) == 1024);
static_assert(offsetof(SyncPage, readers) == 2048);
static_assert(sizeof(SyncPage) == kSyncPageBytes);

}  // namespace shm
