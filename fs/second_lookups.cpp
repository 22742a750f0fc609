#include "second_lookups.hpp"

#include <algorithm>
#include <functional>

namespace arrayfs {
namespace {

// The kernel comes back at once, within the same system call; a busy machine may keep it waiting.
constexpr std::int64_t kPatienceMs = 10'000;
// How long others wait for what is kept for a thread: it may have been killed.
constexpr std::int64_t kKeptMs = 2'000;

// Another build of the daemon may give another number: then a second lookup finds no match.
std::uint64_t path_hash(std::string_view path) {
  return std::hash<std::string_view>{}(path);
}

}  // namespace

void SecondLookups::expect(pid_t thread, const struct stat& wanted, std::string_view path) {
  SecondLookup entry{};
  entry.thread = thread;
  entry.wanted_mode = wanted.st_mode;
  entry.wanted_uid = wanted.st_uid;
  entry.wanted_gid = wanted.st_gid;
  entry.wanted_ino = wanted.st_ino;
  entry.wanted_path = path_hash(path);
  for (std::uint64_t i = 0; i < kRecentRenames && entry.earlier_path == 0; ++i) {
    const RecentRename& rename = state_.recent_renames[(state_.renames - 1 - i) % kRecentRenames];
    entry.earlier_path = rename.ino == wanted.st_ino ? rename.path : 0;
  }
  remember(entry);
}

void SecondLookups::expect_reader(pid_t thread) {
  SecondLookup entry{};
  entry.thread = thread;
  remember(entry);
}

void SecondLookups::renamed(std::uint64_t ino, std::string_view path) {
  state_.recent_renames[state_.renames++ % kRecentRenames] = {ino, path_hash(path)};
}

void SecondLookups::remember(SecondLookup entry) {
  done(entry.thread);
  // The one that expires first: a free one, or that of a thread which was killed on its way.
  SecondLookup& oldest =
      *std::ranges::min_element(state_.second_lookups, {}, &SecondLookup::expires_ms);
  entry.expires_ms = monotonic_ms() + kPatienceMs;
  oldest = entry;
  state_.second_lookups_until_ms = entry.expires_ms;
}

bool SecondLookups::all_over() {
  if (state_.second_lookups_until_ms == 0 ||
      monotonic_ms() < state_.second_lookups_until_ms + kKeptMs) {
    return false;
  }
  state_.second_lookups_until_ms = 0;
  return true;
}

bool SecondLookups::leads(const SecondLookup& entry, std::string_view path) {
  const std::uint64_t hash = path_hash(path);
  return hash == entry.wanted_path || hash == entry.earlier_path;
}

SecondLookup* SecondLookups::find(pid_t thread) {
  if (state_.second_lookups_until_ms == 0) {
    return nullptr;  // the common case: one comparison for each lookup
  }
  const std::int64_t now = monotonic_ms();
  for (SecondLookup& entry : state_.second_lookups) {
    if (entry.thread == thread && entry.expires_ms > now) {
      return &entry;
    }
  }
  return nullptr;
}

void SecondLookups::give(SecondLookup& entry, std::uint64_t ino) {
  entry.given_ino = ino;
  entry.kept_until_ms = monotonic_ms() + kKeptMs;
}

bool SecondLookups::keeps(const SecondLookup& entry, std::uint64_t ino) {
  return entry.given_ino == ino && entry.kept_until_ms > monotonic_ms();
}

void SecondLookups::done(pid_t thread) {
  if (SecondLookup* entry = find(thread)) {
    *entry = {};
  }
}

bool SecondLookups::kept_for_another(std::uint64_t ino, pid_t thread) const {
  return state_.second_lookups_until_ms != 0 &&
         std::ranges::any_of(state_.second_lookups, [&](const SecondLookup& entry) {
           return entry.thread != thread && keeps(entry, ino);
         });
}

}  // namespace arrayfs
