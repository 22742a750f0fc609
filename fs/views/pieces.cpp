#include "pieces.hpp"

#include <algorithm>
#include <cerrno>
#include <shm/posix.hpp>

namespace arrayfs {

using shm::fail;
using shm::Result;

Result<void> read_exactly(int fd, std::uint64_t offset, std::span<char> buffer) {
  const auto got = shm::posix::pread_full(fd, std::as_writable_bytes(buffer), offset);
  if (!got) {
    return tl::unexpected(got.error());
  }
  return *got == buffer.size() ? Result<void>{} : fail(EIO, "the file became shorter");
}

Piece text_piece(std::string text) {
  const std::uint64_t size_bytes = text.size();
  return {size_bytes, [text = std::move(text)](std::uint64_t offset, std::span<char> buffer) {
            text.copy(buffer.data(), buffer.size(), offset);
            return Result<void>{};
          }};
}

Piece file_piece(int fd, std::uint64_t offset, std::uint64_t size_bytes) {
  return {size_bytes, [=](std::uint64_t within, std::span<char> buffer) {
            return read_exactly(fd, offset + within, buffer);
          }};
}

PieceStream::PieceStream(std::vector<Piece> pieces, std::shared_ptr<const void> owner)
    : pieces_(std::move(pieces)), owner_(std::move(owner)) {
  std::uint64_t end = 0;
  for (const Piece& piece : pieces_) {
    end += piece.size_bytes;
    ends_.push_back(end);
  }
}

Result<std::size_t> PieceStream::read(std::uint64_t offset, std::span<char> buffer) {
  std::size_t done = 0;
  auto at = static_cast<std::size_t>(std::ranges::upper_bound(ends_, offset) - ends_.begin());
  for (; at < pieces_.size() && done < buffer.size(); ++at) {
    const std::uint64_t begin = ends_[at] - pieces_[at].size_bytes;
    const std::uint64_t within = offset + done - begin;
    const auto size = static_cast<std::size_t>(
        std::min<std::uint64_t>(pieces_[at].size_bytes - within, buffer.size() - done));
    if (size == 0) {
      continue;
    }
    if (auto fetched = pieces_[at].fetch(within, buffer.subspan(done, size)); !fetched) {
      return tl::unexpected(fetched.error());
    }
    done += size;
  }
  return done;
}

}  // namespace arrayfs
