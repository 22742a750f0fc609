// The arrays of one directory, for the formats that put a directory into one file.
//
// Found once, when the archive is opened; their data is read when it is asked for, from the files
// that were found and no others, with one descriptor open at a time. For one thread at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "view.hpp"

namespace arrayfs {

class Archive {
 public:
  struct Member {
    std::string file;  ///< its name in the directory
    shm::Layout layout;
    bool has_header = true;  ///< false: raw data that xattrs give a type
    dev_t device = 0;
    ino_t ino = 0;

    /// The name of the array: that of the file without `.npy`.
    [[nodiscard]] std::string name() const;
  };

  /// The arrays by name. What is no array is left out.
  /// Errors: EACCES when one of them is not the caller's to read, EEXIST when two have one name.
  [[nodiscard]] static shm::Result<std::shared_ptr<Archive>> scan(DirectoryInput directory);

  [[nodiscard]] const std::vector<Member>& members() const { return members_; }
  /// The file of a member, borrowed until the next call.
  /// Errors: ESTALE when the name has another file by now.
  [[nodiscard]] shm::Result<int> open(std::size_t member);

 private:
  explicit Archive(shm::posix::Fd directory) : directory_(std::move(directory)) {}

  shm::posix::Fd directory_;
  std::vector<Member> members_;
  std::size_t opened_ = SIZE_MAX;
  shm::posix::Fd file_;
};

}  // namespace arrayfs
