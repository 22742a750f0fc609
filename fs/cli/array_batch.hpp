// Arrays that appear under their names all together, or none of them.
//
// Each is written aside in the directory of its name; publish() gives all of them their names, and
// undoes that when one fails. What is replaced keeps its memory until then, so there must be room
// for both. Given up, a batch leaves nothing behind: signals that would end the process (SIGHUP,
// SIGINT, SIGTERM) wait until then, and keep add() from going on. One that is killed leaves hidden
// files named .arrayfs-*. For one thread.
#pragma once

#include <csignal>
#include <filesystem>
#include <shm/array.hpp>
#include <string>
#include <vector>

namespace arrayfs {

class ArrayBatch {
 public:
  /// `replace`: what has the names already; otherwise EEXIST.
  explicit ArrayBatch(bool replace);
  ArrayBatch(const ArrayBatch&) = delete;
  ArrayBatch& operator=(const ArrayBatch&) = delete;
  ~ArrayBatch();

  /// Makes the directories that are missing above `path`. Errors: those of mkdir(2).
  [[nodiscard]] shm::Result<void> make_parents(const std::filesystem::path& path);
  /// Writes an array that is to be `path`. Errors: those of shm::Array::create(), EISDIR,
  /// EINTR.
  [[nodiscard]] shm::Result<void> add(const std::string& path, const shm::Dtype& dtype,
                                      const shm::Shape& shape, const shm::CreateOptions& options);
  /// Errors: those of rename(2) with the path; then every name is what it was.
  [[nodiscard]] shm::Result<void> publish();

 private:
  struct Member {
    std::string path;
    std::string aside;      ///< the new array, then what it has replaced
    bool replaces = false;  ///< published by exchanging the two
    bool published = false;
  };

  [[nodiscard]] shm::Result<void> check_name(const std::string& path) const;
  [[nodiscard]] shm::Result<void> publish(Member& member, bool alone);
  static void take_back(Member& member);
  static void drop_replaced(Member& member);

  bool replace_;
  sigset_t signals_before_{};
  std::vector<Member> members_;
  std::vector<std::filesystem::path> directories_;  ///< that make_parents() has made
};

}  // namespace arrayfs
