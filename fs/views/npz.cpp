// `npz/DIR.npz`: the arrays of a directory as numpy.savez stores them, a zip archive without
// compression.
//
// Every size is known when the archive is opened, so it can be read from anywhere. The checksum of
// an array is made when a header that has it is read, by one pass over its data. Source:
// APPNOTE.TXT 6.3.10 of PKWARE (4.3.7 local headers, 4.3.12 central directory, 4.3.14 zip64).
#include <zlib.h>

#include <algorithm>
#include <array>
#include <optional>

#include "archive.hpp"
#include "formats.hpp"
#include "pieces.hpp"

namespace arrayfs {
namespace {

using shm::Result;

constexpr std::uint64_t k32Bits = 0xFFFFFFFF;
constexpr std::uint64_t k16Bits = 0xFFFF;
constexpr std::size_t kCrcBytes = 1U << 20;
constexpr unsigned kDosEpoch = 0x21;  // 1 January 1980, as numpy.savez gives every member

// Little-endian fields one after the other.
class Record {
 public:
  Record& u16(std::uint64_t value) { return number(value, 2); }
  Record& u32(std::uint64_t value) { return number(value, 4); }
  Record& u64(std::uint64_t value) { return number(value, 8); }
  Record& text(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  Record& number(std::uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) {
      bytes_ += static_cast<char>(value >> (8 * i) & 0xFF);
    }
    return *this;
  }
  std::string bytes_;
};

class Npz {
 public:
  static OpenedStream open(std::shared_ptr<Archive> archive) {
    auto npz = std::make_shared<Npz>();
    npz->archive_ = std::move(archive);
    std::vector<Piece> pieces;
    std::uint64_t offset = 0;
    const auto add = [&](Piece piece) {
      offset += piece.size_bytes;
      pieces.push_back(std::move(piece));
    };
    // The stream owns the archive; its pieces borrow it.
    Npz* self = npz.get();
    for (std::size_t i = 0; i < npz->archive_->members().size(); ++i) {
      auto member = describe(npz->archive_->members()[i]);
      if (!member) {
        return tl::unexpected(member.error());
      }
      member->offset = offset;
      npz->members_.push_back(std::move(*member));
      add(lazy_piece(npz->local_header(i, 0), [self, i] {
        return self->crc_of(i).map([&](unsigned long crc) { return self->local_header(i, crc); });
      }));
      add({npz->members_[i].size_bytes, [self, i](std::uint64_t within, std::span<char> buffer) {
             return self->read_content(i, within, buffer);
           }});
    }
    npz->directory_offset_ = offset;
    add(lazy_piece(npz->central_directory({}), [self]() -> Result<std::string> {
      std::vector<unsigned long> crcs;
      for (std::size_t i = 0; i < self->members_.size(); ++i) {
        const auto crc = self->crc_of(i);
        if (!crc) {
          return tl::unexpected(crc.error());
        }
        crcs.push_back(*crc);
      }
      return self->central_directory(crcs);
    }));
    return std::make_unique<PieceStream>(std::move(pieces), std::move(npz));
  }

 private:
  struct Member {
    std::string name;
    std::string header;            ///< of the .npy file, where the file itself has none
    std::uint64_t size_bytes = 0;  ///< of the .npy file in the archive
    std::uint64_t offset = 0;      ///< of its local header
    std::optional<unsigned long> crc;
  };

  static Result<Member> describe(const Archive::Member& from) {
    Member member;
    member.name = from.name() + ".npy";
    if (from.has_header) {
      member.size_bytes = from.layout.data_offset + from.layout.nbytes();
      return member;
    }
    return shm::npy_header(from.layout.dtype, from.layout.shape, from.layout.order)
        .map([&](std::string header) {
          member.size_bytes = header.size() + from.layout.nbytes();
          member.header = std::move(header);
          return std::move(member);
        });
  }

  // A piece of a size that is known before its text; `sample` has that size.
  static Piece lazy_piece(const std::string& sample, std::function<Result<std::string>()> make) {
    return {sample.size(),
            [make = std::move(make)](std::uint64_t offset, std::span<char> buffer) -> Result<void> {
              const auto text = make();
              if (!text) {
                return tl::unexpected(text.error());
              }
              text->copy(buffer.data(), buffer.size(), offset);
              return {};
            }};
  }

  static unsigned flags_of(const Member& member) {
    const auto ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
    return std::ranges::all_of(member.name, ascii) ? 0 : 1U << 11;  // otherwise UTF-8
  }

  [[nodiscard]] std::string local_header(std::size_t i, unsigned long crc) const {
    const Member& member = members_[i];
    const bool large = member.size_bytes >= k32Bits;
    const std::uint64_t shown = large ? k32Bits : member.size_bytes;
    Record record;
    record.text("PK\3\4").u16(large ? 45 : 20).u16(flags_of(member)).u16(0).u16(0).u16(kDosEpoch);
    record.u32(crc).u32(shown).u32(shown).u16(member.name.size()).u16(large ? 20 : 0);
    record.text(member.name);
    if (large) {
      record.u16(1).u16(16).u64(member.size_bytes).u64(member.size_bytes);
    }
    return record.bytes();
  }

  // With zeros for checksums that are not given.
  [[nodiscard]] std::string central_directory(const std::vector<unsigned long>& crcs) const {
    Record record;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const Member& member = members_[i];
      const bool large = member.size_bytes >= k32Bits;
      const bool far = member.offset >= k32Bits;
      const std::uint64_t shown = large ? k32Bits : member.size_bytes;
      const unsigned extra = (large ? 16 : 0) + (far ? 8 : 0);
      const unsigned version = extra != 0 ? 45 : 20;
      record.text(std::string_view("PK\1\2")).u16(version | 3U << 8).u16(version);
      record.u16(flags_of(member)).u16(0).u16(0).u16(kDosEpoch);
      record.u32(crcs.empty() ? 0 : crcs[i]).u32(shown).u32(shown).u16(member.name.size());
      record.u16(extra == 0 ? 0 : extra + 4).u16(0).u16(0).u16(0).u32(0100644U << 16);
      record.u32(far ? k32Bits : member.offset).text(member.name);
      if (extra != 0) {
        record.u16(1).u16(extra);
        if (large) {
          record.u64(member.size_bytes).u64(member.size_bytes);
        }
        if (far) {
          record.u64(member.offset);
        }
      }
    }
    const std::uint64_t size = record.bytes().size();
    const std::uint64_t count = members_.size();
    if (count >= k16Bits || size >= k32Bits || directory_offset_ >= k32Bits) {
      const std::uint64_t end = directory_offset_ + size;
      record.text("PK\6\6").u64(44).u16(45).u16(45).u32(0).u32(0).u64(count).u64(count);
      record.u64(size).u64(directory_offset_);
      record.text("PK\6\7").u32(0).u64(end).u32(1);
    }
    record.text("PK\5\6").u16(0).u16(0);
    record.u16(std::min(count, k16Bits)).u16(std::min(count, k16Bits));
    record.u32(std::min(size, k32Bits)).u32(std::min(directory_offset_, k32Bits)).u16(0);
    return record.bytes();
  }

  Result<void> read_content(std::size_t i, std::uint64_t offset, std::span<char> buffer) {
    const Member& member = members_[i];
    if (offset < member.header.size()) {
      const std::size_t size = member.header.copy(buffer.data(), buffer.size(), offset);
      buffer = buffer.subspan(size);
      offset += size;
    }
    // Where the file has a header of its own, the content is its first bytes.
    const auto& layout = archive_->members()[i].layout;
    const std::uint64_t at =
        member.header.empty() ? offset : offset - member.header.size() + layout.data_offset;
    return archive_->open(i).and_then([&](int fd) { return read_exactly(fd, at, buffer); });
  }

  Result<unsigned long> crc_of(std::size_t i) {
    Member& member = members_[i];
    if (member.crc) {
      return *member.crc;
    }
    unsigned long crc = crc32(0, nullptr, 0);
    std::vector<char> buffer(std::min<std::uint64_t>(kCrcBytes, member.size_bytes));
    for (std::uint64_t done = 0; done < member.size_bytes;) {
      const std::span<char> chunk = std::span(buffer).first(static_cast<std::size_t>(
          std::min<std::uint64_t>(buffer.size(), member.size_bytes - done)));
      if (auto read = read_content(i, done, chunk); !read) {
        return tl::unexpected(read.error());
      }
      crc = crc32_z(crc, reinterpret_cast<const unsigned char*>(chunk.data()), chunk.size());
      done += chunk.size();
    }
    member.crc = crc;
    return crc;
  }

  std::shared_ptr<Archive> archive_;
  std::vector<Member> members_;
  std::uint64_t directory_offset_ = 0;
};

class NpzView final : public View {
 public:
  [[nodiscard]] std::string_view directory() const override { return "npz"; }
  [[nodiscard]] std::string_view suffix() const override { return ".npz"; }
  [[nodiscard]] bool is_archive() const override { return true; }
  [[nodiscard]] OpenedStream open(ViewInput /*input*/) const override {
    return shm::fail(EOPNOTSUPP);
  }
  [[nodiscard]] OpenedStream open_directory(DirectoryInput input) const override {
    return Archive::scan(std::move(input)).and_then(Npz::open);
  }
};

}  // namespace

std::unique_ptr<const View> make_npz_view() {
  return std::make_unique<NpzView>();
}

}  // namespace arrayfs
