#include "fuse_ops_fixture.hpp"

#include <fcntl.h>

#include <cstddef>

namespace arrayfs {
namespace {

using Entries = std::map<std::string, std::uint64_t>;

// Adds what one reply of READDIR or READDIRPLUS lists; returns the offset behind its last entry.
std::uint64_t add_entries(const Reply& part, bool plus, Entries& all) {
  const size_t prefix = plus ? sizeof(fuse_entry_out) : 0;
  std::uint64_t offset = 0;
  for (size_t at = 0; at < part.body.size();) {
    const auto entry = part.as<fuse_dirent>(at + prefix);
    const std::string name =
        part.body.substr(at + prefix + offsetof(fuse_dirent, name), entry.namelen);
    EXPECT_FALSE(all.contains(name)) << name << " twice";
    all[name] = plus ? part.as<fuse_entry_out>(at).nodeid : 0;
    offset = entry.off;
    at += FUSE_DIRENT_ALIGN(prefix + offsetof(fuse_dirent, name) + entry.namelen);
  }
  return offset;
}

}  // namespace

FuseOps::Opened FuseOps::create(std::string_view name, std::string_view bytes) {
  const Reply made = kernel_.create(kRoot, name, O_RDWR);
  EXPECT_EQ(made.error, 0) << name;
  const Opened file{made.as<fuse_entry_out>().nodeid,
                    made.as<fuse_open_out>(sizeof(fuse_entry_out)).fh};
  if (!bytes.empty()) {
    EXPECT_EQ(kernel_.write(file.node, file.handle, 0, bytes).error, 0);
  }
  return file;
}

std::uint64_t FuseOps::create_closed(std::string_view name, std::string_view bytes) {
  const Opened file = create(name, bytes);
  EXPECT_EQ(kernel_.release(file.node, file.handle, O_RDWR).error, 0);
  return file.node;
}

std::uint64_t FuseOps::make_directory(std::uint64_t parent, std::string_view name) {
  const Reply made = kernel_.mkdir(parent, name);
  EXPECT_EQ(made.error, 0) << name;
  return made.as<fuse_entry_out>().nodeid;
}

std::uint64_t FuseOps::open_directory(std::uint64_t node) {
  return kernel_.opendir(node).as<fuse_open_out>().fh;
}

Entries FuseOps::list(std::uint64_t node, bool plus, std::uint32_t size) {
  Entries all;
  const std::uint64_t handle = open_directory(node);
  for (std::uint64_t offset = 0;;) {
    const Reply part = plus ? kernel_.readdirplus(node, handle, size, offset)
                            : kernel_.readdir(node, handle, size, offset);
    EXPECT_EQ(part.error, 0);
    EXPECT_LE(part.body.size(), size);
    if (part.error != 0 || part.body.empty()) {
      break;
    }
    offset = add_entries(part, plus, all);
  }
  EXPECT_EQ(kernel_.releasedir(node, handle).error, 0);
  return all;
}

Reply FuseOps::set_size(std::uint64_t node, std::uint64_t size) {
  fuse_setattr_in in{};
  in.valid = FATTR_SIZE;
  in.size = size;
  return kernel_.setattr(node, in);
}

Reply FuseOps::set_mode(std::uint64_t node, std::uint32_t mode) {
  fuse_setattr_in in{};
  in.valid = FATTR_MODE;
  in.mode = mode;
  return kernel_.setattr(node, in);
}

}  // namespace arrayfs
