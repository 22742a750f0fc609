// What the workers share: the count of every outcome, and the locks by which overwriters of a name
// take turns. One block of memory that forked processes have in common.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace stress {

constexpr int kNames = 8;           // of each kind
constexpr int kLocks = 2 * kNames;  // of whole-N, then of live-N
constexpr int kMaxErrno = 134;

enum Op : int {
  kSave,
  kSaveWrite,
  kSaveClose,
  kPublish,
  kOpenToMap,
  kMap,
  kStore,
  kStoreSync,
  kShrink,
  kGrow,
  kLink,
  kUnlink,
  kRename,
  kExchange,
  kSetXattr,
  kGetXattr,
  kListXattr,
  kRemoveXattr,
  kMakeDir,
  kRemoveDir,
  kList,
  kFreeOpen,
  kFreeWrite,
  kFreeRead,
  kFreeTruncate,
  kFreeAllocate,
  kFreeCopy,
  kTruncatePath,
  kStat,
  kChmod,
  kUtimes,
  kSymlink,
  kReadLink,
  kControl,
  kSeal,
  kSealedOpen,
  kUnseal,
  kTtl,
  kOwner,
  kTooLarge,
  kTooSparse,
  kLock,
  kStatFs,
  kOps
};

const char* name_of(Op op);

struct Shared {
  std::array<std::array<std::atomic<std::uint64_t>, kMaxErrno>, kOps> counts;
  std::atomic<std::uint64_t> failures;
  std::atomic<std::uint64_t> verified_words;
  std::atomic<std::uint64_t> kept_versions;  // mappings verified after their name was replaced
  std::array<pthread_mutex_t, kLocks> name_locks;
};

/// Null when there is no memory; errno tells.
Shared* make_shared();

/// A line for each operation, then the sums.
void print_counts(const Shared& shared);

/// The turn of one overwriter of a name; others do something else meanwhile.
class Turn {
 public:
  Turn(Shared& shared, int lock);
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn();
  [[nodiscard]] bool taken() const { return taken_; }

 private:
  pthread_mutex_t& mutex_;
  bool taken_;
};

}  // namespace stress
