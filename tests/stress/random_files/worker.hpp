// One of the processes that do to one directory, at random, whatever programs do to files. Which
// files there are, and what their readers may rely on: main.cpp.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <initializer_list>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "contents.hpp"
#include "held_array.hpp"
#include "outcomes.hpp"

namespace stress {

// A file that a random choice named.
struct Name {
  std::string path;
  int lock;  // of Shared::name_locks
};

class Worker {
 public:
  /// `number` tells the workers of one directory apart; with the seed, it decides what this one
  /// does.
  Worker(std::string directory, unsigned seed, int number, Shared& shared);

  /// Takes steps until then, or until too much was wrong. Returns the exit code: 0 when nothing
  /// was.
  int run(time_t until);

 private:
  using Step = void (Worker::*)();
  using Errnos = std::initializer_list<int>;
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

  // Counts what became of a call; an errno that is not allowed is reported. Returns `done`.
  bool outcome(Op op, bool done, Errnos allowed, const std::string& path);
  void report(Op op, const std::string& what);
  // Opens and counts; the result is not valid when that failed.
  Fd open_file(Op op, const std::string& path, int flags, Errnos allowed, mode_t mode = 0644);

  bool write_array(int fd, const std::string& path);
  std::optional<HeldArray> map_complete(Fd fd, bool writable, const std::string& path);
  void check(const HeldArray& held);
  void let_go(size_t at);
  void check_word(int fd, std::uint64_t index, const std::string& path);

  // Random choices.
  unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }
  std::uint32_t new_seed() { return static_cast<std::uint32_t>(random_()); }
  bool chance(unsigned one_in) { return pick(one_in) == 0; }
  std::string numbered(const char* kind) {
    return directory_ + "/" + kind + std::to_string(pick(kNames));
  }
  Name locked_name() {
    const int lock = static_cast<int>(pick(kLocks));
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

  std::string directory_;
  int number_;
  std::mt19937 random_;
  Shared& shared_;
  std::vector<HeldArray> held_;
  int reports_ = 0;
};

}  // namespace stress
