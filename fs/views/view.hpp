// A view: one format in which the control tree shows an array, a directory of arrays, or the mount.
//
// To add a format, write one file with a class derived from View or Report and name it in
// registry.cpp. Views hold no state and may be used by several threads; open functions and reads
// run on executor threads, everything else on the session's and must be quick.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <shm/error.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../array_file.hpp"
#include "../file_users.hpp"
#include "../mount_status.hpp"

namespace arrayfs {

/// What is done with the files of a view or report.
enum class Role {
  kShow,    ///< they are made when they are opened
  kWait,    ///< a read ends when the array changes
  kMake,    ///< writing to one that is not there makes an array
  kFollow,  ///< a read ends when anything happens
  kSync,    ///< they are files of the store themselves: sync pages, made when they are looked up
};

/// What a view may look at: the file as it was when the view was opened.
struct ViewInput {
  ArrayFile file;
  std::uint32_t opens = 0;      ///< open file descriptions at that moment
  std::uint32_t writers = 0;    ///< of those, the writable ones
  std::uint32_t generated = 0;  ///< the number of the generated file that was opened; 0: the view
  std::shared_ptr<FileUsers> users = {};  ///< asked for who uses it; null: nobody does
  shm::posix::Fd ring_control = {};  ///< of an array that is a ring: its control file, to be read
};

/// A directory that is to be shown as one archive.
struct DirectoryInput {
  shm::posix::Fd fd;         ///< O_RDONLY | O_DIRECTORY, in the store
  std::string xattr_prefix;  ///< of the store
  /// Whether who opens the archive may read a file with these attributes.
  std::function<bool(int fd, const struct stat&)> may_read;
};

/// The bytes of one opened view.
class ViewStream {
 public:
  virtual ~ViewStream() = default;
  /// Fills `buffer` from `offset`; fewer bytes than asked for mean the end.
  [[nodiscard]] virtual shm::Result<std::size_t> read(std::uint64_t offset,
                                                      std::span<char> buffer) = 0;
  /// All bytes of the view, where they are counted before they are made.
  [[nodiscard]] virtual std::optional<std::uint64_t> size_bytes() const { return std::nullopt; }
  /// All bytes of the view, where they were made when it was opened.
  [[nodiscard]] virtual std::optional<std::string_view> text() const { return std::nullopt; }
};

using OpenedStream = shm::Result<std::unique_ptr<ViewStream>>;

/// A view that is small enough to be made whole when it is opened.
class TextStream final : public ViewStream {
 public:
  explicit TextStream(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] shm::Result<std::size_t> read(std::uint64_t offset,
                                              std::span<char> buffer) override;
  [[nodiscard]] std::optional<std::string_view> text() const override { return text_; }

 private:
  std::string text_;
};

/// A generated file or directory inside a directory that a view makes of an array.
struct GeneratedEntry {
  std::string name;
  std::uint32_t number = 0;  ///< unique in its view of one array; View::kFirstGenerated and up
  bool is_directory = false;
};

/// A format for one array, shown as `.arrayfs/DIRECTORY/PATH` + suffix.
class View {
 public:
  /// Numbers of generated entries begin here and fit 23 bits.
  static constexpr std::uint32_t kFirstGenerated = 16;
  static constexpr std::uint32_t kMaxGenerated = (1U << 23) - 1;

  virtual ~View() = default;
  [[nodiscard]] virtual std::string_view directory() const = 0;
  [[nodiscard]] virtual std::string_view suffix() const = 0;
  [[nodiscard]] virtual OpenedStream open(ViewInput input) const = 0;
  [[nodiscard]] virtual Role role() const { return Role::kShow; }
  /// Whether to open it, or to read a piece of it, may take as long as the array is large.
  [[nodiscard]] virtual bool is_slow() const { return false; }
  /// Whether to open it reads nothing, so that the session's thread may do it at once.
  [[nodiscard]] virtual bool is_immediate(const ViewInput& /*input*/) const { return false; }

  /// Whether PATH + suffix shows a directory of arrays instead of an array.
  [[nodiscard]] virtual bool is_archive() const { return false; }
  /// The archive of a directory. Only for archives.
  [[nodiscard]] virtual OpenedStream open_directory(DirectoryInput input) const;

  /// Whether PATH + suffix is a directory of generated files.
  [[nodiscard]] virtual bool is_directory() const { return false; }
  /// Whether PATH, without the suffix, is a directory of generated files.
  [[nodiscard]] virtual bool has_parts() const { return false; }
  /// What the generated directory `number` (0: the outermost) contains. Errors: ENOENT.
  [[nodiscard]] virtual shm::Result<GeneratedEntry> find(const shm::Layout& layout,
                                                         std::uint32_t number,
                                                         std::string_view name) const;
  [[nodiscard]] virtual std::vector<GeneratedEntry> list(const shm::Layout& layout,
                                                         std::uint32_t number) const;
  /// The generated entry of this number, its name aside. Errors: ENOENT.
  [[nodiscard]] virtual shm::Result<GeneratedEntry> at(const shm::Layout& layout,
                                                       std::uint32_t number) const;

  /// Whether size_bytes() tells anything.
  [[nodiscard]] virtual bool is_sized() const { return false; }
  /// The exact size of the view (0) or of a generated file, where it follows from the layout.
  [[nodiscard]] virtual std::optional<std::uint64_t> size_bytes(const shm::Layout& layout,
                                                                std::uint32_t number) const;
};

/// A text about the whole mount, shown as `.arrayfs/NAME`.
class Report {
 public:
  virtual ~Report() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual Role role() const { return Role::kShow; }
  [[nodiscard]] virtual std::string text(const MountStatus& status) const = 0;
};

/// The layout of an array whose values are to be shown.
/// Errors: EOPNOTSUPP with the reason when the file is no array, or one of pickled objects.
[[nodiscard]] shm::Result<shm::Layout> layout_to_show(const ArrayFile& file);

/// All formats, in the order in which they are listed.
[[nodiscard]] std::span<const std::unique_ptr<const View>> views();
[[nodiscard]] std::span<const std::unique_ptr<const Report>> reports();

}  // namespace arrayfs
