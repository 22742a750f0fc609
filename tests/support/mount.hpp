// A mount for the lifetime of an object: arrayfs on one of its planes, or native tmpfs to compare
// it with. The mount point is a fresh directory below TMPDIR, its name starts with TMPDIR's own, so
// that tests/run.sh recognises what a killed test left. Not thread safe. Requires: ARRAYFS_BIN in
// the environment, or the binary of this build. Nothing of the caller may have a file open inside
// at destruction.
#pragma once

#include <string>

namespace test_support {

enum class Plane { kTmpfs, kCached, kPassthrough };

/// The plane as `--io` and test names spell it.
const char* name(Plane plane);

/// Whether this machine has FUSE at all; the one reason to skip.
bool have_fuse();

class Mount {
 public:
  /// Mounts, and returns when the mount is ready. Errors: std::runtime_error with what the command
  /// printed.
  explicit Mount(Plane plane);
  ~Mount();
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

  /// Breaks off every request in flight and detaches, so that a process stuck in the mount returns;
  /// the directory is gone afterwards.
  void abort();

 private:
  Plane plane_;
  std::string path_;
  bool mounted_ = false;
};

}  // namespace test_support
