// A view: one format in which the control tree shows an array, or the mount as a whole.
//
// To add a format, write one file with a class derived from View or Report and name it in
// registry.cpp. Views hold no state; open() and read() run on executor threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <shm/error.hpp>
#include <span>
#include <string>
#include <string_view>

#include "../array_file.hpp"
#include "../mount_status.hpp"

namespace arrayfs {

/// What a view may look at: the file as it was when the view was opened.
struct ViewInput {
  ArrayFile file;
  std::uint32_t opens = 0;    ///< open file descriptions at that moment
  std::uint32_t writers = 0;  ///< of those, the writable ones
};

/// The bytes of one opened view.
class ViewStream {
 public:
  virtual ~ViewStream() = default;
  /// Fills `buffer` from `offset`; fewer bytes than asked for mean the end.
  [[nodiscard]] virtual shm::Result<std::size_t> read(std::uint64_t offset,
                                                      std::span<char> buffer) = 0;
};

/// A view that is small enough to be made whole when it is opened.
class TextStream final : public ViewStream {
 public:
  explicit TextStream(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] shm::Result<std::size_t> read(std::uint64_t offset,
                                              std::span<char> buffer) override;

 private:
  std::string text_;
};

/// A format for one array, shown as `.arrayfs/DIRECTORY/PATH` + suffix.
class View {
 public:
  virtual ~View() = default;
  [[nodiscard]] virtual std::string_view directory() const = 0;
  [[nodiscard]] virtual std::string_view suffix() const = 0;
  [[nodiscard]] virtual shm::Result<std::unique_ptr<ViewStream>> open(ViewInput input) const = 0;
};

/// A text about the whole mount, shown as `.arrayfs/NAME`.
class Report {
 public:
  virtual ~Report() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual std::string text(const MountStatus& status) const = 0;
};

/// All formats, in the order in which they are listed.
[[nodiscard]] std::span<const std::unique_ptr<const View>> views();
[[nodiscard]] std::span<const std::unique_ptr<const Report>> reports();

}  // namespace arrayfs
