// The inode table: FUSE node id to file of the store, and back.
//
// A node id is a slot of the state memory; the root is 1. A node in use is reached by an O_PATH
// descriptor; when descriptors run short, idle nodes keep only their file handle (root only) and
// are opened again when they are needed. Used by the session's thread alone.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <shm/error.hpp>
#include <shm/posix.hpp>
#include <vector>

#include "journal.hpp"
#include "kept_fds.hpp"
#include "state_memory.hpp"

namespace arrayfs {

using NodeId = std::uint64_t;
inline constexpr NodeId kRootNode = 1;
/// Bits of a node id above the slot: faces under which a file is shown, which the table ignores.
inline constexpr NodeId kSlotMask = (1ULL << 32) - 1;
inline constexpr NodeId kLinkFace = 1ULL << 32;

class InodeTable {
 public:
  /// Called when the kernel let go of a node that has a backing id.
  using ReleaseBacking = std::function<void(std::int32_t backing_id)>;

  /// Starts with the root alone, or with what an earlier table left in the memory. `root_fd` and
  /// the references must outlive the table. Errors: EPROTO when that has no root, those of fstat.
  [[nodiscard]] static shm::Result<InodeTable> create(StateMemory& memory, Journal& journal,
                                                      KeptFds& kept, int root_fd,
                                                      ReleaseBacking release_backing);
  InodeTable(InodeTable&&) = default;
  InodeTable& operator=(InodeTable&&) = delete;
  ~InodeTable();

  /// The record of a node. Errors: ESTALE when the kernel never heard of it.
  [[nodiscard]] shm::Result<Inode*> find(NodeId node);

  /// The node of the file behind `path_fd` (O_PATH), made when it is new; its lookup count goes up
  /// by one. Errors: ENFILE when neither slots nor descriptors are left.
  [[nodiscard]] shm::Result<NodeId> intern(shm::posix::Fd path_fd, const struct stat& st);

  /// Takes back `count` lookups; the last one frees the slot, unless the node is open.
  void forget(NodeId node, std::uint64_t count);

  /// Says of one lookup that it is for a view of the file: the kernel keeps those for long, so they
  /// alone do not keep the memory of a file that lost its name.
  void looked_up_for_view(NodeId node);
  void forget_view(NodeId node, std::uint64_t count);

  /// A borrowed O_PATH descriptor of the node, valid until the next call.
  [[nodiscard]] shm::Result<int> fd(NodeId node);

  /// Counts an open file description, and its end.
  void opened(NodeId node, bool writable);
  void released(NodeId node, bool writable);

  /// The last name of the file was removed; its memory stays until nobody uses it.
  void lost_name(std::uint64_t ino);
  [[nodiscard]] std::optional<NodeId> find_by_ino(std::uint64_t ino) const;
  /// Calls `visit` with each file that lost its name.
  void each_nameless(const std::function<void(Inode&)>& visit);
  /// Visits the directories that the kernel knows.
  void each_directory(const std::function<void(NodeId)>& visit) const;
  /// Frees the memory of those that only views know, and that were kept for somebody till now.
  void free_nameless();

  /// Sets or takes away the backing id of a node.
  void set_backing(Inode& inode, std::int32_t backing_id);

  /// Frees the nodes that nobody uses, after changes were taken back, and takes notice when the
  /// file `ino`, which may have been at work when a server died, has lost its last name.
  void settle(std::initializer_list<std::uint64_t> inos);

  [[nodiscard]] const State& state() const { return state_; }

 private:
  InodeTable(StateMemory& memory, Journal& journal, KeptFds& kept, int root_fd,
             ReleaseBacking release_backing);

  [[nodiscard]] size_t bucket(std::uint64_t ino) const { return ino & (buckets_.size() - 1); }
  [[nodiscard]] std::uint32_t find_slot(std::uint64_t ino) const;
  [[nodiscard]] std::uint32_t take_slot();
  void grow_buckets();
  void derive();
  void mend(std::uint32_t slot);
  void free_if_unused(std::uint32_t slot);
  void free_memory_if_nameless(Inode& inode);
  void close_backing(Inode& inode);
  [[nodiscard]] std::uint32_t slot_of(const Inode& inode) const {
    return static_cast<std::uint32_t>(&inode - inodes_);
  }
  void keep_fd(Inode& inode, shm::posix::Fd fd);
  void close_fd(Inode& inode);
  void evict_one_fd();

  State& state_;
  Journal& journal_;
  KeptFds& kept_;
  Inode* inodes_;
  std::uint32_t max_inodes_;
  int root_fd_;
  ReleaseBacking release_backing_;
  std::vector<std::uint32_t> buckets_;  ///< derived from the records: first slot by ino
  bool handles_usable_ = false;
  size_t open_fds_ = 0;
  size_t max_open_fds_;
  std::uint32_t clock_hand_ = kRootNode;
};

}  // namespace arrayfs
