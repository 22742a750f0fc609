// Many processes do to one directory, at random, whatever programs do to files.
//
//   random_files DIR SECONDS SEED [WORKERS]
//
// What a reader may rely on follows from a file's name:
//   whole-N   arrays that are replaced as a whole: who found one complete sees the same words until
//             it lets go. Overwriters of one name take turns (a mutex in shared memory).
//   link-N    further names of those.
//   live-N    arrays that several processes store into through mappings; also locked by name.
//   free-N    in the root and in dir-N: anything goes, so they are read with pread alone.
// Each word of a file tells its place, so that a word that strayed shows in every one of them.
//
// Every outcome is counted and must be one that tmpfs may give for that call, or a promised
// exception (ETXTBSY, EBUSY, EPERM of a seal, ENOSPC of a growth beyond capacity). Exit 0 when all
// were, and no process died.
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int kNames = 8;  // of each kind
constexpr size_t kHeaderBytes = 128;
constexpr size_t kMaxHeld = 6;      // mappings that a worker keeps
constexpr int kMaxReports = 10;     // a worker
constexpr int kGraceSeconds = 120;  // for slow (sanitized) daemons, after the time is up

// ---- outcomes

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

constexpr int kMaxErrno = 134;

// Shared by all workers.
struct Shared {
  std::array<std::array<std::atomic<std::uint64_t>, kMaxErrno>, kOps> counts;
  std::atomic<std::uint64_t> failures;
  std::atomic<std::uint64_t> verified_words;
  std::atomic<std::uint64_t> kept_versions;  // mappings verified after their name was replaced
  std::array<pthread_mutex_t, 2 * kNames> name_locks;
};

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

// ---- contents

// The word at `index` of an array with this seed.
std::uint64_t word(std::uint32_t seed, std::uint64_t index) {
  std::uint64_t mixed = (static_cast<std::uint64_t>(seed) << 32 | 1) * 0x9e3779b97f4a7c15ULL;
  mixed ^= (index + 1) * 0xbf58476d1ce4e5b9ULL;
  mixed ^= mixed >> 29;
  mixed *= 0x94d049bb133111ebULL;
  return static_cast<std::uint64_t>(seed) << 32 | mixed >> 32;
}

bool is_in_place(std::uint64_t value, std::uint64_t index) {
  return value == 0 || value == word(static_cast<std::uint32_t>(value >> 32), index);
}

// What np.save writes before the words.
std::array<char, kHeaderBytes> header(std::uint64_t words) {
  std::array<char, kHeaderBytes> bytes;
  bytes.fill(' ');
  std::memcpy(bytes.data(), "\x93NUMPY\x01\x00\x76\x00", 10);
  char text[100];
  const int size =
      snprintf(text, sizeof text, "{'descr': '<u8', 'fortran_order': False, 'shape': (%llu,), }",
               static_cast<unsigned long long>(words));
  std::memcpy(bytes.data() + 10, text, static_cast<size_t>(size));
  bytes.back() = '\n';
  return bytes;
}

std::optional<std::uint64_t> words_of(const std::array<char, kHeaderBytes>& bytes) {
  std::string text(bytes.begin() + 10, bytes.end());
  const size_t at = text.find("'shape': (");
  if (at == std::string::npos) {
    return std::nullopt;
  }
  const std::uint64_t words = std::strtoull(text.c_str() + at + 10, nullptr, 10);
  return bytes == header(words) ? std::optional(words) : std::nullopt;
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  int close_now() { return close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

// An array that this process has mapped, and what it saw there first.
struct Held {
  std::uint64_t* words;
  size_t mapped_bytes;
  std::uint64_t count;
  std::uint32_t seed;
  std::string path;
  bool whole;  // of a file whose words do not change
  Fd fd;       // may be closed already
  [[nodiscard]] const std::uint64_t* data() const { return words + kHeaderBytes / 8; }
};

// A file that a random choice named.
struct Name {
  std::string path;
  int lock = -1;  // of name_locks
};

// The mapping that is being read or written, for the report of a SIGBUS.
struct {
  const char* path;
  const char* begin;
  size_t bytes;
} touched;

void on_bus_error(int, siginfo_t* info, void*) {
  char text[512];
  const auto offset = static_cast<const char*>(info->si_addr) - touched.begin;
  const int size = snprintf(text, sizeof text, "SIGBUS at byte %td of %zu of %s\n", offset,
                            touched.bytes, touched.path);
  static_cast<void>(!write(STDERR_FILENO, text, static_cast<size_t>(size)));
  signal(SIGBUS, SIG_DFL);  // the access is repeated and kills
}

// ---- a worker

class Worker {
 public:
  Worker(std::string directory, unsigned seed, int number, Shared& shared)
      : directory_(std::move(directory)),
        number_(number),
        random_(seed * 1000003U + static_cast<unsigned>(number)),
        shared_(shared) {}

  int run(time_t until) {
    while (time(nullptr) < until && reports_ < kMaxReports) {
      step();
    }
    while (!held_.empty()) {
      let_go(held_.size() - 1);
    }
    return reports_ == 0 ? 0 : 1;
  }

 private:
  using Step = void (Worker::*)();
  void step();

  // Arrays.
  void save();
  void publish();
  void hold();
  void check_held();
  void store();
  void shrink();
  void grow();
  void seal();
  void too_large();
  void too_sparse();
  // Names.
  void link_whole();
  void unlink_any();
  void rename_locked();
  void rename_free();
  void make_directory();
  void remove_directory();
  void list_directory();
  void symbolic_link();
  // Anything goes.
  void write_free();
  void read_free();
  void truncate_free();
  void allocate_free();
  void copy_free();
  // Attributes and the rest.
  void attributes();
  void xattrs();
  void lifetime();
  void control();
  void lock_file();

  bool outcome(Op op, bool done, std::initializer_list<int> allowed, const std::string& path);
  void report(Op op, const std::string& what);
  bool write_array(int fd, std::uint32_t seed, std::uint64_t count, const std::string& path);
  void check(const Held& held);
  void let_go(size_t at);
  std::optional<Held> map_complete(Fd fd, bool writable, const std::string& path);
  void check_word(int fd, std::uint64_t index, const std::string& path);

  unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }
  std::uint32_t new_seed() { return static_cast<std::uint32_t>(random_()); }
  bool chance(unsigned one_in) { return pick(one_in) == 0; }
  std::string numbered(const char* kind) {
    return directory_ + "/" + kind + std::to_string(pick(kNames));
  }
  Name locked_name() {
    const int lock = static_cast<int>(pick(2 * kNames));
    const char* kind = lock < kNames ? "/whole-" : "/live-";
    return {directory_ + kind + std::to_string(lock % kNames), lock};
  }
  std::string shared_name() { return chance(4) ? numbered("link-") : locked_name().path; }
  std::string free_name() {
    return (chance(2) ? directory_ : numbered("dir-")) + "/free-" + std::to_string(pick(kNames));
  }
  std::string any_name() { return chance(2) ? shared_name() : free_name(); }
  std::string aside() { return directory_ + "/aside-" + std::to_string(number_); }
  std::uint64_t array_words() { return chance(32) ? 400'000 : 1 + pick(chance(4) ? 60'000 : 500); }
  static off_t offset_of(std::uint64_t index) {
    return static_cast<off_t>(kHeaderBytes + index * 8);
  }

  std::string directory_;
  int number_;
  std::mt19937 random_;
  Shared& shared_;
  std::vector<Held> held_;
  int reports_ = 0;
};

// The turn of one overwriter of a name; others do something else meanwhile.
class Turn {
 public:
  Turn(Shared& shared, int lock) : mutex_(shared.name_locks[static_cast<size_t>(lock)]) {
    taken_ = pthread_mutex_trylock(&mutex_) == 0;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (taken_) {
      pthread_mutex_unlock(&mutex_);
    }
  }
  [[nodiscard]] bool taken() const { return taken_; }

 private:
  pthread_mutex_t& mutex_;
  bool taken_;
};

void Worker::report(Op op, const std::string& what) {
  ++reports_;
  ++shared_.failures;
  fprintf(stderr, "worker %d: %s: %s\n", number_, kOpNames[op], what.c_str());
}

bool Worker::outcome(Op op, bool done, std::initializer_list<int> allowed,
                     const std::string& path) {
  const int code = done ? 0 : errno;
  ++shared_.counts[op][static_cast<size_t>(std::min(code, kMaxErrno - 1))];
  if (!done && std::find(allowed.begin(), allowed.end(), code) == allowed.end()) {
    report(op, path + ": " + strerrorname_np(code));
  }
  return done;
}

bool Worker::write_array(int fd, std::uint32_t seed, std::uint64_t count, const std::string& path) {
  const auto head = header(count);
  bool done = outcome(kSaveWrite, write(fd, head.data(), head.size()) == kHeaderBytes, {}, path);
  std::vector<std::uint64_t> part;
  for (std::uint64_t at = 0; done && at < count; at += part.size()) {
    part.resize(std::min<std::uint64_t>(count - at, 16384));
    for (size_t i = 0; i < part.size(); ++i) {
      part[i] = word(seed, at + i);
    }
    const auto bytes = static_cast<ssize_t>(part.size() * 8);
    done = outcome(kSaveWrite, write(fd, part.data(), part.size() * 8) == bytes, {}, path);
  }
  return done;
}

// As np.save: the name is truncated, then written from the start.
void Worker::save() {
  const Name name = locked_name();
  const Turn turn(shared_, name.lock);
  if (!turn.taken()) {
    return;
  }
  Fd fd(open(name.path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (outcome(kSave, fd.valid(), {}, name.path)) {
    write_array(fd.get(), new_seed(), array_words(), name.path);
    outcome(kSaveClose, fd.close_now() == 0, {}, name.path);
  }
}

void Worker::publish() {
  const Name name = locked_name();
  const Turn turn(shared_, name.lock);
  if (!turn.taken()) {
    return;
  }
  Fd fd(open(aside().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (outcome(kPublish, fd.valid(), {}, aside()) &&
      write_array(fd.get(), new_seed(), array_words(), aside())) {
    outcome(kSaveClose, fd.close_now() == 0, {}, aside());
    outcome(kPublish, rename(aside().c_str(), name.path.c_str()) == 0, {}, name.path);
  }
}

// Maps the file when it is a complete array; while `fd` is open it can then not shrink.
std::optional<Held> Worker::map_complete(Fd fd, bool writable, const std::string& path) {
  std::array<char, kHeaderBytes> head{};
  struct stat st {};
  if (pread(fd.get(), head.data(), head.size(), 0) != kHeaderBytes || fstat(fd.get(), &st) != 0) {
    return std::nullopt;
  }
  // On the cached plane stat() already knows of a write() that the kernel has not finished, and a
  // page that only this write made is not there yet: SEEK_END tells what the kernel has.
  const off_t size = std::min(st.st_size, lseek(fd.get(), 0, SEEK_END));
  const auto count = words_of(head);
  if (!count || *count == 0 || size < offset_of(*count)) {
    return std::nullopt;
  }
  const auto bytes = static_cast<size_t>(offset_of(*count));
  void* memory =
      mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd.get(), 0);
  if (!outcome(kMap, memory != MAP_FAILED, {}, path)) {
    return std::nullopt;
  }
  auto* words = static_cast<std::uint64_t*>(memory);
  touched = {path.c_str(), static_cast<const char*>(memory), bytes};
  const auto seed = static_cast<std::uint32_t>(words[kHeaderBytes / 8] >> 32);
  return Held{words,        bytes, *count, seed, path, path.find("/live-") == std::string::npos,
              std::move(fd)};
}

void Worker::hold() {
  const std::string path = shared_name();
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!outcome(kOpenToMap, fd.valid(), {ENOENT}, path)) {
    return;
  }
  auto held = map_complete(std::move(fd), false, path);
  if (!held) {
    return;
  }
  if (chance(2)) {
    held->fd.close_now();  // a C program has no use for it any more
  }
  if (held_.size() == kMaxHeld) {
    let_go(pick(kMaxHeld));
  }
  check(*held);
  held_.push_back(std::move(*held));
}

void Worker::check(const Held& held) {
  touched = {held.path.c_str(), reinterpret_cast<const char*>(held.words), held.mapped_bytes};
  const std::uint64_t* words = held.data();
  for (std::uint64_t i = 0; i < held.count; ++i) {
    const std::uint64_t value = words[i];
    const bool good = held.whole ? value == word(held.seed, i) : is_in_place(value, i);
    if (!good) {
      report(kMap, "word " + std::to_string(i) + " of " + std::to_string(held.count) +
                       (held.whole ? " changed under its reader" : " strayed"));
      return;
    }
  }
  shared_.verified_words += held.count;
}

void Worker::let_go(size_t at) {
  Held& held = held_[at];
  check(held);
  struct stat st {};
  if (held.fd.valid() && fstat(held.fd.get(), &st) == 0 && st.st_nlink == 0) {
    ++shared_.kept_versions;
  }
  munmap(held.words, held.mapped_bytes);
  held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(at));
}

void Worker::check_held() {
  if (held_.empty()) {
    return;
  }
  const size_t at = pick(static_cast<unsigned>(held_.size()));
  if (chance(2)) {
    let_go(at);
  } else {
    check(held_[at]);
  }
}

void Worker::store() {
  const std::string path = numbered("live-");
  Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!outcome(kStore, fd.valid(), {ENOENT, EPERM}, path)) {
    return;
  }
  auto held = map_complete(std::move(fd), true, path);
  if (!held) {
    return;
  }
  if (chance(2)) {
    held->fd.close_now();
  }
  std::uint64_t* words = held->words + kHeaderBytes / 8;
  const std::uint32_t seed = new_seed();
  for (unsigned i = 0; i < 200; ++i) {
    const std::uint64_t index = random_() % held->count;
    words[index] = word(seed, index);
  }
  check(*held);
  if (chance(4)) {
    outcome(kStoreSync, msync(held->words, held->mapped_bytes, MS_SYNC) == 0, {}, path);
  }
  munmap(held->words, held->mapped_bytes);
}

void Worker::shrink() {
  const Name name = locked_name();
  const Turn turn(shared_, name.lock);
  if (!turn.taken()) {
    return;
  }
  if (chance(2)) {
    const off_t size = offset_of(pick(200));
    struct stat st {};
    if (stat(name.path.c_str(), &st) == 0 && st.st_size > size) {
      outcome(kShrink, truncate(name.path.c_str(), size) == 0, {ETXTBSY, ENOENT}, name.path);
    }
    return;
  }
  Fd fd(open(name.path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat st {};
  if (outcome(kShrink, fd.valid(), {ENOENT}, name.path) && fstat(fd.get(), &st) == 0) {
    outcome(kShrink, ftruncate(fd.get(), st.st_size / 16 * 8) == 0, {ETXTBSY}, name.path);
  }
}

void Worker::grow() {
  const int number = static_cast<int>(pick(kNames));
  const std::string path = directory_ + "/live-" + std::to_string(number);
  const Turn turn(shared_, kNames + number);
  if (!turn.taken()) {
    return;
  }
  Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat st {};
  if (outcome(kGrow, fd.valid(), {ENOENT}, path) && fstat(fd.get(), &st) == 0 &&
      st.st_size < (4 << 20)) {
    const off_t size = st.st_size / 8 * 8 + 8 * static_cast<off_t>(pick(2000));
    outcome(kGrow, ftruncate(fd.get(), size) == 0, {}, path);
  }
}

void Worker::seal() {
  const Name name = locked_name();
  const Turn turn(shared_, name.lock);
  if (!turn.taken()) {
    return;
  }
  constexpr const char* kSealed = "user.array.sealed";
  // Open first: what is sealed is then also what is unsealed, whatever becomes of the name.
  Fd fd(open(name.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() ||
      !outcome(kSeal, fsetxattr(fd.get(), kSealed, "1", 1, 0) == 0, {EBUSY}, name.path)) {
    return;
  }
  Fd writing(open(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), O_RDWR | O_CLOEXEC));
  if (outcome(kSealedOpen, writing.valid(), {EPERM}, name.path)) {
    report(kSealedOpen, name.path + ": a sealed file was opened for writing");
  }
  outcome(kUnseal, fremovexattr(fd.get(), kSealed) == 0, {}, name.path);
}

std::uint64_t beyond_capacity(int fd) {
  struct statvfs usage {};
  fstatvfs(fd, &usage);
  return usage.f_blocks * usage.f_frsize + (1 << 20);
}

void Worker::too_large() {
  Fd fd(open(aside().c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!outcome(kTooLarge, fd.valid(), {}, aside())) {
    return;
  }
  const auto size = static_cast<off_t>(beyond_capacity(fd.get()));
  const int result = chance(2) ? ftruncate(fd.get(), size) : posix_fallocate(fd.get(), 0, size);
  errno = result < 0 ? errno : result;
  if (outcome(kTooLarge, result == 0, {ENOSPC}, aside())) {
    report(kTooLarge, "more than the capacity was promised");
  }
  struct stat st {};
  if (fstat(fd.get(), &st) == 0 && st.st_size != 0) {
    report(kTooLarge, "a refused growth left " + std::to_string(st.st_size) + " bytes");
  }
  unlink(aside().c_str());
}

// As np.memmap(mode="w+"): one byte at the end, then the size is asked for.
void Worker::too_sparse() {
  Fd fd(open(aside().c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!outcome(kTooSparse, fd.valid(), {}, aside())) {
    return;
  }
  const auto size = static_cast<off_t>(beyond_capacity(fd.get()));
  struct stat st {};
  const bool written = pwrite(fd.get(), "", 1, size - 1) == 1;
  if (outcome(kTooSparse, written, {ENOSPC}, aside()) &&
      outcome(kTooSparse, fstat(fd.get(), &st) == 0, {}, aside()) && st.st_size == size) {
    report(kTooSparse, "more than the capacity was promised");
  }
  if (outcome(kTooSparse, fd.close_now() == 0, {ENOSPC}, aside()) && written) {
    report(kTooSparse, "close() did not tell that the file was cut back");
  }
  outcome(kUnlink, unlink(aside().c_str()) == 0, {}, aside());
}

void Worker::link_whole() {
  const std::string from = numbered("whole-");
  const std::string to = numbered("link-");
  outcome(kLink, link(from.c_str(), to.c_str()) == 0, {ENOENT, EEXIST}, to);
}

void Worker::unlink_any() {
  const std::string path = any_name();
  outcome(kUnlink, unlink(path.c_str()) == 0, {ENOENT}, path);
}

void Worker::rename_locked() {
  const Name from = locked_name();
  const Name to = locked_name();
  const bool same_kind = (from.lock < kNames) == (to.lock < kNames);
  const Turn first(shared_, from.lock);
  if (!same_kind || from.lock == to.lock || !first.taken()) {
    return;
  }
  const Turn second(shared_, to.lock);
  if (!second.taken()) {
    return;
  }
  constexpr std::array<unsigned, 3> kFlags{0, RENAME_NOREPLACE, RENAME_EXCHANGE};
  const unsigned flags = kFlags[pick(3)];
  const int result = renameat2(AT_FDCWD, from.path.c_str(), AT_FDCWD, to.path.c_str(), flags);
  outcome(flags == RENAME_EXCHANGE ? kExchange : kRename, result == 0, {ENOENT, EEXIST}, to.path);
}

void Worker::rename_free() {
  const bool links = chance(3);
  const std::string from = links ? numbered("link-") : free_name();
  const std::string to = links ? numbered("link-") : free_name();
  outcome(kRename, rename(from.c_str(), to.c_str()) == 0, {ENOENT}, to);
}

void Worker::make_directory() {
  const std::string path = numbered("dir-");
  outcome(kMakeDir, mkdir(path.c_str(), 0755) == 0, {EEXIST}, path);
}

void Worker::remove_directory() {
  const std::string path = numbered("dir-");
  outcome(kRemoveDir, rmdir(path.c_str()) == 0, {ENOENT, ENOTEMPTY}, path);
}

void Worker::list_directory() {
  const std::string path = chance(2) ? directory_ : numbered("dir-");
  DIR* directory = opendir(path.c_str());
  if (!outcome(kList, directory != nullptr, {ENOENT}, path)) {
    return;
  }
  errno = 0;
  bool dot = false;
  while (const dirent* entry = readdir(directory)) {
    dot = dot || std::strcmp(entry->d_name, ".") == 0;
  }
  // A directory that was removed meanwhile is empty, or gone.
  outcome(kList, errno == 0, {ENOENT}, path);
  closedir(directory);
}

void Worker::symbolic_link() {
  const std::string path = numbered("symlink-");
  if (chance(2)) {
    const std::string target = "whole-" + std::to_string(pick(kNames));
    outcome(kSymlink, symlink(target.c_str(), path.c_str()) == 0, {EEXIST}, path);
  } else if (chance(2)) {
    outcome(kUnlink, unlink(path.c_str()) == 0, {ENOENT}, path);
  } else {
    char target[64];
    const ssize_t size = readlink(path.c_str(), target, sizeof target);
    if (outcome(kReadLink, size >= 0, {ENOENT}, path) &&
        (size != 7 || std::memcmp(target, "whole-", 6) != 0)) {
      report(kReadLink, path + ": another target than was made");
    }
  }
}

void Worker::write_free() {
  const std::string path = free_name();
  const int flags = O_RDWR | O_CREAT | O_CLOEXEC | (chance(2) ? O_TRUNC : 0);
  Fd fd(open(path.c_str(), flags, 0644));
  if (!outcome(kFreeOpen, fd.valid(), {ENOENT}, path)) {
    return;
  }
  const std::uint32_t seed = new_seed();
  if (chance(2)) {
    const auto head = header(1 + pick(2000));
    outcome(kFreeWrite, pwrite(fd.get(), head.data(), head.size(), 0) == kHeaderBytes, {}, path);
  }
  std::vector<std::uint64_t> words(1 + pick(3000));
  const std::uint64_t first = pick(10'000);
  for (size_t i = 0; i < words.size(); ++i) {
    words[i] = word(seed, first + i);
  }
  const auto bytes = static_cast<ssize_t>(words.size() * 8);
  outcome(kFreeWrite, pwrite(fd.get(), words.data(), words.size() * 8, offset_of(first)) == bytes,
          {}, path);
}

// A word may be seen half written, but not for long.
void Worker::check_word(int fd, std::uint64_t index, const std::string& path) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::uint64_t value = 0;
    if (pread(fd, &value, sizeof value, offset_of(index)) < 8 || is_in_place(value, index)) {
      return;
    }
  }
  report(kFreeRead, path + ": word " + std::to_string(index) + " strayed");
}

void Worker::read_free() {
  const std::string path = any_name();
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!outcome(kFreeRead, fd.valid(), {ENOENT}, path)) {
    return;
  }
  std::vector<std::uint64_t> words(1 + pick(6000));
  const std::uint64_t first = pick(10'000);
  const ssize_t got = pread(fd.get(), words.data(), words.size() * 8, offset_of(first));
  if (!outcome(kFreeRead, got >= 0, {}, path)) {
    return;
  }
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(got) / 8; ++i) {
    if (!is_in_place(words[i], first + i)) {
      check_word(fd.get(), first + i, path);
      return;
    }
  }
}

void Worker::truncate_free() {
  const std::string path = free_name();
  const off_t size = offset_of(pick(15'000));
  if (chance(2)) {
    outcome(kTruncatePath, truncate(path.c_str(), size) == 0, {ENOENT, ETXTBSY}, path);
    return;
  }
  Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (outcome(kFreeOpen, fd.valid(), {ENOENT}, path)) {
    outcome(kFreeTruncate, ftruncate(fd.get(), size) == 0, {ETXTBSY}, path);
  }
}

void Worker::allocate_free() {
  const std::string path = free_name();
  Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!outcome(kFreeOpen, fd.valid(), {ENOENT}, path)) {
    return;
  }
  constexpr std::array<int, 3> kModes{0, FALLOC_FL_KEEP_SIZE,
                                      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
  const int result = fallocate(fd.get(), kModes[pick(3)], offset_of(pick(5000)),
                               8 * static_cast<off_t>(1 + pick(5000)));
  outcome(kFreeAllocate, result == 0, {}, path);
}

void Worker::copy_free() {
  const std::string from = free_name();
  const std::string to = free_name();
  Fd in(open(from.c_str(), O_RDONLY | O_CLOEXEC));
  Fd out(open(to.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  const bool opened = outcome(kFreeOpen, in.valid() || errno == ENOENT, {}, from) && in.valid() &&
                      outcome(kFreeOpen, out.valid(), {ENOENT}, to);
  if (!opened) {
    return;
  }
  off64_t at = 0;  // the same place in both, so that the words stay right
  off64_t into = 0;
  const ssize_t copied =
      copy_file_range(in.get(), &at, out.get(), &into, 8UL * (1 + pick(5000)), 0);
  outcome(kFreeCopy, copied >= 0, {EINVAL}, to);  // EINVAL: both may be one file
}

void Worker::attributes() {
  const std::string path = any_name();
  struct stat st {};
  const timespec times[2] = {{0, UTIME_NOW}, {static_cast<time_t>(random_()), 0}};
  outcome(kStat, lstat(path.c_str(), &st) == 0, {ENOENT}, path);
  outcome(kChmod, chmod(path.c_str(), chance(2) ? 0644 : 0664) == 0, {ENOENT}, path);
  outcome(kUtimes, utimensat(AT_FDCWD, path.c_str(), times, 0) == 0, {ENOENT}, path);
  struct statvfs usage {};
  outcome(kStatFs, statvfs(directory_.c_str(), &usage) == 0, {}, directory_);
}

void Worker::xattrs() {
  const std::string path = any_name();
  const std::string name = "user.note-" + std::to_string(pick(3));
  const std::string set(1 + pick(200), static_cast<char>('a' + pick(26)));
  char value[512];
  char names[4096];
  outcome(kSetXattr, setxattr(path.c_str(), name.c_str(), set.data(), set.size(), 0) == 0, {ENOENT},
          path);
  const ssize_t size = getxattr(path.c_str(), name.c_str(), value, sizeof value);
  outcome(kGetXattr, size >= 0, {ENOENT, ENODATA}, path);
  if (size > 0 && std::count(value, value + size, value[0]) != size) {
    report(kGetXattr, path + ": a value that nobody set");
  }
  outcome(kGetXattr, getxattr(path.c_str(), "user.array.shape", value, sizeof value) >= 0,
          {ENOENT, ENODATA}, path);
  outcome(kListXattr, listxattr(path.c_str(), names, sizeof names) >= 0, {ENOENT}, path);
  outcome(kRemoveXattr, removexattr(path.c_str(), name.c_str()) == 0, {ENOENT, ENODATA}, path);
}

void Worker::lifetime() {
  const std::string path = chance(2) ? numbered("link-") : free_name();
  const char* ttl = chance(2) ? "1" : "1000";
  outcome(kTtl, setxattr(path.c_str(), "user.array.ttl", ttl, std::strlen(ttl), 0) == 0, {ENOENT},
          path);
  const std::string owner = std::to_string(getpid());
  const std::string owned = free_name();
  outcome(kOwner,
          setxattr(owned.c_str(), "user.array.owner_pid", owner.data(), owner.size(), 0) == 0,
          {ENOENT}, owned);
  if (chance(2)) {
    outcome(kOwner, removexattr(owned.c_str(), "user.array.owner_pid") == 0, {ENOENT, ENODATA},
            owned);
  }
}

void Worker::control() {
  const std::string control = directory_ + "/.arrayfs/";
  const std::string name = any_name().substr(directory_.size() + 1);
  const std::string path = chance(3)   ? control + "status"
                           : chance(2) ? control + "info/" + name
                                       : control + "json/" + name + ".json";
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[4096];
  if (outcome(kControl, fd.valid(), {ENOENT}, path)) {
    outcome(kControl, read(fd.get(), text, sizeof text) > 0, {}, path);
  }
}

void Worker::lock_file() {
  const std::string path = any_name();
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!outcome(kLock, fd.valid(), {ENOENT}, path)) {
    return;
  }
  outcome(kLock, flock(fd.get(), LOCK_EX | LOCK_NB) == 0, {EWOULDBLOCK}, path);
  struct flock range {};
  range.l_type = F_RDLCK;
  range.l_whence = SEEK_SET;
  outcome(kLock, fcntl(fd.get(), F_OFD_SETLK, &range) == 0, {EAGAIN}, path);
}

void Worker::step() {
  static constexpr std::pair<Step, unsigned> kSteps[] = {
      {&Worker::save, 12},          {&Worker::publish, 6},
      {&Worker::hold, 14},          {&Worker::check_held, 10},
      {&Worker::store, 6},          {&Worker::shrink, 3},
      {&Worker::grow, 3},           {&Worker::seal, 2},
      {&Worker::too_large, 1},      {&Worker::too_sparse, 1},
      {&Worker::link_whole, 3},     {&Worker::unlink_any, 6},
      {&Worker::rename_locked, 4},  {&Worker::rename_free, 5},
      {&Worker::make_directory, 3}, {&Worker::remove_directory, 2},
      {&Worker::list_directory, 2}, {&Worker::symbolic_link, 2},
      {&Worker::write_free, 8},     {&Worker::read_free, 6},
      {&Worker::truncate_free, 4},  {&Worker::allocate_free, 4},
      {&Worker::copy_free, 3},      {&Worker::attributes, 3},
      {&Worker::xattrs, 3},         {&Worker::lifetime, 1},
      {&Worker::control, 3},        {&Worker::lock_file, 2}};
  static const unsigned kAll = [] {
    unsigned sum = 0;
    for (const auto& [step, weight] : kSteps) {
      sum += weight;
    }
    return sum;
  }();
  unsigned left = pick(kAll);
  for (const auto& [step, weight] : kSteps) {
    if (left < weight) {
      (this->*step)();
      return;
    }
    left -= weight;
  }
}

// ---- the parent

std::vector<pid_t> start(const std::string& directory, time_t until, unsigned seed, int workers,
                         Shared& shared) {
  std::vector<pid_t> pids;
  for (int number = 0; number < workers; ++number) {
    const pid_t pid = fork();
    if (pid == 0) {
      struct sigaction action {};
      action.sa_sigaction = on_bus_error;
      action.sa_flags = SA_SIGINFO;
      sigaction(SIGBUS, &action, nullptr);
      _exit(Worker(directory, seed, number, shared).run(until));
    }
    pids.push_back(pid);
  }
  return pids;
}

void on_alarm(int) {}

// Waits for all; who is not done in time is stuck in a request and is killed.
int wait_for_all(std::vector<pid_t> pids, time_t seconds) {
  struct sigaction action {};
  action.sa_handler = on_alarm;  // without SA_RESTART: ends the wait
  sigaction(SIGALRM, &action, nullptr);
  alarm(static_cast<unsigned>(seconds));
  int bad = 0;
  while (!pids.empty()) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, 0);
    if (pid < 0 && errno == EINTR) {
      for (const pid_t stuck : pids) {
        fprintf(stderr, "pid %d does not end: killed\n", stuck);
        kill(stuck, SIGKILL);
        ++bad;
      }
      continue;
    }
    if (pid < 0) {
      break;
    }
    std::erase(pids, pid);
    if (WIFSIGNALED(status)) {
      fprintf(stderr, "pid %d died: %s\n", pid, strsignal(WTERMSIG(status)));
    }
    bad += WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
  }
  return bad;
}

void print_counts(const Shared& shared) {
  std::uint64_t sum = 0;
  for (int op = 0; op < kOps; ++op) {
    printf("%-14s", kOpNames[op]);
    for (int code = 0; code < kMaxErrno; ++code) {
      const auto& counts = shared.counts[static_cast<size_t>(op)];
      const std::uint64_t count = counts[static_cast<size_t>(code)];
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

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) {
    fprintf(stderr, "usage: random_files DIR SECONDS SEED [WORKERS]\n");
    return 2;
  }
  const time_t seconds = std::atol(argv[2]);
  const auto seed = static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10));
  const int workers = argc == 5 ? std::atoi(argv[4]) : 20;
  Shared* shared = make_shared();
  if (shared == nullptr) {
    perror("random_files");
    return 1;
  }
  const auto pids = start(argv[1], time(nullptr) + seconds, seed, workers, *shared);
  const int bad = wait_for_all(pids, seconds + kGraceSeconds);
  print_counts(*shared);
  return bad == 0 && shared->failures == 0 ? 0 : 1;
}
