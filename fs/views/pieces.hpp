// A stream put together from pieces of known size: texts that were made before, and ranges that are
// fetched when they are read.
//
// The pieces are fixed when the stream is opened, so every offset can be read at once and the size
// is exact. A stream is used by one thread at a time; it owns what its pieces read from.
#pragma once

#include <functional>
#include <vector>

#include "view.hpp"

namespace arrayfs {

/// Fills the whole buffer with the bytes of a piece from `offset` on.
using Fetch = std::function<shm::Result<void>(std::uint64_t offset, std::span<char> buffer)>;

struct Piece {
  std::uint64_t size_bytes = 0;
  Fetch fetch;
};

[[nodiscard]] Piece text_piece(std::string text);
/// A range of a file, which must stay open. Errors when read: EIO when the file became shorter.
[[nodiscard]] Piece file_piece(int fd, std::uint64_t offset, std::uint64_t size_bytes);

class PieceStream final : public ViewStream {
 public:
  /// `owner` is kept as long as the stream: what the pieces borrow.
  PieceStream(std::vector<Piece> pieces, std::shared_ptr<const void> owner);
  [[nodiscard]] shm::Result<std::size_t> read(std::uint64_t offset,
                                              std::span<char> buffer) override;
  [[nodiscard]] std::optional<std::uint64_t> size_bytes() const override {
    return ends_.empty() ? 0 : ends_.back();
  }

 private:
  std::vector<Piece> pieces_;
  std::vector<std::uint64_t> ends_;  ///< offset of the end of each piece
  std::shared_ptr<const void> owner_;
};

/// pread of the whole buffer. Errors: those of pread; EIO when the file ended early.
[[nodiscard]] shm::Result<void> read_exactly(int fd, std::uint64_t offset, std::span<char> buffer);

}  // namespace arrayfs
