#include "outcomes.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <iterator>
#include <new>

namespace stress {
namespace {

constexpr const char* kOpNames[] = {
    "save",          "save write",    "save close", "publish",       "open to map", "map",
    "store",         "store sync",    "shrink",     "grow",          "link",        "unlink",
    "rename",        "exchange",      "set xattr",  "get xattr",     "list xattrs", "remove xattr",
    "mkdir",         "rmdir",         "list",       "free open",     "free write",  "free read",
    "free truncate", "free allocate", "free copy",  "truncate path", "stat",        "chmod",
    "utimes",        "symlink",       "readlink",   "control",       "seal",        "sealed open",
    "unseal",        "ttl",           "owner",      "too large",     "too sparse",  "lock",
    "statfs"};
static_assert(std::size(kOpNames) == kOps);

}  // namespace

const char* name_of(Op op) {
  return kOpNames[op];
}

Shared* make_shared() {
  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return nullptr;
  }
  auto* shared = new (memory) Shared{};
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  for (pthread_mutex_t& lock : shared->name_locks) {
    pthread_mutex_init(&lock, &attributes);
  }
  return shared;
}

void print_counts(const Shared& shared) {
  std::uint64_t sum = 0;
  for (size_t op = 0; op < kOps; ++op) {
    printf("%-14s", kOpNames[op]);
    for (int code = 0; code < kMaxErrno; ++code) {
      const std::uint64_t count = shared.counts[op][static_cast<size_t>(code)];
      sum += count;
      if (count != 0) {
        printf(" %s %llu", code == 0 ? "ok" : strerrorname_np(code),
               static_cast<unsigned long long>(count));
      }
    }
    printf("\n");
  }
  printf("calls: %llu\nverified_words: %llu\nkept_versions: %llu\nfailures: %llu\n",
         static_cast<unsigned long long>(sum),
         static_cast<unsigned long long>(shared.verified_words.load()),
         static_cast<unsigned long long>(shared.kept_versions.load()),
         static_cast<unsigned long long>(shared.failures.load()));
}

Turn::Turn(Shared& shared, int lock)
    : mutex_(shared.name_locks[static_cast<size_t>(lock)]),
      taken_(pthread_mutex_trylock(&mutex_) == 0) {}

Turn::~Turn() {
  if (taken_) {
    pthread_mutex_unlock(&mutex_);
  }
}

}  // namespace stress
