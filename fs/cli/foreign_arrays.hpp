// Arrays in files of other formats, read for `create --from` and `import`.
//
// npy, npz, csv, safetensors, and raw data whose type and shape are given. Data is mapped where it
// lies in the file as an array has it, otherwise unpacked into memory. Bytes of these files are
// untrusted. Values; the bytes of an array live as long as its `owner`.
#pragma once

#include <memory>
#include <optional>
#include <shm/npy.hpp>
#include <span>
#include <string>
#include <vector>

#include "file_mapping.hpp"

namespace arrayfs {

struct ForeignArray {
  std::string name;  ///< within its file; empty where the file is one array
  shm::Dtype dtype;
  shm::Shape shape;
  shm::Order order = shm::Order::kC;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
  std::shared_ptr<const FileMapping> file;  ///< that it was read from; null when that was empty
};

/// What the file itself does not say.
struct ForeignType {
  std::optional<shm::Dtype> dtype;  ///< csv: float64 otherwise; raw: required
  std::optional<shm::Shape> shape;  ///< raw: required
  shm::Order order = shm::Order::kC;
  bool skip_heading = false;  ///< csv: the first line has no values
};

/// From what a person writes; an empty text leaves its part open. Errors: EINVAL.
[[nodiscard]] shm::Result<ForeignType> parse_foreign_type(const std::string& dtype,
                                                          const std::string& shape);

/// Whether the ending of the name is that of an archive: npz, safetensors.
[[nodiscard]] bool is_archive_name(const std::string& path);

/// Whether the bytes of the array are what its file had; to be asked when they have been read.
/// Errors: EIO with the path and the reason.
[[nodiscard]] shm::Result<void> check_source(const std::string& path, const ForeignArray& array);

/// The arrays of a file, its format by the ending of its name: .npy, .npz, .csv, .safetensors; any
/// other is raw. Errors: EINVAL with the reason, EOPNOTSUPP (pickles), those of open(2) and
/// mmap(2).
[[nodiscard]] shm::Result<std::vector<ForeignArray>> read_foreign(const std::string& path,
                                                                  const ForeignType& type);

/// The bytes of a file in memory, mapped as long as somebody has them.
struct MappedFile {
  std::span<const std::byte> bytes;
  std::shared_ptr<const FileMapping> owner;
  [[nodiscard]] static shm::Result<MappedFile> open(const std::string& path);
};

/// One file each. Errors: as above.
[[nodiscard]] shm::Result<std::vector<ForeignArray>> read_npz(const MappedFile& file);
[[nodiscard]] shm::Result<std::vector<ForeignArray>> read_safetensors(const MappedFile& file);
[[nodiscard]] shm::Result<ForeignArray> read_csv(const MappedFile& file, const ForeignType& type);
/// A .npy file that lies in memory; `owner` keeps the bytes.
[[nodiscard]] shm::Result<ForeignArray> read_npy_bytes(std::span<const std::byte> bytes,
                                                       std::shared_ptr<const void> owner);

}  // namespace arrayfs
