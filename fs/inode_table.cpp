#include "inode_table.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "fault_point.hpp"
#include "privileges.hpp"
#include "second_lookups.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;
using shm::posix::Fd;

// Descriptors for everything but nodes: opens of the cached plane, views, logs.
constexpr size_t kReservedFds = 4096;

// A file_handle with room for the bytes that follow it.
class KernelHandle {
 public:
  KernelHandle() { get()->handle_bytes = sizeof(Inode::handle); }
  explicit KernelHandle(const Inode& inode) {
    get()->handle_bytes = inode.handle_bytes;
    get()->handle_type = static_cast<int>(inode.handle_type);
    std::memcpy(bytes(), inode.handle, inode.handle_bytes);
  }
  [[nodiscard]] file_handle* get() { return reinterpret_cast<file_handle*>(storage_); }
  [[nodiscard]] std::byte* bytes() { return storage_ + sizeof(file_handle); }

 private:
  alignas(file_handle) std::byte storage_[sizeof(file_handle) + sizeof(Inode::handle)] = {};
};

size_t most_open_fds() {
  const size_t limit = raise_descriptor_limit();
  return limit > 2 * kReservedFds ? limit - kReservedFds : limit / 2;
}

void remember_handle(Inode& inode, int path_fd) {
  KernelHandle handle;
  int mount_id = 0;
  if (name_to_handle_at(path_fd, "", handle.get(), &mount_id, AT_EMPTY_PATH) == 0) {
    inode.handle_type = static_cast<std::uint32_t>(handle.get()->handle_type);
    inode.handle_bytes = handle.get()->handle_bytes;
    std::memcpy(inode.handle, handle.bytes(), inode.handle_bytes);
  }
}

Fd open_handle(int root_fd, const Inode& inode) {
  KernelHandle handle(inode);
  return Fd(open_by_handle_at(root_fd, handle.get(), O_PATH | O_CLOEXEC));
}

}  // namespace

InodeTable::InodeTable(StateMemory& memory, Journal& journal, KeptFds& kept, int root_fd,
                       ReleaseBacking release_backing)
    : state_(memory.state()),
      journal_(journal),
      kept_(kept),
      inodes_(memory.inodes()),
      max_inodes_(memory.max_inodes()),
      root_fd_(root_fd),
      release_backing_(std::move(release_backing)),
      buckets_(1024, 0),
      max_open_fds_(most_open_fds()) {
  // Opening by handle is for root alone, and not every file system has handles.
  Inode root{};
  remember_handle(root, root_fd);
  handles_usable_ = root.handle_bytes != 0 && open_handle(root_fd, root).valid();
}

Result<InodeTable> InodeTable::create(StateMemory& memory, Journal& journal, KeptFds& kept,
                                      int root_fd, ReleaseBacking release_backing) {
  InodeTable table(memory, journal, kept, root_fd, std::move(release_backing));
  table.derive();
  if (table.state_.nodes != 0) {
    if (table.inodes_[kRootNode].ino == 0) {
      return fail(EPROTO, "state memory: nodes without a root");
    }
    return table;
  }
  const auto st = shm::posix::stat_fd(root_fd);
  if (!st) {
    return tl::unexpected(st.error());
  }
  auto fd = shm::posix::open_at(root_fd, ".", O_PATH);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  const auto root = table.intern(std::move(*fd), *st);
  if (!root) {
    return tl::unexpected(root.error());
  }
  return table;
}

// Everything that follows from the records.
void InodeTable::derive() {
  state_.free_slot = 0;
  state_.nodes = 0;
  state_.open_files = 0;
  for (std::uint32_t slot = kRootNode; slot < state_.used_slots; ++slot) {
    state_.nodes += inodes_[slot].ino != 0 ? 1 : 0;
  }
  size_t buckets = buckets_.size();
  while (buckets < state_.nodes) {
    buckets *= 2;
  }
  buckets_.assign(buckets, 0);
  for (std::uint32_t slot = state_.used_slots; slot-- > kRootNode;) {
    Inode& inode = inodes_[slot];
    if (inode.ino == 0) {
      inode.next = std::exchange(state_.free_slot, slot);
      continue;
    }
    mend(slot);
    inode.next = std::exchange(buckets_[bucket(inode.ino)], slot);
    state_.open_files += inode.opens();
    open_fds_ += inode.fd >= 0 ? 1 : 0;
  }
}

// A record may have been damaged by the server that died. Nothing is closed that is not the node's.
void InodeTable::mend(std::uint32_t slot) {
  Inode& inode = inodes_[slot];
  if (inode.handle_bytes > sizeof inode.handle) {
    inode.handle_bytes = 0;
  }
  if (!kept_.keeps_node(inode.fd, slot)) {
    inode.fd = -1;
  }
}

InodeTable::~InodeTable() {
  if (buckets_.empty()) {
    return;  // moved from
  }
  for (std::uint32_t slot = kRootNode; slot < state_.used_slots; ++slot) {
    if (inodes_[slot].ino != 0) {
      close_fd(inodes_[slot]);
    }
  }
}

void InodeTable::settle(std::initializer_list<std::uint64_t> inos) {
  state_.open_files = 0;
  for (std::uint32_t slot = kRootNode; slot < state_.used_slots; ++slot) {
    if (inodes_[slot].ino != 0) {
      state_.open_files += inodes_[slot].opens();
      free_if_unused(slot);
    }
  }
  for (const std::uint64_t ino : inos) {
    const std::uint32_t slot = ino != 0 ? find_slot(ino) : 0;
    const auto st = slot != 0 ? shm::posix::stat_at(inodes_[slot].fd, "", AT_EMPTY_PATH)
                              : Result<struct stat>(fail(ENOENT));
    if (st && st->st_nlink == 0) {
      lost_name(ino);
    }
  }
}

Result<Inode*> InodeTable::find(NodeId node) {
  node &= kSlotMask;
  if (node == 0 || node >= state_.used_slots || inodes_[node].ino == 0) {
    return fail(ESTALE);
  }
  return &inodes_[node];
}

Result<NodeId> InodeTable::intern(Fd path_fd, const struct stat& st) {
  if (const std::uint32_t known = find_slot(st.st_ino); known != 0) {
    Inode& inode = inodes_[known];
    journal_.set(inode.lookups, inode.lookups + 1);
    if (inode.fd >= 0) {
      // Of several names, the one that it was found by last is sure to exist.
      close_fd(inode);
      keep_fd(inode, std::move(path_fd));
    }
    return known;
  }
  const std::uint32_t slot = take_slot();
  if (slot == 0) {
    return fail(ENFILE);
  }
  if (++state_.nodes > buckets_.size()) {
    grow_buckets();
  }
  Inode& inode = inodes_[slot];
  inode.lookups = 0;
  inode.views = 0;
  ++inode.generation;
  inode.users = 0;
  inode.fd = -1;
  inode.backing_id = 0;
  inode.flags = 0;
  inode.promised_bytes = 0;
  inode.mode = st.st_mode & S_IFMT;
  inode.handle_bytes = 0;
  if (handles_usable_) {
    remember_handle(inode, path_fd.get());
  }
  keep_fd(inode, std::move(path_fd));
  fault_point("node: filled in");
  // With its number the record is there, whole.
  std::atomic_ref(inode.ino).store(st.st_ino, std::memory_order_release);
  inode.next = std::exchange(buckets_[bucket(inode.ino)], slot);
  fault_point("node: made");
  journal_.set(inode.lookups, 1);
  fault_point("node: counted");
  return slot;
}

void InodeTable::forget(NodeId node, std::uint64_t count) {
  const auto inode = find(node);
  if (!inode || node == kRootNode) {
    return;
  }
  journal_.set((*inode)->lookups, (*inode)->lookups - std::min(count, (*inode)->lookups));
  free_memory_if_nameless(**inode);
  free_if_unused(static_cast<std::uint32_t>(node & kSlotMask));
}

void InodeTable::looked_up_for_view(NodeId node) {
  if (const auto inode = find(node)) {
    journal_.set((*inode)->views, (*inode)->views + 1);
  }
}

void InodeTable::forget_view(NodeId node, std::uint64_t count) {
  if (const auto inode = find(node)) {
    journal_.set((*inode)->views, (*inode)->views - std::min(count, (*inode)->views));
  }
  forget(node, count);
}

Result<int> InodeTable::fd(NodeId node) {
  const auto found = find(node);
  if (!found) {
    return tl::unexpected(found.error());
  }
  Inode& inode = **found;
  if ((inode.flags & kGone) != 0) {
    return fail(ESTALE);
  }
  if (inode.fd < 0) {
    Fd fd = open_handle(root_fd_, inode);
    if (!fd.valid()) {
      return fail(errno);
    }
    keep_fd(inode, std::move(fd));
  }
  return inode.fd;
}

void InodeTable::opened(NodeId node, bool writable) {
  const auto found = find(node);
  if (!found) {
    return;
  }
  Inode& inode = **found;
  inode.flags |= kOpenedBefore;
  journal_.set(inode.users, inode.users + user_count(writable));
  ++state_.open_files;
}

void InodeTable::released(NodeId node, bool writable) {
  const auto found = find(node);
  if (!found || (*found)->opens() == 0) {
    return;
  }
  Inode& inode = **found;
  journal_.set(inode.users, inode.users - user_count(writable && inode.writers() != 0));
  --state_.open_files;
  if ((inode.flags & (kSyncPage | kNameless)) == (kSyncPage | kNameless)) {
    free_memory_if_nameless(inode);
  }
  free_if_unused(static_cast<std::uint32_t>(node & kSlotMask));
}

void InodeTable::lost_name(std::uint64_t ino) {
  if (const std::uint32_t slot = find_slot(ino); slot != 0) {
    inodes_[slot].flags |= kNameless;
    free_memory_if_nameless(inodes_[slot]);
  }
}

std::optional<NodeId> InodeTable::find_by_ino(std::uint64_t ino) const {
  const std::uint32_t slot = find_slot(ino);
  return slot != 0 ? std::optional<NodeId>(slot) : std::nullopt;
}

void InodeTable::each_nameless(const std::function<void(Inode&)>& visit) {
  for (std::uint32_t slot = kRootNode; slot < state_.used_slots; ++slot) {
    if (inodes_[slot].ino != 0 && (inodes_[slot].flags & (kNameless | kGone)) == kNameless) {
      visit(inodes_[slot]);
    }
  }
}

void InodeTable::each_directory(const std::function<void(NodeId)>& visit) const {
  for (std::uint32_t slot = kRootNode; slot < state_.used_slots; ++slot) {
    if (inodes_[slot].ino != 0 && S_ISDIR(inodes_[slot].mode)) {
      visit(slot);
    }
  }
}

void InodeTable::free_nameless() {
  each_nameless([this](Inode& inode) { free_memory_if_nameless(inode); });
}

std::uint32_t InodeTable::find_slot(std::uint64_t ino) const {
  std::uint32_t slot = buckets_[bucket(ino)];
  while (slot != 0 && (inodes_[slot].ino != ino || (inodes_[slot].flags & kGone) != 0)) {
    slot = inodes_[slot].next;
  }
  return slot;
}

std::uint32_t InodeTable::take_slot() {
  if (state_.free_slot != 0) {
    return std::exchange(state_.free_slot, inodes_[state_.free_slot].next);
  }
  return state_.used_slots <= max_inodes_ ? state_.used_slots++ : 0;
}

void InodeTable::grow_buckets() {
  buckets_.assign(buckets_.size() * 2, 0);
  for (std::uint32_t slot = kRootNode; slot < state_.used_slots; ++slot) {
    Inode& inode = inodes_[slot];
    if (inode.ino != 0) {
      inode.next = std::exchange(buckets_[bucket(inode.ino)], slot);
    }
  }
}

void InodeTable::free_if_unused(std::uint32_t slot) {
  Inode& inode = inodes_[slot];
  if (inode.lookups != 0 || inode.users != 0 || slot == kRootNode) {
    return;
  }
  std::uint32_t* link = &buckets_[bucket(inode.ino)];
  while (*link != slot) {
    link = &inodes_[*link].next;
  }
  *link = inode.next;
  fault_point("node: before it is freed");
  close_backing(inode);
  fault_point("node: let go of");
  inode.ino = 0;
  inode.next = std::exchange(state_.free_slot, slot);
  --state_.nodes;
}

void InodeTable::free_memory_if_nameless(Inode& inode) {
  const bool by_name =
      (inode.flags & kSyncPage) == 0 && (inode.views == 0 || inode.lookups != inode.views);
  if (by_name || inode.users != 0 || inode.fd < 0 || SecondLookups(state_).kept(inode.ino)) {
    return;
  }
  const auto st = shm::posix::stat_at(inode.fd, "", AT_EMPTY_PATH);
  if (st && st->st_nlink == 0) {
    close_backing(inode);
    inode.flags |= kGone;
  }
}

void InodeTable::close_backing(Inode& inode) {
  set_backing(inode, 0);
  close_fd(inode);
}

void InodeTable::set_backing(Inode& inode, std::int32_t backing_id) {
  if (inode.backing_id != 0) {
    release_backing_(inode.backing_id);
  }
  inode.backing_id = backing_id;
}

void InodeTable::keep_fd(Inode& inode, Fd fd) {
  if (open_fds_ >= max_open_fds_) {
    evict_one_fd();
  }
  if (kept_.keep_node(fd.get(), slot_of(inode))) {
    inode.fd = fd.release();
    ++open_fds_;
  }
}

void InodeTable::close_fd(Inode& inode) {
  if (inode.fd >= 0) {
    kept_.close_node(std::exchange(inode.fd, -1));
    --open_fds_;
  }
}

void InodeTable::evict_one_fd() {
  for (std::uint32_t seen = 0; seen < state_.used_slots; ++seen) {
    clock_hand_ = clock_hand_ + 1 < state_.used_slots ? clock_hand_ + 1 : kRootNode + 1;
    Inode& inode = inodes_[clock_hand_];
    // A file without a name lives as long as somebody has a descriptor.
    const bool idle = inode.users == 0 && (inode.flags & kNameless) == 0;
    if (inode.fd >= 0 && inode.handle_bytes != 0 && idle && S_ISREG(inode.mode)) {
      close_fd(inode);
      return;
    }
  }
}

}  // namespace arrayfs
