// What workers do to files whose words may be anywhere at any time.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "worker.hpp"

namespace stress {

void Worker::write_free() {
  const std::string path = free_name();
  const int flags = O_RDWR | O_CREAT | (chance(2) ? O_TRUNC : 0);
  const Fd fd = open_file(kFreeOpen, path, flags, {ENOENT});
  if (!fd.valid()) {
    return;
  }
  const std::uint32_t seed = new_seed();
  if (chance(2)) {
    const Header head = header(1 + pick(2000));
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
  const Fd fd = open_file(kFreeRead, path, O_RDONLY, {ENOENT});
  if (!fd.valid()) {
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
  const Fd fd = open_file(kFreeOpen, path, O_RDWR, {ENOENT});
  if (fd.valid()) {
    outcome(kFreeTruncate, ftruncate(fd.get(), size) == 0, {ETXTBSY}, path);
  }
}

void Worker::allocate_free() {
  const std::string path = free_name();
  const Fd fd = open_file(kFreeOpen, path, O_RDWR, {ENOENT});
  if (!fd.valid()) {
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
  const Fd in(open(from.c_str(), O_RDONLY | O_CLOEXEC));
  const Fd out(open(to.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
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

}  // namespace stress
