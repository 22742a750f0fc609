// Reads .npz files: zip archives of .npy files, stored or deflated. Source: APPNOTE.TXT 6.3.10.
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <limits>

#include "../values/element.hpp"
#include "foreign_arrays.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;
using Bytes = std::span<const std::byte>;

constexpr std::uint64_t k32Bits = 0xFFFFFFFF;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kEntryBytes = 46;
constexpr std::size_t kLocalBytes = 30;

// The number at `at`, or 0 beyond the end: every place is checked before what it says is used.
template <typename T>
T number(Bytes bytes, std::size_t at) {
  const bool inside = at <= bytes.size() && sizeof(T) <= bytes.size() - at;
  return inside ? load<T>(bytes.data() + at, std::endian::native == std::endian::big) : T{0};
}
std::uint16_t u16(Bytes bytes, std::size_t at) {
  return number<std::uint16_t>(bytes, at);
}
std::uint64_t u32(Bytes bytes, std::size_t at) {
  return number<std::uint32_t>(bytes, at);
}
std::uint64_t u64(Bytes bytes, std::size_t at) {
  return number<std::uint64_t>(bytes, at);
}

struct Entry {
  std::string name;
  unsigned method = 0;
  unsigned flags = 0;
  std::uint64_t crc = 0;
  std::uint64_t packed_bytes = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t offset = 0;
};

// Sizes of 64 bits, those that had no room in the entry and in this order.
void read_zip64(Bytes extra, Entry& entry) {
  for (std::size_t at = 0; at + 4 <= extra.size();) {
    const std::size_t size = u16(extra, at + 2);
    if (u16(extra, at) == 1) {
      std::size_t field = at + 4;
      for (std::uint64_t* value : {&entry.size_bytes, &entry.packed_bytes, &entry.offset}) {
        if (*value == k32Bits) {
          *value = u64(extra, field);
          field += 8;
        }
      }
      return;
    }
    at += 4 + size;
  }
}

Result<std::vector<Entry>> read_directory(Bytes file) {
  std::size_t end = file.size() < kEndBytes ? 0 : file.size() - kEndBytes + 1;
  do {
    if (end == 0) {
      return fail(EINVAL, "no zip archive");
    }
    --end;
  } while (u32(file, end) != 0x06054B50 || end + kEndBytes + u16(file, end + 20) != file.size());
  std::uint64_t count = u16(file, end + 10);
  std::uint64_t at = u32(file, end + 16);
  if (end >= 20 && u32(file, end - 20) == 0x07064B50) {
    const std::uint64_t end64 = u64(file, end - 20 + 8);
    if (end64 < file.size() && u32(file, end64) == 0x06064B50) {
      count = u64(file, end64 + 32);
      at = u64(file, end64 + 48);
    }
  }
  std::vector<Entry> entries;
  for (; count > 0; --count) {
    if (at > file.size() || file.size() - at < kEntryBytes || u32(file, at) != 0x02014B50) {
      return fail(EINVAL, "the directory of the archive is broken");
    }
    const std::size_t name = u16(file, at + 28);
    const std::size_t extra = u16(file, at + 30);
    const std::size_t whole = kEntryBytes + name + extra + u16(file, at + 32);
    if (file.size() - at < whole) {
      return fail(EINVAL, "the directory of the archive is broken");
    }
    Entry entry;
    entry.flags = u16(file, at + 8);
    entry.method = u16(file, at + 10);
    entry.crc = u32(file, at + 16);
    entry.packed_bytes = u32(file, at + 20);
    entry.size_bytes = u32(file, at + 24);
    entry.offset = u32(file, at + 42);
    entry.name.assign(reinterpret_cast<const char*>(file.data()) + at + kEntryBytes, name);
    read_zip64(file.subspan(at + kEntryBytes + name, extra), entry);
    entries.push_back(std::move(entry));
    at += whole;
  }
  return entries;
}

Result<std::shared_ptr<std::vector<std::byte>>> inflate_all(Bytes packed, std::uint64_t size) {
  // A deflated byte gives at most 1032; a size beyond that is a lie, and no reason for memory.
  constexpr std::uint64_t kMaxRatio = 1032;
  if (size / kMaxRatio > packed.size()) {
    return fail(EINVAL, "the archive gives a wrong size");
  }
  auto data = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(size));
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
    return fail(ENOMEM, "zlib");
  }
  std::size_t taken = 0;
  std::size_t made = 0;
  constexpr std::size_t kStep = std::numeric_limits<int>::max();
  int status = Z_OK;
  while (status == Z_OK) {
    const std::size_t in = std::min(kStep, packed.size() - taken);
    const std::size_t out = std::min(kStep, data->size() - made);
    // zlib does not write to its input.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data())) + taken;
    stream.avail_in = static_cast<uInt>(in);
    stream.next_out = reinterpret_cast<Bytef*>(data->data()) + made;
    stream.avail_out = static_cast<uInt>(out);
    status = inflate(&stream, Z_NO_FLUSH);
    taken += in - stream.avail_in;
    made += out - stream.avail_out;
  }
  inflateEnd(&stream);
  if (status != Z_STREAM_END || made != data->size()) {
    return fail(EINVAL, "the archive is damaged");
  }
  return data;
}

Result<ForeignArray> read_member(const MappedFile& file, const Entry& entry) {
  const Bytes bytes = file.bytes;
  if ((entry.flags & 1) != 0) {
    return fail(EOPNOTSUPP, "encrypted");
  }
  if (entry.offset > bytes.size() || bytes.size() - entry.offset < kLocalBytes ||
      u32(bytes, entry.offset) != 0x04034B50) {
    return fail(EINVAL, "the archive is broken");
  }
  const std::uint64_t begin =
      entry.offset + kLocalBytes + u16(bytes, entry.offset + 26) + u16(bytes, entry.offset + 28);
  if (begin > bytes.size() || entry.packed_bytes > bytes.size() - begin) {
    return fail(EINVAL, "the archive is cut off");
  }
  const Bytes packed = bytes.subspan(begin, entry.packed_bytes);
  Bytes content = packed;
  std::shared_ptr<const void> owner = file.owner;
  constexpr unsigned kStored = 0;
  constexpr unsigned kDeflated = 8;
  if (entry.method == kDeflated) {
    const auto data = inflate_all(packed, entry.size_bytes);
    if (!data) {
      return tl::unexpected(data.error());
    }
    content = **data;
    owner = *data;
  } else if (entry.method != kStored) {
    return fail(EOPNOTSUPP, "compressed in an unknown way");
  }
  if (crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()) != entry.crc) {
    return fail(EINVAL, "the checksum is wrong");
  }
  return read_npy_bytes(content, std::move(owner));
}

}  // namespace

Result<std::vector<ForeignArray>> read_npz(const MappedFile& file) {
  const auto entries = read_directory(file.bytes);
  if (!entries) {
    return tl::unexpected(entries.error());
  }
  std::vector<ForeignArray> arrays;
  for (const Entry& entry : *entries) {
    auto array = read_member(file, entry);
    if (!array) {
      return fail(array.error().code, entry.name + ": " + array.error().context);
    }
    constexpr std::string_view kSuffix = ".npy";
    const bool npy = entry.name.ends_with(kSuffix);
    array->name = npy ? entry.name.substr(0, entry.name.size() - kSuffix.size()) : entry.name;
    arrays.push_back(std::move(*array));
  }
  return arrays;
}

}  // namespace arrayfs
