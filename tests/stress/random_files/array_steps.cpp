// What workers do to arrays: replacing, mapping, storing, resizing, sealing.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "worker.hpp"

namespace stress {
namespace {

constexpr size_t kMaxHeld = 6;  // mappings that a worker keeps

std::uint64_t beyond_capacity(int fd) {
  struct statvfs usage {};
  fstatvfs(fd, &usage);
  return usage.f_blocks * usage.f_frsize + (1 << 20);
}

}  // namespace

// A new array of any size.
bool Worker::write_array(int fd, const std::string& path) {
  const std::uint64_t count = array_words();
  const std::uint32_t seed = new_seed();
  const Header head = header(count);
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
  Fd fd = open_file(kSave, name.path, O_WRONLY | O_CREAT | O_TRUNC, {});
  if (fd.valid()) {
    write_array(fd.get(), name.path);
    outcome(kSaveClose, fd.close_now() == 0, {}, name.path);
  }
}

void Worker::publish() {
  const Name name = locked_name();
  const Turn turn(shared_, name.lock);
  if (!turn.taken()) {
    return;
  }
  Fd fd = open_file(kPublish, aside(), O_WRONLY | O_CREAT | O_EXCL, {});
  if (fd.valid() && write_array(fd.get(), aside())) {
    outcome(kSaveClose, fd.close_now() == 0, {}, aside());
    outcome(kPublish, rename(aside().c_str(), name.path.c_str()) == 0, {}, name.path);
  }
}

// Maps the file when it is a complete array; while `fd` is open it can then not shrink.
std::optional<HeldArray> Worker::map_complete(Fd fd, bool writable, const std::string& path) {
  Header head{};
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
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* mapping = mmap(nullptr, bytes, protection, MAP_SHARED, fd.get(), 0);
  if (!outcome(kMap, mapping != MAP_FAILED, {}, path)) {
    return std::nullopt;
  }
  const bool whole = path.find("/live-") == std::string::npos;
  return HeldArray(std::move(fd), mapping, bytes, path, whole);
}

void Worker::hold() {
  const std::string path = shared_name();
  Fd fd = open_file(kOpenToMap, path, O_RDONLY, {ENOENT});
  if (!fd.valid()) {
    return;
  }
  auto held = map_complete(std::move(fd), false, path);
  if (!held) {
    return;
  }
  if (chance(2)) {
    held->fd().close_now();  // a C program has no use for it any more
  }
  if (held_.size() == kMaxHeld) {
    let_go(pick(kMaxHeld));
  }
  check(*held);
  held_.push_back(std::move(*held));
}

void Worker::check(const HeldArray& held) {
  if (const auto wrong = held.find_wrong()) {
    report(kMap, "word " + std::to_string(*wrong) + " of " + std::to_string(held.count()) +
                     (held.whole() ? " changed under its reader" : " strayed"));
    return;
  }
  shared_.verified_words += held.count();
}

void Worker::let_go(size_t at) {
  HeldArray& held = held_[at];
  check(held);
  struct stat st {};
  if (held.fd().valid() && fstat(held.fd().get(), &st) == 0 && st.st_nlink == 0) {
    ++shared_.kept_versions;
  }
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
  Fd fd = open_file(kStore, path, O_RDWR, {ENOENT, EPERM});
  if (!fd.valid()) {
    return;
  }
  auto held = map_complete(std::move(fd), true, path);
  if (!held) {
    return;
  }
  if (chance(2)) {
    held->fd().close_now();
  }
  const std::uint32_t seed = new_seed();
  for (unsigned i = 0; i < 200; ++i) {
    const std::uint64_t index = random_() % held->count();
    held->store(index, word(seed, index));
  }
  check(*held);
  if (chance(4)) {
    outcome(kStoreSync, held->sync(), {}, path);
  }
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
  const Fd fd = open_file(kShrink, name.path, O_RDWR, {ENOENT});
  struct stat st {};
  if (fd.valid() && fstat(fd.get(), &st) == 0) {
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
  const Fd fd = open_file(kGrow, path, O_RDWR, {ENOENT});
  struct stat st {};
  if (fd.valid() && fstat(fd.get(), &st) == 0 && st.st_size < (4 << 20)) {
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
  const Fd fd(open(name.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() ||
      !outcome(kSeal, fsetxattr(fd.get(), kSealed, "1", 1, 0) == 0, {EBUSY}, name.path)) {
    return;
  }
  const Fd writing(open(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), O_RDWR | O_CLOEXEC));
  if (outcome(kSealedOpen, writing.valid(), {EPERM}, name.path)) {
    report(kSealedOpen, name.path + ": a sealed file was opened for writing");
  }
  outcome(kUnseal, fremovexattr(fd.get(), kSealed) == 0, {}, name.path);
}

void Worker::too_large() {
  const Fd fd = open_file(kTooLarge, aside(), O_RDWR | O_CREAT | O_TRUNC, {}, 0600);
  if (!fd.valid()) {
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
  Fd fd = open_file(kTooSparse, aside(), O_RDWR | O_CREAT | O_TRUNC, {}, 0600);
  if (!fd.valid()) {
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

}  // namespace stress
