// What the tests of FileSystem share: one on a store of its own, on both planes, and the operations
// that tests do again and again.
//
// The passthrough plane is here without a kernel: backing ids are counted, and mappings are made on
// the files of the store, which is what the kernel does.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "file_system.hpp"
#include "fixture.hpp"

namespace arrayfs {

enum class Plane { kCached, kPassthrough };

class FileSystemTest : public testing::TestWithParam<Plane> {
 protected:
  FileSystemTest();

  FileSystem& files() { return *files_; }
  State& state() { return memory_.state(); }
  static bool is_passthrough() { return GetParam() == Plane::kPassthrough; }
  /// The successor of a server whose state is lost.
  void restart_without_state();

  static Caller self() { return {geteuid(), getegid(), getpid(), 022}; }
  static Caller another_process();
  static Caller another_user();

  /// A file of the store, as a node.
  NodeId enter(const std::string& name, std::string_view bytes);
  /// 640 bytes, of which the last 512 are data: 'd'.
  NodeId enter_array(const std::string& name = "w.npy");
  [[nodiscard]] off_t stored_size(const std::string& name) const {
    return store_.stat(name).st_size;
  }
  /// Maps an array of `enter_array` as a program does whose file the kernel serves.
  [[nodiscard]] shm::posix::Mapping map(const std::string& name, int prot) const;

  shm::Result<OpenFile> open(NodeId node, int flags, const Caller& caller = self()) {
    return files().open(node, flags, caller);
  }
  /// Opens, closes and forgets nothing else: what a program that mapped the file leaves behind.
  void open_and_close(NodeId node, int flags);
  /// The lookup that follows an open which failed with ESTALE.
  NodeId look_again(const std::string& name);
  shm::Result<struct stat> resize(NodeId node, std::uint64_t size,
                                  std::optional<std::uint64_t> handle = {});
  shm::Result<void> seal(NodeId node, std::string_view value = "1") {
    return files().set_xattr(node, "user.array.sealed", value, 0);
  }

  TestStore store_;
  std::set<std::int32_t> registered_;  ///< backing ids
  std::int32_t last_id_ = 0;
  bool refuse_backing_ = false;
  int lifetimes_set_ = 0;

 private:
  static StateMemory new_memory();
  FileSystem make();
  Backing count_backing();

  StateMemory memory_;
  std::optional<FileSystem> files_;
};

}  // namespace arrayfs
