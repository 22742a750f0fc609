// Call-by-call parity with native tmpfs. A row is a small program of system calls; it runs in a
// child process inside a fresh directory, once on native tmpfs and once on the mount, and writes
// down what each call gave. The two transcripts must be equal, line by line. SEMANTICS.md refers to
// rows by name. Everything here is called in a row's process; descriptors start at 3 there, umask
// is 022.
//
//   ROW(UnlinkDirectory) {
//     CALL(mkdir("d", 0755));   // writes   mkdir("d", 0755) = 0
//     CALL(unlink("d"));        // writes   unlink("d") = -1 EISDIR
//     show("d");                // writes   d: directory 0755 ...
//   }
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace parity {

struct Row {
  const char* name;
  void (*run)();
  /// The whole transcript on a plane that differs from tmpfs on purpose; null: the same as tmpfs.
  const char* on_passthrough;
  const char* on_cached;
};

std::vector<Row>& rows();
bool add_row(const Row& row);

#define ROW_OF(NAME, ...)                                  \
  static void row_##NAME();                                \
  [[maybe_unused]] static const bool kAdded##NAME =        \
      ::parity::add_row({#NAME, row_##NAME, __VA_ARGS__}); \
  static void row_##NAME()
#define ROW(NAME) ROW_OF(NAME, nullptr, nullptr)
/// Rows on which the mount's transcript is another. They fail when the difference has gone, too.
#define ROW_DIFFERS(NAME, ON_MOUNT) ROW_OF(NAME, ON_MOUNT, ON_MOUNT)
#define ROW_DIFFERS_IN_PASSTHROUGH(NAME, ON_MOUNT) ROW_OF(NAME, ON_MOUNT, nullptr)
#define ROW_DIFFERS_IN_CACHED(NAME, ON_MOUNT) ROW_OF(NAME, nullptr, ON_MOUNT)

/// Adds one line to the transcript.
void note(const std::string& line);

void note_result(const char* call, long result, int error);

/// Runs a call, writes down its text, result and errno, and returns the result.
#define CALL(...) ::parity::record(#__VA_ARGS__, [&] { return __VA_ARGS__; })

template <typename Call>
auto record(const char* text, Call call) {
  errno = 0;
  const auto result = call();
  note_result(text, static_cast<long>(result), errno);
  return result;
}

/// Makes a regular file of mode 0644 with these bytes; a row goes on only when that worked.
void make_file(const char* path, std::string_view content = "");

/// `size` bytes that differ from place to place.
std::string pattern(std::size_t size);

/// Writes down type, mode, links, owner, size and device number of a path, not following a last
/// symlink.
void show(const char* path);
void show(int fd);

/// Writes down the size and the bytes (their hash when there are many).
void show_content(const char* path);

/// Writes down the names in a directory with their types, sorted.
void show_list(const char* path);

/// Whether two paths are one inode.
bool same_inode(const char* one, const char* other);

/// Sets atime and mtime to a time long ago, runs `change` and writes down which of the times moved.
/// `times` selects from "amc".
void show_times_moved(const char* path, std::string_view times,
                      const std::function<void()>& change);

/// Runs `body` in a child and writes down a death by signal.
void in_child(const std::function<void()>& body);

/// Runs `body` in a child as an ordinary user with that group and no other.
void as_user(uid_t user, gid_t group, const std::function<void()>& body);

/// The same with supplementary groups.
void as_user_in_groups(uid_t user, gid_t group, const std::vector<gid_t>& groups,
                       const std::function<void()>& body);

}  // namespace parity
