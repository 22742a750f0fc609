// `.arrayfs`: the tree of generated files at the root of the mount.
//
// Mirrors the tree of arrays once for each view. Its nodes are derived, not stored: a node id is
// that of the file that it is about, with the number of the view in the top byte and, in a
// directory that a view generates, the number of the entry below it. A node obeys that file's
// permissions. A sync page is a node of the store instead, shown here. Used by the session's thread
// alone; openings and streams are made to be run by executor threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shm/error.hpp>
#include <span>
#include <string>
#include <variant>

#include "drafts.hpp"
#include "file_system.hpp"
#include "views/view.hpp"

namespace arrayfs {

/// An opened view. Reads may come from several threads.
class OpenView {
 public:
  explicit OpenView(std::unique_ptr<ViewStream> stream, bool slow = false)
      : stream_(std::move(stream)), slow_(slow) {}
  /// As View::is_slow().
  [[nodiscard]] bool is_slow() const { return slow_; }
  [[nodiscard]] shm::Result<std::size_t> read(std::uint64_t offset, std::span<char> buffer);
  /// As ViewStream::text().
  [[nodiscard]] std::optional<std::string_view> text() const { return stream_->text(); }

 private:
  std::mutex mutex_;
  std::unique_ptr<ViewStream> stream_;
  bool slow_;
};

/// Everything that a view needs to be made, apart from the session's thread.
class ViewOpening {
 public:
  ViewOpening(const View& view, ViewInput input) : what_(OfArray{&view, std::move(input)}) {}
  /// `told_size` is called with the size of the archive once it is known.
  ViewOpening(const View& view, DirectoryInput input, std::function<void(std::uint64_t)> told_size)
      : what_(OfDirectory{&view, std::move(input), std::move(told_size)}) {}
  ViewOpening(const Report& report, MountStatus status)
      : what_(OfMount{&report, std::move(status)}) {}

  /// As View::is_slow().
  [[nodiscard]] bool is_slow() const;
  /// As View::is_immediate().
  [[nodiscard]] bool is_immediate() const;
  [[nodiscard]] shm::Result<std::unique_ptr<OpenView>> run() &&;

 private:
  struct OfArray {
    const View* view;
    ViewInput input;
  };
  struct OfDirectory {
    const View* view;
    DirectoryInput input;
    std::function<void(std::uint64_t)> told_size;
  };
  struct OfMount {
    const Report* report;
    MountStatus status;
  };
  std::variant<OfArray, OfDirectory, OfMount> what_;
};

/// Sizes of archives as they were opened last, by node: what seeks from the end of an open file
/// asks for its attributes again. May be used by several threads.
class ArchiveSizes {
 public:
  void set(NodeId node, std::uint64_t size_bytes);
  void forget(NodeId node);
  [[nodiscard]] std::uint64_t get(NodeId node) const;  ///< 0 when it was never opened

 private:
  mutable std::mutex mutex_;
  std::map<NodeId, std::uint64_t> sizes_;
};

class ControlTree {
 public:
  static constexpr const char* kName = ".arrayfs";

  ControlTree(FileSystem& files, Drafts drafts, std::function<MountStatus()> status)
      : files_(files), drafts_(drafts), status_(std::move(status)) {}

  [[nodiscard]] static bool owns(NodeId node) { return (node >> kViewShift) != 0; }
  /// The file of the mount that a node of the tree is about, or the directory that mirrors it.
  [[nodiscard]] static NodeId about(NodeId node) { return node & ((1ULL << kGeneratedShift) - 1); }
  [[nodiscard]] static Role role(NodeId node);
  /// Whether the node is no view that is made when it is opened (fuse_live.hpp).
  [[nodiscard]] static bool is_live(NodeId node);
  /// Whether the node is always there: the tree's root, its reports and the directories in it.
  [[nodiscard]] static bool is_fixed(NodeId node) {
    return owns(node) && about(node) == kRootNode && generated(node) == 0;
  }
  /// Whether the node may be an archive, whose size is known once it was opened.
  [[nodiscard]] static bool is_sized_late(NodeId node) {
    const View* view = view_of(node);
    return view != nullptr && view->is_archive();
  }
  /// The tree's own root, found as kName in the root directory.
  [[nodiscard]] shm::Result<Entry> root();

  /// Of a sync page the entry is a node of the files, which the tree knows no more.
  [[nodiscard]] shm::Result<Entry> lookup(NodeId parent, const char* name, const Caller& caller);
  /// The node of an array that is about to be made in a mirrored directory (drafts.hpp).
  [[nodiscard]] shm::Result<Entry> enter_draft(NodeId parent, std::uint64_t handle);
  void forget(NodeId node, std::uint64_t count);
  [[nodiscard]] shm::Result<struct stat> get_attributes(NodeId node);
  /// ACLs of the file that the node is about; it has no other xattrs.
  [[nodiscard]] shm::Result<std::string> get_xattr(NodeId node, const std::string& name);
  [[nodiscard]] shm::Result<std::string> read_link(NodeId node);

  [[nodiscard]] shm::Result<std::uint64_t> open_directory(NodeId node);
  void release_directory(NodeId node, std::uint64_t handle);
  [[nodiscard]] shm::Result<void> read_directory(NodeId node, std::uint64_t handle,
                                                 std::uint64_t offset,
                                                 const std::function<bool(const DirEntry&)>& emit);

  [[nodiscard]] shm::Result<ViewOpening> open(NodeId node, int flags, const Caller& caller);

 private:
  // Top byte of a node id: 1 the tree's root, 2.. the reports, then the views. The bits from
  // kGeneratedShift to there: 0 the file or directory under its own name or with the suffix of the
  // view; kOtherFace the archive of a directory, or the directory of an array's parts; from
  // View::kFirstGenerated on, what a view generates below it. The latter are no nodes of their own
  // to the table: the kernel lets go of them before it lets go of the directory that they are in.
  static constexpr unsigned kViewShift = 56;
  static constexpr unsigned kGeneratedShift = 33;
  static constexpr std::uint64_t kTreeRoot = 1;
  static constexpr std::uint64_t kFirstReport = 2;
  static constexpr std::uint32_t kOtherFace = 1;
  static constexpr std::uint32_t kArchiveOfSelf = 2;  ///< `.npz`: of the directory that it is in

  [[nodiscard]] static std::uint64_t first_view() { return kFirstReport + reports().size(); }
  [[nodiscard]] static std::uint32_t generated(NodeId node) {
    return static_cast<std::uint32_t>(node >> kGeneratedShift) & View::kMaxGenerated;
  }
  [[nodiscard]] static bool is_counted(NodeId node) { return generated(node) <= kOtherFace; }
  [[nodiscard]] static NodeId with_view(std::uint64_t number, NodeId file,
                                        std::uint32_t generated = 0) {
    return (number << kViewShift) | (std::uint64_t{generated} << kGeneratedShift) | file;
  }
  /// The view that the node belongs to; null for the tree's root, for reports and for no view.
  [[nodiscard]] static const View* view_of(NodeId node);
  /// The report that the node is; null for all others.
  [[nodiscard]] static const Report* report_of(NodeId node);

  [[nodiscard]] shm::Result<Entry> enter(NodeId node);
  [[nodiscard]] shm::Result<Entry> lookup_in_view(NodeId parent, const View& view,
                                                  const std::string& name, const Caller& caller);
  [[nodiscard]] shm::Result<std::pair<Entry, std::uint32_t>> find_shown(NodeId parent,
                                                                        const View& view,
                                                                        const std::string& name);
  /// Whether the node is a directory that its view generates of an array.
  [[nodiscard]] bool is_generated_directory(NodeId node, const View& view);
  [[nodiscard]] shm::Result<shm::Layout> layout_of(NodeId node);
  /// Type, permissions and size of what the view makes of the file.
  [[nodiscard]] shm::Result<void> show_as(NodeId node, const View& view, struct stat& st);

  [[nodiscard]] shm::Result<void> show_live(NodeId node, Role role, struct stat& st);

  FileSystem& files_;
  Drafts drafts_;
  std::shared_ptr<ArchiveSizes> archive_sizes_ = std::make_shared<ArchiveSizes>();
  std::function<MountStatus()> status_;
};

}  // namespace arrayfs
