// Threads that were sent to look a name up again, and what they will find.
//
// To overwrite an array in use, open(O_TRUNC) is answered with ESTALE: the kernel looks the name up
// once more and opens what is there then; a second ESTALE would reach the program. So the thread is
// remembered until it comes back: its lookup makes the new version, which is kept for its open.
// A view over state memory, cheap to make. Used by the session's thread alone.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "state_memory.hpp"

namespace arrayfs {

class SecondLookups {
 public:
  explicit SecondLookups(State& state) : state_(state) {}

  /// `thread` comes back to overwrite what `path` leads to then; it was the file `wanted` and
  /// `path` is where that was in the store.
  void expect(pid_t thread, const struct stat& wanted, std::string_view path);
  /// `thread` comes back to read what it finds.
  void expect_reader(pid_t thread);
  /// A file went away from `path`, where a thread may have found it just before.
  void renamed(std::uint64_t ino, std::string_view path);
  /// What is expected of the thread; null: nothing, or too long ago.
  [[nodiscard]] SecondLookup* find(pid_t thread);
  /// The thread found this file, which is kept for it for a while.
  static void give(SecondLookup& entry, std::uint64_t ino);
  /// Whether this file is still kept for who is expected.
  [[nodiscard]] static bool keeps(const SecondLookup& entry, std::uint64_t ino);
  /// The thread opened what it found, or never will.
  void done(pid_t thread);

  /// True once after the last of the threads either came or was given up: nothing is kept any more.
  [[nodiscard]] bool all_over();

  /// Whether the file is kept for a thread other than this one.
  [[nodiscard]] bool kept_for_another(std::uint64_t ino, pid_t thread) const;
  /// Whether the file is kept for any thread.
  [[nodiscard]] bool kept(std::uint64_t ino) const { return kept_for_another(ino, -1); }

  /// Whether the thread may have come by this path to what it wanted to overwrite.
  [[nodiscard]] static bool leads(const SecondLookup& entry, std::string_view path);

 private:
  void remember(SecondLookup entry);

  State& state_;
};

}  // namespace arrayfs
