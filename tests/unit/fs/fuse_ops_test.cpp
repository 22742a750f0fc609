// The operation table, driven by requests as the kernel writes them, and by some that it never
// would. The plane is cached: a socket is no device that backing files could be registered with.
#include "fuse_ops.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "raw_kernel.hpp"

namespace arrayfs {
namespace {

constexpr std::uint64_t kRoot = FUSE_ROOT_ID;
constexpr std::uint64_t kUnknown = 999'999;

class FuseOps : public testing::Test {
 protected:
  struct Opened {
    std::uint64_t node = 0;
    std::uint64_t handle = 0;
  };

  // A file with `bytes`, open for reading and writing.
  Opened create(std::string_view name, std::string_view bytes = {}) {
    const Reply made = kernel_.create(kRoot, name, O_RDWR);
    EXPECT_EQ(made.error, 0) << name;
    const Opened file{made.as<fuse_entry_out>().nodeid,
                      made.as<fuse_open_out>(sizeof(fuse_entry_out)).fh};
    if (!bytes.empty()) {
      EXPECT_EQ(kernel_.write(file.node, file.handle, 0, bytes).error, 0);
    }
    return file;
  }
  std::uint64_t create_closed(std::string_view name, std::string_view bytes = {}) {
    const Opened file = create(name, bytes);
    EXPECT_EQ(kernel_.release(file.node, file.handle, O_RDWR).error, 0);
    return file.node;
  }
  fuse_attr attr(std::uint64_t node) { return kernel_.getattr(node).as<fuse_attr_out>().attr; }
  Reply set_attr(std::uint64_t node, const fuse_setattr_in& in, Requester who = {}) {
    return kernel_.call(FUSE_SETATTR, node, wire(in), who);
  }
  Reply set_size(std::uint64_t node, std::uint64_t size) {
    fuse_setattr_in in{};
    in.valid = FATTR_SIZE;
    in.size = size;
    return set_attr(node, in);
  }
  Reply set_xattr(std::uint64_t node, std::string_view name, std::string_view value,
                  std::uint32_t flags = 0) {
    // The short form of the request: FUSE_SETXATTR_EXT is not negotiated.
    struct {
      std::uint32_t size;
      std::uint32_t flags;
    } in{static_cast<std::uint32_t>(value.size()), flags};
    return kernel_.call(FUSE_SETXATTR, node, wire(in, name).append(value));
  }
  Reply get_xattr(std::uint64_t node, std::string_view name, std::uint32_t size = 4096) {
    return kernel_.call(FUSE_GETXATTR, node, wire(fuse_getxattr_in{size, 0}, name));
  }
  Reply rename(std::uint64_t parent, std::string_view name, std::uint64_t new_parent,
               std::string_view new_name, std::uint32_t flags = 0) {
    return kernel_.call(FUSE_RENAME2, parent,
                        wire(fuse_rename2_in{new_parent, flags, 0}, name, new_name));
  }
  std::uint64_t mkdir(std::uint64_t parent, std::string_view name) {
    const Reply made = kernel_.call(FUSE_MKDIR, parent, wire(fuse_mkdir_in{0755, 0}, name));
    EXPECT_EQ(made.error, 0) << name;
    return made.as<fuse_entry_out>().nodeid;
  }
  std::uint64_t open_dir(std::uint64_t node) {
    return kernel_.call(FUSE_OPENDIR, node, wire(fuse_open_in{})).as<fuse_open_out>().fh;
  }
  Reply release_dir(std::uint64_t node, std::uint64_t handle) {
    fuse_release_in in{};
    in.fh = handle;
    return kernel_.call(FUSE_RELEASEDIR, node, wire(in));
  }

  // The entries of a directory by name, with their node ids (0: none) when `plus`.
  std::map<std::string, std::uint64_t> list(std::uint64_t node, bool plus, std::uint32_t size) {
    std::map<std::string, std::uint64_t> all;
    const std::uint64_t handle = open_dir(node);
    fuse_read_in in{};
    in.fh = handle;
    in.size = size;
    for (;;) {
      const Reply part = kernel_.call(plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, wire(in));
      EXPECT_EQ(part.error, 0);
      EXPECT_LE(part.body.size(), size);
      if (part.error != 0 || part.body.empty()) {
        break;
      }
      const size_t prefix = plus ? sizeof(fuse_entry_out) : 0;
      for (size_t at = 0; at < part.body.size();) {
        const auto entry = part.as<fuse_dirent>(at + prefix);
        const std::string name =
            part.body.substr(at + prefix + offsetof(fuse_dirent, name), entry.namelen);
        EXPECT_FALSE(all.contains(name)) << name << " twice";
        all[name] = plus ? part.as<fuse_entry_out>(at).nodeid : 0;
        in.offset = entry.off;
        at += FUSE_DIRENT_ALIGN(prefix + offsetof(fuse_dirent, name) + entry.namelen);
      }
    }
    EXPECT_EQ(release_dir(node, handle).error, 0);
    return all;
  }

  RawKernel kernel_;
};

// ---- INIT

TEST_F(FuseOps, InitAsksForWhatTheDaemonNeeds) {
  const std::uint64_t flags =
      kernel_.negotiated().flags | std::uint64_t{kernel_.negotiated().flags2} << 32;
  EXPECT_EQ(kernel_.negotiated().major, 7U);
  EXPECT_NE(flags & FUSE_POSIX_ACL, 0U);
  EXPECT_NE(flags & FUSE_DONT_MASK, 0U);
  EXPECT_NE(flags & FUSE_ATOMIC_O_TRUNC, 0U);
  EXPECT_NE(flags & FUSE_HANDLE_KILLPRIV_V2, 0U);
  EXPECT_EQ(flags & FUSE_WRITEBACK_CACHE, 0U) << "it disables passthrough";
  EXPECT_EQ(flags & FUSE_HANDLE_KILLPRIV, 0U);
  EXPECT_EQ(kernel_.negotiated().time_gran, 1U);
}

TEST_F(FuseOps, PassthroughIsAskedForAndItsAbsenceExplained) {
  if (is_root()) {
    EXPECT_NE(kernel_.negotiated().flags2 & (1U << 5), 0U);
    EXPECT_EQ(kernel_.negotiated().unused[0], 1U);  // max_stack_depth of protocol 7.40
  }
  const std::string status = kernel_.view(".arrayfs/status");
  EXPECT_NE(status.find("plane: cached"), std::string::npos) << status;
  EXPECT_EQ(status.find("plane_reason: \n"), std::string::npos) << status;
}

TEST(FuseInit, WhatIsNotOfferedIsNotTaken) {
  RawKernel kernel(unique_config(), FUSE_ASYNC_READ);
  EXPECT_EQ(kernel.negotiated().flags & (FUSE_HANDLE_KILLPRIV_V2 | FUSE_POSIX_ACL | FUSE_INIT_EXT),
            0U);
  EXPECT_EQ(kernel.negotiated().flags2, 0U);
  EXPECT_NE(kernel.view(".arrayfs/status").find("does not offer"), std::string::npos);
}

TEST(FuseInit, CachedDoesNotAskForPassthrough) {
  MountConfig config = unique_config();
  config.io = Io::kCached;
  RawKernel kernel(config);
  EXPECT_EQ(kernel.negotiated().flags2 & (1U << 5), 0U);
  EXPECT_NE(kernel.view(".arrayfs/status").find("--io cached"), std::string::npos);
}

TEST(FuseInit, PassthroughThatCannotBeHadIsAnError) {
  MountConfig config = unique_config();
  config.io = Io::kPassthrough;
  RawKernel kernel(config);
  const auto served = kernel.finish();
  ASSERT_TRUE(fails_with(served, ENOTSUP));
  EXPECT_NE(served.error().context.find("--io auto"), std::string::npos);
}

TEST(FuseInit, HangingUpEndsTheSessionWithoutALeak) {
  const size_t descriptors = open_descriptors();
  {
    RawKernel kernel;
    EXPECT_EQ(kernel.lookup(kRoot, "nothing").error, ENOENT);
    EXPECT_TRUE(ok(kernel.finish()));
  }
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_F(FuseOps, ASecondInitIsRefused) {
  fuse_init_in init{};
  init.major = 7;
  init.minor = 44;
  EXPECT_EQ(kernel_.call(FUSE_INIT, 0, wire(init)).error, EIO);
  EXPECT_EQ(kernel_.getattr(kRoot).error, 0);
}

// ---- names

TEST_F(FuseOps, LookupFindsWhatIsThere) {
  const std::uint64_t node = create_closed("a", "12345");
  const Reply found = kernel_.lookup(kRoot, "a");
  ASSERT_EQ(found.error, 0);
  const auto entry = found.as<fuse_entry_out>();
  EXPECT_EQ(entry.nodeid, node);
  EXPECT_EQ(entry.attr.size, 5U);
  EXPECT_EQ(entry.attr.blksize, 4096U);
  EXPECT_GT(entry.entry_valid, 0U);
}

TEST_F(FuseOps, LookupFails) {
  create_closed("file");
  EXPECT_EQ(kernel_.lookup(kRoot, "nothing").error, ENOENT);
  EXPECT_EQ(kernel_.lookup(kRoot, std::string(256, 'n')).error, ENAMETOOLONG);
  EXPECT_EQ(kernel_.lookup(kernel_.walk("file"), "below").error, ENOTDIR);
  EXPECT_EQ(kernel_.lookup(kUnknown, "a").error, ESTALE);
  EXPECT_EQ(kernel_.lookup(0, "a").error, ESTALE);
}

TEST_F(FuseOps, NothingOutsideOfTheStoreIsReached) {
  const std::uint64_t directory = mkdir(kRoot, "d");
  create_closed("a");
  for (const char* name : {"..", "../private", "/etc/passwd", "d/../..", "./a", "d/", "/"}) {
    EXPECT_NE(kernel_.lookup(kRoot, name).error, 0) << name;
    EXPECT_NE(kernel_.lookup(directory, name).error, 0) << name;
    EXPECT_NE(kernel_.create(directory, name, O_RDWR).error, 0) << name;
    EXPECT_NE(kernel_.call(FUSE_MKDIR, directory, wire(fuse_mkdir_in{0755, 0}, name)).error, 0)
        << name;
    EXPECT_NE(kernel_.call(FUSE_UNLINK, directory, wire(name)).error, 0) << name;
    EXPECT_NE(kernel_.call(FUSE_RMDIR, directory, wire(name)).error, 0) << name;
  }
  EXPECT_EQ(kernel_.create(directory, "../b", O_RDWR).error, EINVAL);
  EXPECT_EQ(kernel_.create(directory, "../../escaped", O_RDWR).error, EINVAL);
  EXPECT_EQ(kernel_.call(FUSE_MKDIR, directory, wire(fuse_mkdir_in{0755, 0}, "../b")).error,
            EINVAL);
  EXPECT_EQ(kernel_.call(FUSE_SYMLINK, directory, wire("../b", "target")).error, EINVAL);
  EXPECT_EQ(
      kernel_.call(FUSE_MKNOD, directory, wire(fuse_mknod_in{S_IFIFO, 0, 0, 0}, "../b")).error,
      EINVAL);
  EXPECT_EQ(kernel_.call(FUSE_UNLINK, directory, wire("../a")).error, EINVAL);
  EXPECT_EQ(rename(directory, "../a", kRoot, "b").error, EINVAL);
  EXPECT_EQ(rename(kRoot, "a", directory, "../../b").error, EINVAL);
  EXPECT_EQ(kernel_.call(FUSE_LINK, directory, wire(fuse_link_in{kernel_.walk("a")}, "../b")).error,
            EINVAL);
  EXPECT_EQ(kernel_.lookup(kRoot, "b").error, ENOENT);
  EXPECT_EQ(kernel_.lookup(kRoot, "a").error, 0);
}

TEST_F(FuseOps, AnEmptyNameIsNoFile) {
  EXPECT_EQ(kernel_.lookup(kRoot, "").error, ENOENT);
  EXPECT_NE(kernel_.create(kRoot, "", O_RDWR).error, 0);
  EXPECT_EQ(kernel_.call(FUSE_UNLINK, kRoot, wire("")).error, ENOENT);
}

TEST_F(FuseOps, NamesAreAnyBytes) {
  for (const std::string& name :
       {std::string("\xff\xfe"), std::string("\n"), std::string(" "), std::string(255, 'x')}) {
    create_closed(name);
    EXPECT_EQ(kernel_.lookup(kRoot, name).error, 0);
  }
  EXPECT_EQ(list(kRoot, false, 4096).size(), 6U);
}

TEST_F(FuseOps, ForgetFreesNodes) {
  const std::uint64_t before = kernel_.status("kernel_nodes");
  const std::uint64_t node = create_closed("a");
  kernel_.lookup(kRoot, "a");
  EXPECT_EQ(kernel_.status("kernel_nodes"), before + 1);
  kernel_.forget(node, 2);
  EXPECT_EQ(kernel_.status("kernel_nodes"), before);
  EXPECT_EQ(kernel_.getattr(node).error, ESTALE);
}

TEST_F(FuseOps, ForgetMulti) {
  const std::uint64_t before = kernel_.status("kernel_nodes");
  const std::uint64_t a = create_closed("a");
  const std::uint64_t b = create_closed("b");
  kernel_.send(FUSE_BATCH_FORGET, 0,
               wire(fuse_batch_forget_in{4, 0}, fuse_forget_one{a, 1}, fuse_forget_one{b, 1},
                    fuse_forget_one{kUnknown, 5}, fuse_forget_one{~0ULL, 1}));
  EXPECT_EQ(kernel_.status("kernel_nodes"), before);
}

TEST_F(FuseOps, ForgettingWhatIsNotKnownChangesNothing) {
  const std::uint64_t before = kernel_.status("kernel_nodes");
  for (const std::uint64_t node :
       {std::uint64_t{0}, kRoot, kUnknown, std::uint64_t{1} << 56, ~std::uint64_t{0}}) {
    kernel_.forget(node, UINT64_MAX);
  }
  EXPECT_EQ(kernel_.status("kernel_nodes"), before);
  EXPECT_EQ(kernel_.getattr(kRoot).error, 0);
}

TEST_F(FuseOps, MakesAndRemovesDirectories) {
  const std::uint64_t node = mkdir(kRoot, "d");
  EXPECT_EQ(attr(node).mode, static_cast<std::uint32_t>(S_IFDIR | 0755));
  EXPECT_EQ(kernel_.call(FUSE_MKDIR, kRoot, wire(fuse_mkdir_in{0755, 0}, "d")).error, EEXIST);
  mkdir(node, "below");
  EXPECT_EQ(kernel_.call(FUSE_RMDIR, kRoot, wire("d")).error, ENOTEMPTY);
  EXPECT_EQ(kernel_.call(FUSE_UNLINK, kRoot, wire("d")).error, EISDIR);
  EXPECT_EQ(kernel_.call(FUSE_RMDIR, node, wire("below")).error, 0);
  EXPECT_EQ(kernel_.call(FUSE_RMDIR, kRoot, wire("d")).error, 0);
  EXPECT_EQ(kernel_.call(FUSE_RMDIR, kRoot, wire("d")).error, ENOENT);
  EXPECT_EQ(kernel_.call(FUSE_MKDIR, node, wire(fuse_mkdir_in{0755, 0}, "late")).error, ENOENT);
}

TEST_F(FuseOps, NewFilesBelongToTheirMaker) {
  SKIP_UNLESS_ROOT("only root acts for others");
  const Reply made = kernel_.create(kRoot, "a", O_RDWR, 0640, {1234, 5678});
  ASSERT_EQ(made.error, 0);
  const fuse_attr file = made.as<fuse_entry_out>().attr;
  EXPECT_EQ(file.uid, 1234U);
  EXPECT_EQ(file.gid, 5678U);
  EXPECT_EQ(file.mode, static_cast<std::uint32_t>(S_IFREG | 0640));
}

TEST_F(FuseOps, TheUmaskIsTheCallers) {
  fuse_mkdir_in in{0777, 027};
  const Reply made = kernel_.call(FUSE_MKDIR, kRoot, wire(in, "d"));
  EXPECT_EQ(made.as<fuse_entry_out>().attr.mode, static_cast<std::uint32_t>(S_IFDIR | 0750));
}

TEST_F(FuseOps, SymlinksLinksAndSpecialFiles) {
  const Reply link = kernel_.call(FUSE_SYMLINK, kRoot, wire("l", "some/where"));
  ASSERT_EQ(link.error, 0);
  const std::uint64_t symlink = link.as<fuse_entry_out>().nodeid;
  EXPECT_EQ(kernel_.call(FUSE_READLINK, symlink, "").body, "some/where");
  EXPECT_NE(kernel_.call(FUSE_READLINK, kRoot, "").error, 0);
  EXPECT_EQ(kernel_.call(FUSE_READLINK, kUnknown, "").error, ESTALE);
  EXPECT_EQ(kernel_.call(FUSE_SYMLINK, kRoot, wire("l", "x")).error, EEXIST);

  const std::uint64_t file = create_closed("a");
  const Reply second = kernel_.call(FUSE_LINK, kRoot, wire(fuse_link_in{file}, "b"));
  EXPECT_EQ(second.as<fuse_entry_out>().nodeid, file);
  EXPECT_EQ(second.as<fuse_entry_out>().attr.nlink, 2U);
  EXPECT_EQ(kernel_.call(FUSE_LINK, kRoot, wire(fuse_link_in{file}, "b")).error, EEXIST);
  EXPECT_EQ(kernel_.call(FUSE_LINK, kRoot, wire(fuse_link_in{kUnknown}, "c")).error, ESTALE);
  EXPECT_EQ(kernel_.call(FUSE_LINK, kRoot, wire(fuse_link_in{mkdir(kRoot, "d")}, "c")).error,
            EPERM);

  const Reply fifo =
      kernel_.call(FUSE_MKNOD, kRoot, wire(fuse_mknod_in{S_IFIFO | 0600, 0, 0, 0}, "f"));
  EXPECT_EQ(fifo.as<fuse_entry_out>().attr.mode, static_cast<std::uint32_t>(S_IFIFO | 0600));
}

TEST_F(FuseOps, OpeningAFifoIsRefusedAndWaitsForNobody) {
  const auto made =
      kernel_.call(FUSE_MKNOD, kRoot, wire(fuse_mknod_in{S_IFIFO | 0600, 0, 0, 0}, "f"));
  const auto node = made.as<fuse_entry_out>().nodeid;
  EXPECT_EQ(kernel_.open(node, O_RDONLY).error, ENXIO);
  EXPECT_EQ(kernel_.open(node, O_WRONLY).error, ENXIO);
}

TEST_F(FuseOps, UnlinkTakesTheName) {
  const Opened file = create("a", "12345");
  EXPECT_EQ(kernel_.call(FUSE_UNLINK, kRoot, wire("a")).error, 0);
  EXPECT_EQ(kernel_.lookup(kRoot, "a").error, ENOENT);
  EXPECT_EQ(kernel_.read(file.node, file.handle, 0, 10).body, "12345");
  EXPECT_EQ(kernel_.call(FUSE_UNLINK, kRoot, wire("a")).error, ENOENT);
  EXPECT_EQ(kernel_.status("nameless_files"), 1U);
  kernel_.release(file.node, file.handle, O_RDWR);
  kernel_.forget(file.node);
  EXPECT_EQ(kernel_.status("nameless_files"), 0U);
}

TEST_F(FuseOps, RenameAndItsFlags) {
  const std::uint64_t directory = mkdir(kRoot, "d");
  create_closed("a", "a");
  create_closed("b", "b");
  EXPECT_EQ(rename(kRoot, "a", kRoot, "b", RENAME_NOREPLACE).error, EEXIST);
  EXPECT_EQ(rename(kRoot, "a", kRoot, "b", RENAME_EXCHANGE).error, 0);
  EXPECT_EQ(rename(kRoot, "a", kRoot, "missing", RENAME_EXCHANGE).error, ENOENT);
  EXPECT_EQ(rename(kRoot, "a", kRoot, "b", 0x80).error, EINVAL);
  EXPECT_EQ(rename(kRoot, "missing", kRoot, "b").error, ENOENT);
  EXPECT_EQ(rename(kRoot, "a", kRoot, "d").error, EISDIR);
  EXPECT_EQ(rename(kRoot, "d", directory, "d").error, EINVAL);
  EXPECT_EQ(rename(kRoot, "a", kUnknown, "x").error, ESTALE);
  EXPECT_EQ(rename(kUnknown, "a", kRoot, "x").error, ESTALE);
  EXPECT_EQ(rename(kRoot, "a", kRoot, std::string(256, 'n')).error, ENAMETOOLONG);
  EXPECT_EQ(rename(kRoot, "a", directory, "moved").error, 0);
  EXPECT_EQ(kernel_.lookup(kRoot, "a").error, ENOENT);
  EXPECT_EQ(kernel_.lookup(directory, "moved").error, 0);
  // The request of before RENAME2.
  EXPECT_EQ(kernel_.call(FUSE_RENAME, kRoot, wire(fuse_rename_in{directory}, "b", "moved")).error,
            0);
}

// ---- directories

TEST_F(FuseOps, ReaddirListsAllInPieces) {
  for (int i = 0; i < 200; ++i) {
    create_closed("file-" + std::to_string(i));
  }
  for (const bool plus : {false, true}) {
    for (const std::uint32_t size : {512U, 4096U, 1U << 20}) {
      const auto all = list(kRoot, plus, size);
      EXPECT_EQ(all.size(), 202U) << plus << " " << size;
      EXPECT_FALSE(all.contains(".arrayfs"));
    }
  }
}

TEST_F(FuseOps, ReaddirPlusGivesNodesToForget) {
  const std::uint64_t node = create_closed("a");
  const auto all = list(kRoot, true, 4096);
  EXPECT_EQ(all.at("a"), node);
  EXPECT_EQ(all.at("."), 0U);
  kernel_.forget(node, 1);
  EXPECT_EQ(kernel_.getattr(node).error, 0);
  kernel_.forget(node, 1);
  EXPECT_EQ(kernel_.getattr(node).error, ESTALE);
}

TEST_F(FuseOps, ReaddirWithoutRoomGivesNothing) {
  create_closed("a");
  const std::uint64_t before = kernel_.status("kernel_nodes");
  const std::uint64_t handle = open_dir(kRoot);
  fuse_read_in in{};
  in.fh = handle;
  for (const std::uint32_t size : {0U, 1U, 24U}) {
    in.size = size;
    EXPECT_EQ(kernel_.call(FUSE_READDIR, kRoot, wire(in)).body, "") << size;
    EXPECT_EQ(kernel_.call(FUSE_READDIRPLUS, kRoot, wire(in)).body, "") << size;
  }
  EXPECT_EQ(release_dir(kRoot, handle).error, 0);
  EXPECT_EQ(kernel_.status("kernel_nodes"), before);
}

TEST_F(FuseOps, ReaddirOfHugeSizesIsAnsweredWithinReason) {
  create_closed("a");
  const std::uint64_t handle = open_dir(kRoot);
  fuse_read_in in{};
  in.fh = handle;
  in.size = UINT32_MAX;
  EXPECT_FALSE(kernel_.call(FUSE_READDIR, kRoot, wire(in)).body.empty());
  EXPECT_FALSE(kernel_.call(FUSE_READDIRPLUS, kRoot, wire(in)).body.empty());
  EXPECT_EQ(release_dir(kRoot, handle).error, 0);
}

TEST_F(FuseOps, DirectoryFailures) {
  const std::uint64_t file = create_closed("a");
  EXPECT_EQ(kernel_.call(FUSE_OPENDIR, file, wire(fuse_open_in{})).error, ENOTDIR);
  EXPECT_EQ(kernel_.call(FUSE_OPENDIR, kUnknown, wire(fuse_open_in{})).error, ESTALE);
  fuse_read_in in{};
  in.fh = 1'000'000;  // no handle
  in.size = 4096;
  EXPECT_EQ(kernel_.call(FUSE_READDIR, kRoot, wire(in)).error, EBADF);
  EXPECT_EQ(kernel_.call(FUSE_READDIRPLUS, kRoot, wire(in)).error, EBADF);
  EXPECT_EQ(kernel_.call(FUSE_FSYNCDIR, kRoot, wire(fuse_fsync_in{1'000'000, 0, 0})).error, EBADF);
}

TEST_F(FuseOps, ADirectoryThatWasRemovedIsReadToItsEnd) {
  const std::uint64_t node = mkdir(kRoot, "d");
  const std::uint64_t handle = open_dir(node);
  EXPECT_EQ(kernel_.call(FUSE_RMDIR, kRoot, wire("d")).error, 0);
  fuse_read_in in{};
  in.fh = handle;
  in.size = 4096;
  EXPECT_EQ(kernel_.call(FUSE_READDIR, node, wire(in)).error, ENOENT);  // as on tmpfs
  EXPECT_EQ(kernel_.call(FUSE_FSYNCDIR, node, wire(fuse_fsync_in{handle, 0, 0})).error, 0);
  EXPECT_EQ(release_dir(node, handle).error, 0);
}

TEST(FuseControl, IsListedWhenAskedFor) {
  MountConfig config = unique_config();
  config.show_control = true;
  RawKernel kernel(config);
  const std::uint64_t handle =
      kernel.call(FUSE_OPENDIR, kRoot, wire(fuse_open_in{})).as<fuse_open_out>().fh;
  fuse_read_in in{};
  in.fh = handle;
  in.size = 4096;
  const Reply listed = kernel.call(FUSE_READDIR, kRoot, wire(in));
  EXPECT_NE(listed.body.find(".arrayfs"), std::string::npos);
}

// ---- attributes

TEST_F(FuseOps, GetattrFails) {
  for (const std::uint64_t node : {std::uint64_t{0}, kUnknown, std::uint64_t{1} << 40}) {
    EXPECT_EQ(kernel_.getattr(node).error, ESTALE) << node;
  }
}

TEST_F(FuseOps, SetattrChangesWhatItNames) {
  const std::uint64_t node = create_closed("a", "12345");
  fuse_setattr_in in{};
  in.valid = FATTR_MODE | FATTR_MTIME | FATTR_ATIME;
  in.mode = S_IFREG | 0600;
  in.mtime = 1000;
  in.mtimensec = 5;
  in.atime = 2000;
  const Reply changed = set_attr(node, in);
  ASSERT_EQ(changed.error, 0);
  const fuse_attr now = changed.as<fuse_attr_out>().attr;
  EXPECT_EQ(now.mode, static_cast<std::uint32_t>(S_IFREG | 0600));
  EXPECT_EQ(now.mtime, 1000U);
  EXPECT_EQ(now.mtimensec, 5U);
  EXPECT_EQ(now.atime, 2000U);
  EXPECT_EQ(now.size, 5U);
  in = {};
  in.valid = FATTR_MTIME | FATTR_MTIME_NOW;
  EXPECT_GT(set_attr(node, in).as<fuse_attr_out>().attr.mtime, 1000U);
}

TEST_F(FuseOps, SetattrOfOwnersDropsSetuid) {
  SKIP_UNLESS_ROOT("only root gives files away");
  const std::uint64_t node = create_closed("a");
  fuse_setattr_in in{};
  in.valid = FATTR_MODE;
  in.mode = S_IFREG | 06755;
  EXPECT_EQ(set_attr(node, in).as<fuse_attr_out>().attr.mode & 07777, 06755U);
  in = {};
  in.valid = FATTR_UID | FATTR_GID;
  in.uid = 1234;
  in.gid = 5678;
  const fuse_attr now = set_attr(node, in).as<fuse_attr_out>().attr;
  EXPECT_EQ(now.uid, 1234U);
  EXPECT_EQ(now.gid, 5678U);
  EXPECT_EQ(now.mode & 07777, 0755U);
}

TEST_F(FuseOps, SetattrKillsSetuidWhenAskedTo) {
  const std::uint64_t node = create_closed("a", "12345");
  fuse_setattr_in in{};
  in.valid = FATTR_MODE;
  in.mode = S_IFREG | 04755;
  set_attr(node, in);
  in = {};
  in.valid = FATTR_SIZE | FATTR_KILL_SUIDGID;
  in.size = 2;
  EXPECT_EQ(set_attr(node, in).as<fuse_attr_out>().attr.mode & 07777, 0755U);
}

TEST_F(FuseOps, AWriteByAnotherUserKillsSetuid) {
  const Opened file = create("a", "12345");
  fuse_setattr_in in{};
  in.valid = FATTR_MODE;
  in.mode = S_IFREG | 04777;
  set_attr(file.node, in);
  fuse_write_in write{};
  write.fh = file.handle;
  write.size = 1;
  write.write_flags = FUSE_WRITE_KILL_SUIDGID;
  EXPECT_EQ(kernel_.call(FUSE_WRITE, file.node, wire(write).append("x"), {1234, 1234}).error, 0);
  EXPECT_EQ(attr(file.node).mode & 07777, 0777U);
}

TEST_F(FuseOps, SetattrFails) {
  fuse_setattr_in in{};
  in.valid = FATTR_MODE;
  EXPECT_EQ(set_attr(kUnknown, in).error, ESTALE);
  EXPECT_EQ(set_size(kUnknown, 5).error, ESTALE);
  EXPECT_EQ(set_size(kRoot, 5).error, EISDIR);
  const std::uint64_t node = create_closed("a");
  EXPECT_EQ(set_size(node, 1ULL << 63).error, EINVAL);
  EXPECT_EQ(set_size(node, ~0ULL).error, EINVAL);
  EXPECT_EQ(attr(node).size, 0U);
}

TEST_F(FuseOps, GrowthIsAllocatedOrRefused) {
  SKIP_UNLESS_ROOT("only the tmpfs of root has a size");
  const std::uint64_t node = create_closed("a", "12345");
  const Reply grown = set_size(node, 1 << 20);
  ASSERT_EQ(grown.error, 0);
  EXPECT_GE(grown.as<fuse_attr_out>().attr.blocks * 512, 1U << 20);
  EXPECT_EQ(set_size(node, 1ULL << 40).error, ENOSPC);
  EXPECT_EQ(attr(node).size, 1U << 20);
}

// ---- xattrs

TEST_F(FuseOps, XattrsAreKept) {
  const std::uint64_t node = create_closed("a");
  EXPECT_EQ(set_xattr(node, "user.x", "value").error, 0);
  EXPECT_EQ(get_xattr(node, "user.x").body, "value");
  EXPECT_EQ(get_xattr(node, "user.x", 0).as<fuse_getxattr_out>().size, 5U);
  const Reply names = kernel_.call(FUSE_LISTXATTR, node, wire(fuse_getxattr_in{4096, 0}));
  EXPECT_EQ(names.body, std::string("user.x\0", 7));
  EXPECT_EQ(kernel_.call(FUSE_REMOVEXATTR, node, wire("user.x")).error, 0);
  EXPECT_EQ(get_xattr(node, "user.x").error, ENODATA);
}

TEST_F(FuseOps, XattrFailures) {
  const std::uint64_t node = create_closed("a");
  set_xattr(node, "user.x", "value");
  EXPECT_EQ(get_xattr(node, "user.x", 4).error, ERANGE);
  EXPECT_EQ(set_xattr(node, "user.x", "again", XATTR_CREATE).error, EEXIST);
  EXPECT_EQ(set_xattr(node, "user.y", "none", XATTR_REPLACE).error, ENODATA);
  EXPECT_EQ(set_xattr(node, "user.array.nothing", "1").error, EINVAL);
  EXPECT_EQ(kernel_.call(FUSE_REMOVEXATTR, node, wire("user.y")).error, ENODATA);
  EXPECT_EQ(get_xattr(node, "no_namespace").error, EOPNOTSUPP);
  EXPECT_EQ(get_xattr(kUnknown, "user.x").error, ESTALE);
  EXPECT_EQ(set_xattr(kUnknown, "user.x", "1").error, ESTALE);
  EXPECT_EQ(kernel_.call(FUSE_LISTXATTR, kUnknown, wire(fuse_getxattr_in{0, 0})).error, ESTALE);
  EXPECT_EQ(kernel_.call(FUSE_LISTXATTR, node, wire(fuse_getxattr_in{1, 0})).error, ERANGE);
  EXPECT_EQ(get_xattr(node, "user.x", UINT32_MAX).body, "value");
}

TEST_F(FuseOps, ArraysDescribeThemselvesInXattrs) {
  const std::uint64_t node = create_closed("w.npy", npy_bytes("<f8", {3, 4}));
  EXPECT_EQ(get_xattr(node, "user.array.shape").body, "3,4");
  EXPECT_EQ(set_xattr(node, "user.array.shape", "3,4").error, 0);
  EXPECT_EQ(set_xattr(node, "user.array.shape", "4,3").error, EINVAL);
  EXPECT_EQ(kernel_.call(FUSE_REMOVEXATTR, node, wire("user.array.shape")).error, EPERM);
  const Reply names = kernel_.call(FUSE_LISTXATTR, node, wire(fuse_getxattr_in{4096, 0}));
  EXPECT_NE(names.body.find("user.array.dtype"), std::string::npos);
}

// ---- files

TEST_F(FuseOps, CreateWriteReadRelease) {
  const std::uint64_t before = kernel_.status("open_files");
  const Opened file = create("a");
  EXPECT_EQ(kernel_.write(file.node, file.handle, 0, "hello").as<fuse_write_out>().size, 5U);
  EXPECT_EQ(kernel_.write(file.node, file.handle, 10, "there").as<fuse_write_out>().size, 5U);
  EXPECT_EQ(kernel_.read(file.node, file.handle, 0, 100).body,
            std::string("hello\0\0\0\0\0there", 15));
  EXPECT_EQ(kernel_.read(file.node, file.handle, 12, 2).body, "er");
  EXPECT_EQ(kernel_.read(file.node, file.handle, 100, 10).body, "");
  EXPECT_EQ(kernel_.status("open_files"), before + 1);
  EXPECT_EQ(kernel_.call(FUSE_FLUSH, file.node, wire(fuse_flush_in{file.handle, 0, 0, 0})).error,
            0);
  EXPECT_EQ(kernel_.call(FUSE_FSYNC, file.node, wire(fuse_fsync_in{file.handle, 0, 0})).error, 0);
  EXPECT_EQ(kernel_.call(FUSE_FSYNC, file.node, wire(fuse_fsync_in{file.handle, 1, 0})).error, 0);
  EXPECT_EQ(kernel_.release(file.node, file.handle, O_RDWR).error, 0);
  EXPECT_EQ(kernel_.status("open_files"), before);
}

TEST_F(FuseOps, CreateFails) {
  create_closed("a");
  mkdir(kRoot, "d");
  EXPECT_EQ(kernel_.create(kRoot, "a", O_RDWR | O_EXCL).error, EEXIST);
  // The kernel believed the name to be free: it is told to look again.
  EXPECT_EQ(kernel_.create(kRoot, "d", O_RDWR).error, ESTALE);
  EXPECT_EQ(kernel_.create(kUnknown, "b", O_RDWR).error, ESTALE);
  EXPECT_EQ(kernel_.create(kernel_.walk("a"), "b", O_RDWR).error, ENOTDIR);
  EXPECT_EQ(kernel_.create(kRoot, std::string(256, 'n'), O_RDWR).error, ENAMETOOLONG);
}

TEST_F(FuseOps, OpenFails) {
  EXPECT_EQ(kernel_.open(kUnknown, O_RDONLY).error, ESTALE);
  EXPECT_EQ(kernel_.open(kRoot, O_RDWR).error, EISDIR);
  const std::uint64_t node = create_closed("a");
  ASSERT_EQ(set_xattr(node, "user.array.sealed", "1").error, 0);
  EXPECT_EQ(kernel_.open(node, O_RDWR).error, EPERM);
  EXPECT_EQ(kernel_.open(node, O_RDONLY | O_TRUNC).error, EPERM);
  const Reply reading = kernel_.open(node, O_RDONLY);
  ASSERT_EQ(reading.error, 0);
  EXPECT_EQ(kernel_.release(node, reading.as<fuse_open_out>().fh, O_RDONLY).error, 0);
}

TEST_F(FuseOps, WritingADescriptorThatOnlyReadsFails) {
  const std::uint64_t node = create_closed("a");
  const auto opened = kernel_.open(node, O_RDONLY).as<fuse_open_out>();
  EXPECT_EQ(kernel_.write(node, opened.fh, 0, "x").error, EBADF);
  EXPECT_EQ(kernel_.release(node, opened.fh, O_RDONLY).error, 0);
}

TEST_F(FuseOps, HandlesThatAreNone) {
  const std::uint64_t node = create_closed("a");
  constexpr std::uint64_t kNoHandle = 1'000'000;
  EXPECT_EQ(kernel_.read(node, kNoHandle, 0, 10).error, EBADF);
  EXPECT_EQ(kernel_.write(node, kNoHandle, 0, "x").error, EBADF);
  EXPECT_EQ(kernel_.call(FUSE_FSYNC, node, wire(fuse_fsync_in{kNoHandle, 0, 0})).error, EBADF);
  EXPECT_EQ(kernel_.call(FUSE_LSEEK, node, wire(fuse_lseek_in{kNoHandle, 0, SEEK_DATA, 0})).error,
            EBADF);
  EXPECT_EQ(kernel_.release(node, kNoHandle, O_RDWR).error, 0);
  EXPECT_EQ(kernel_.release(kUnknown, kNoHandle, O_RDWR).error, 0);
  EXPECT_EQ(kernel_.release(~0ULL >> 8, kNoHandle, O_RDWR).error, 0);
  EXPECT_EQ(kernel_.status("open_files"), 0U);
}

TEST_F(FuseOps, ReadsOfHugeSizesGiveWhatIsThere) {
  const Opened file = create("a", "12345");
  EXPECT_EQ(kernel_.read(file.node, file.handle, 0, 1U << 30).body, "12345");
  EXPECT_EQ(kernel_.read(file.node, file.handle, 1ULL << 62, 10).body, "");
  EXPECT_EQ(kernel_.read(file.node, file.handle, ~0ULL, 10).error, EINVAL);
  EXPECT_NE(kernel_.write(file.node, file.handle, ~0ULL, "x").error, 0);
  EXPECT_EQ(kernel_.write(file.node, file.handle, INT64_MAX, "x").error, EINVAL);
}

TEST_F(FuseOps, AWriteThatClaimsMoreThanItBringsIsRefused) {
  const Opened file = create("a");
  fuse_write_in in{};
  in.fh = file.handle;
  in.size = 64U << 20;
  EXPECT_EQ(kernel_.call(FUSE_WRITE, file.node, wire(in).append("x")).error, EIO);
  EXPECT_EQ(attr(file.node).size, 0U);
}

TEST_F(FuseOps, FallocateHolesAndSeek) {
  const Opened file = create("a");
  const auto fallocate = [&](std::uint64_t offset, std::uint64_t length, std::uint32_t mode) {
    return kernel_
        .call(FUSE_FALLOCATE, file.node,
              wire(fuse_fallocate_in{file.handle, offset, length, mode, 0}))
        .error;
  };
  EXPECT_EQ(fallocate(0, 65536, 0), 0);
  EXPECT_EQ(attr(file.node).size, 65536U);
  kernel_.write(file.node, file.handle, 0, std::string(65536, 'x'));
  EXPECT_EQ(fallocate(0, 0, 0), EINVAL);
  EXPECT_EQ(fallocate(~0ULL, 1, 0), EINVAL);
  EXPECT_EQ(fallocate(0, 4096, 0x4000), EOPNOTSUPP);
  EXPECT_EQ(fallocate(8192, 4096, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE), 0);
  const auto seek = [&](std::uint64_t offset, std::uint32_t whence) {
    return kernel_.call(FUSE_LSEEK, file.node, wire(fuse_lseek_in{file.handle, offset, whence, 0}));
  };
  EXPECT_EQ(seek(0, SEEK_HOLE).as<fuse_lseek_out>().offset, 8192U);
  EXPECT_EQ(seek(8192, SEEK_DATA).as<fuse_lseek_out>().offset, 12288U);
  EXPECT_EQ(seek(65536, SEEK_DATA).error, ENXIO);
  EXPECT_EQ(seek(0, 99).error, EINVAL);
  // Holes that were asked for are not filled again.
  EXPECT_LT(attr(file.node).blocks * 512, 65536U);
}

TEST_F(FuseOps, FallocateBeyondTheStoreIsRefused) {
  SKIP_UNLESS_ROOT("only the tmpfs of root has a size");
  const Opened file = create("a");
  EXPECT_EQ(kernel_
                .call(FUSE_FALLOCATE, file.node,
                      wire(fuse_fallocate_in{file.handle, 0, 1ULL << 40, 0, 0}))
                .error,
            ENOSPC);
  EXPECT_EQ(attr(file.node).size, 0U);
}

TEST_F(FuseOps, CopiesRanges) {
  const Opened from = create("from", "0123456789");
  const Opened to = create("to");
  fuse_copy_file_range_in in{};
  in.fh_in = from.handle;
  in.off_in = 2;
  in.nodeid_out = to.node;
  in.fh_out = to.handle;
  in.off_out = 1;
  in.len = 4;
  EXPECT_EQ(kernel_.call(FUSE_COPY_FILE_RANGE, from.node, wire(in)).as<fuse_write_out>().size, 4U);
  EXPECT_EQ(kernel_.read(to.node, to.handle, 0, 10).body, std::string("\0"
                                                                      "2345",
                                                                      5));
  in.fh_out = 1'000'000;
  EXPECT_EQ(kernel_.call(FUSE_COPY_FILE_RANGE, from.node, wire(in)).error, EBADF);
  in.fh_out = to.handle;
  in.flags = 7;
  EXPECT_EQ(kernel_.call(FUSE_COPY_FILE_RANGE, from.node, wire(in)).error, EINVAL);
}

TEST_F(FuseOps, IoctlsAreNone) {
  const Opened file = create("a");
  fuse_ioctl_in in{};
  in.fh = file.handle;
  in.cmd = 0x5401;  // TCGETS
  EXPECT_EQ(kernel_.call(FUSE_IOCTL, file.node, wire(in)).error, ENOTTY);
}

TEST_F(FuseOps, StatfsTellsTheCapacity) {
  SKIP_UNLESS_ROOT("only the tmpfs of root has a size");
  const Reply reply = kernel_.call(FUSE_STATFS, kRoot, "");
  ASSERT_EQ(reply.error, 0);
  const auto usage = reply.as<fuse_statfs_out>().st;
  EXPECT_EQ(usage.blocks * usage.frsize, 64 * kMiB);
  EXPECT_EQ(usage.namelen, 255U);
}

// ---- the promises, on the wire

TEST_F(FuseOps, OverwritingAnArrayInUseGivesItsNameANewVersion) {
  const Opened reader = create("w.npy", npy_bytes("<f8", {8}, std::string(64, 'o')));
  EXPECT_EQ(kernel_.open(reader.node, O_RDWR | O_TRUNC).error, ESTALE);
  const Reply again = kernel_.lookup(kRoot, "w.npy");
  const std::uint64_t fresh = again.as<fuse_entry_out>().nodeid;
  EXPECT_NE(fresh, reader.node);
  EXPECT_EQ(again.as<fuse_entry_out>().attr.size, 0U);
  EXPECT_EQ(kernel_.open(fresh, O_RDWR | O_TRUNC).error, 0);
  EXPECT_EQ(kernel_.read(reader.node, reader.handle, 128, 64).body, std::string(64, 'o'));
  EXPECT_EQ(kernel_.status("nameless_files"), 1U);
}

TEST_F(FuseOps, ShrinkingAnArrayInUseIsRefused) {
  const Opened reader = create("w.npy", npy_bytes("<f8", {8}));
  EXPECT_EQ(set_size(reader.node, 100).error, ETXTBSY);
  EXPECT_EQ(attr(reader.node).size, 192U);
  EXPECT_EQ(kernel_.release(reader.node, reader.handle, O_RDWR).error, 0);
  EXPECT_EQ(set_size(reader.node, 100).error, 0);
}

TEST_F(FuseOps, SealingWaitsForWriters) {
  const Opened writer = create("w.npy", npy_bytes("<f8", {8}));
  EXPECT_EQ(set_xattr(writer.node, "user.array.sealed", "1").error, EBUSY);
  EXPECT_EQ(set_xattr(writer.node, "user.array.sealed", "2").error, EINVAL);
  EXPECT_EQ(kernel_.release(writer.node, writer.handle, O_RDWR).error, 0);
  EXPECT_EQ(set_xattr(writer.node, "user.array.sealed", "1").error, 0);
  EXPECT_EQ(set_size(writer.node, 1000).error, EPERM);
  EXPECT_EQ(set_size(writer.node, 10).error, EPERM);
  EXPECT_EQ(set_xattr(writer.node, "user.array.sealed", "0").error, 0);
  EXPECT_EQ(kernel_.open(writer.node, O_RDWR).error, 0);
}

TEST_F(FuseOps, TheKernelIsToldWhenALifetimeIsOver) {
  const std::uint64_t node = create_closed("w.npy", npy_bytes("<f8", {8}));
  IdleProcess owner;
  ASSERT_EQ(set_xattr(node, "user.array.owner_pid", std::to_string(owner.pid())).error, 0);
  EXPECT_EQ(kernel_.lookup(kRoot, "w.npy").error, 0);
  owner.end();
  EXPECT_NE(kernel_.wait_for_notification(FUSE_NOTIFY_INVAL_ENTRY).find("w.npy"),
            std::string::npos);
  EXPECT_EQ(kernel_.lookup(kRoot, "w.npy").error, ENOENT);
}

// ---- the control tree, on the wire

TEST_F(FuseOps, ViewsAreReadInPieces) {
  create_closed("w.npy", npy_bytes("<f8", {3}));
  const std::string whole = kernel_.view(".arrayfs/info/w.npy");
  EXPECT_NE(whole.find("dtype: float64"), std::string::npos) << whole;
  const std::uint64_t node = kernel_.walk(".arrayfs/info/w.npy");
  const Reply opened = kernel_.open(node, O_RDONLY);
  const auto out = opened.as<fuse_open_out>();
  EXPECT_NE(out.open_flags & FOPEN_DIRECT_IO, 0U);
  EXPECT_EQ(kernel_.read(node, out.fh, 2, 5).body, whole.substr(2, 5));
  EXPECT_EQ(kernel_.read(node, out.fh, whole.size(), 5).body, "");
  EXPECT_EQ(kernel_.read(node, out.fh, ~0ULL, 5).body, "");
  EXPECT_EQ(kernel_.read(node, out.fh, 0, 1U << 30).body, whole);
  EXPECT_EQ(kernel_.write(node, out.fh, 0, "x").error, EBADF);
  EXPECT_EQ(kernel_.call(FUSE_FLUSH, node, wire(fuse_flush_in{out.fh, 0, 0, 0})).error, 0);
  EXPECT_EQ(kernel_.call(FUSE_FALLOCATE, node, wire(fuse_fallocate_in{out.fh, 0, 1, 0, 0})).error,
            EOPNOTSUPP);
  EXPECT_EQ(kernel_.release(node, out.fh, O_RDONLY).error, 0);
}

TEST_F(FuseOps, GeneratedNamesCannotBeChanged) {
  const std::uint64_t control = kernel_.walk(".arrayfs");
  const std::uint64_t info = kernel_.walk(".arrayfs/info");
  const std::uint64_t file = create_closed("a");
  for (const std::uint64_t parent : {control, info}) {
    EXPECT_EQ(kernel_.create(parent, "x", O_RDWR).error, EPERM);
    EXPECT_EQ(kernel_.call(FUSE_MKDIR, parent, wire(fuse_mkdir_in{0755, 0}, "x")).error, EPERM);
    EXPECT_EQ(kernel_.call(FUSE_UNLINK, parent, wire("a")).error, EPERM);
    EXPECT_EQ(kernel_.call(FUSE_RMDIR, parent, wire("info")).error, EPERM);
    EXPECT_EQ(kernel_.call(FUSE_SYMLINK, parent, wire("x", "y")).error, EPERM);
    EXPECT_EQ(kernel_.call(FUSE_LINK, parent, wire(fuse_link_in{file}, "x")).error, EPERM);
    EXPECT_EQ(rename(kRoot, "a", parent, "x").error, EPERM);
    EXPECT_EQ(rename(parent, "a", kRoot, "x").error, EPERM);
    EXPECT_EQ(set_xattr(parent, "user.x", "1").error, EPERM);
    EXPECT_EQ(kernel_.call(FUSE_REMOVEXATTR, parent, wire("user.x")).error, EPERM);
    fuse_setattr_in in{};
    in.valid = FATTR_MODE;
    EXPECT_EQ(set_attr(parent, in).error, EPERM);
  }
  EXPECT_EQ(kernel_.call(FUSE_MKDIR, kRoot, wire(fuse_mkdir_in{0755, 0}, ".arrayfs")).error, EPERM);
  EXPECT_EQ(kernel_.call(FUSE_RMDIR, kRoot, wire(".arrayfs")).error, EPERM);
  EXPECT_EQ(rename(kRoot, "a", kRoot, ".arrayfs").error, EPERM);
  EXPECT_EQ(kernel_.call(FUSE_LINK, kRoot, wire(fuse_link_in{kernel_.walk(".arrayfs/info/a")}, "x"))
                .error,
            EPERM);
  EXPECT_EQ(kernel_.open(kernel_.walk(".arrayfs/info/a"), O_RDWR).error, EACCES);
  EXPECT_EQ(kernel_.open(kernel_.walk(".arrayfs/status"), O_RDONLY | O_TRUNC).error, EACCES);
}

TEST_F(FuseOps, NodesOfViewsThatDoNotExist) {
  const std::uint64_t file = create_closed("a");
  for (const std::uint64_t view : {1ULL, 2ULL, 6ULL, 7ULL, 100ULL, 255ULL}) {
    for (const std::uint64_t about : {std::uint64_t{0}, kRoot, file, kUnknown}) {
      const std::uint64_t node = view << 56 | about;
      kernel_.getattr(node);
      kernel_.lookup(node, "a");
      kernel_.call(FUSE_READLINK, node, "");
      kernel_.call(FUSE_GETXATTR, node, wire(fuse_getxattr_in{64, 0}, "system.posix_acl_access"));
      const Reply opened = kernel_.open(node, O_RDONLY);
      if (opened.error == 0) {
        EXPECT_EQ(kernel_.release(node, opened.as<fuse_open_out>().fh, O_RDONLY).error, 0);
      }
      const Reply directory = kernel_.call(FUSE_OPENDIR, node, wire(fuse_open_in{}));
      if (directory.error == 0) {
        EXPECT_EQ(release_dir(node, directory.as<fuse_open_out>().fh).error, 0);
      }
    }
  }
  EXPECT_EQ(kernel_.getattr(200ULL << 56 | kRoot).error, ESTALE);
  EXPECT_EQ(kernel_.open(kernel_.walk(".arrayfs"), O_RDONLY).error, EISDIR);
}

// ---- what no kernel sends

TEST_F(FuseOps, UnknownOpcodesAreNotImplemented) {
  for (const std::uint32_t opcode : {0U, 7U, 19U, 37U, 49U, 53U, 60U, 4095U, 0xffffffffU}) {
    EXPECT_EQ(kernel_.call(opcode, kRoot, std::string(64, '\0')).error, ENOSYS) << opcode;
  }
  EXPECT_EQ(kernel_.call(FUSE_BMAP, kRoot, wire(fuse_bmap_in{})).error, ENOSYS);
  EXPECT_EQ(kernel_.call(FUSE_GETLK, kRoot, wire(fuse_lk_in{})).error, ENOSYS);
}

TEST_F(FuseOps, InterruptingWhatIsDoneOrUnknownIsNoMatter) {
  EXPECT_EQ(kernel_.lookup(kRoot, "nothing").error, ENOENT);
  kernel_.send(FUSE_INTERRUPT, 0, wire(fuse_interrupt_in{2}));
  EXPECT_EQ(kernel_.getattr(kRoot).error, 0);
  kernel_.send(FUSE_INTERRUPT, 0, wire(fuse_interrupt_in{1'000'000}));
  EXPECT_EQ(kernel_.getattr(kRoot).error, 0);
}

TEST_F(FuseOps, TruncatedRequestsAreAnsweredAndLeakNothing) {
  create_closed("a", "12345");
  const std::uint64_t nodes = kernel_.status("kernel_nodes");
  const size_t descriptors = open_descriptors();
  for (std::uint32_t opcode = 1; opcode < 52; ++opcode) {
    switch (opcode) {
      case FUSE_BATCH_FORGET:  // libfuse believes its count, which the kernel alone can vouch for
      case FUSE_NOTIFY_REPLY:  // libfuse leaks those that it did not ask for
      case FUSE_DESTROY:
        break;
      case FUSE_FORGET:
      case FUSE_INTERRUPT:
        kernel_.send(opcode, kUnknown, "");  // these have no reply
        break;
      default:
        // What is missing is whatever the buffer held before: another request's bytes.
        kernel_.call(opcode, kUnknown, "");
        kernel_.call(opcode, kUnknown, std::string(3, '\xff'));
    }
  }
  EXPECT_EQ(kernel_.status("kernel_nodes"), nodes);
  EXPECT_EQ(kernel_.status("open_files"), 0U);
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_F(FuseOps, ARequestShorterThanItsHeaderEndsTheSessionInOrder) {
  kernel_.send_raw("short");
  EXPECT_TRUE(fails_with(kernel_.finish(), EIO));
}

TEST_F(FuseOps, GarbageIsAnsweredAndLeaksNothing) {
  const std::uint64_t file = create_closed("a", "12345");
  const std::uint64_t nodes = kernel_.status("kernel_nodes");
  const size_t descriptors = open_descriptors();
  // Operations on names and attributes with random bodies, the same in each run. A body always ends
  // a string somewhere, as what the kernel copies from a name does.
  std::mt19937 random(20260301);
  const std::vector<std::uint32_t> opcodes{
      FUSE_LOOKUP,   FUSE_GETATTR,   FUSE_SETATTR,     FUSE_READLINK, FUSE_UNLINK,
      FUSE_RMDIR,    FUSE_RENAME,    FUSE_LINK,        FUSE_STATFS,   FUSE_SETXATTR,
      FUSE_GETXATTR, FUSE_LISTXATTR, FUSE_REMOVEXATTR, FUSE_ACCESS,   FUSE_IOCTL,
      FUSE_RENAME2,  FUSE_FLUSH,     FUSE_POLL,        FUSE_TMPFILE,  FUSE_SYNCFS};
  for (int i = 0; i < 4000; ++i) {
    std::string body(random() % 200, '\0');
    for (char& byte : body) {
      byte = static_cast<char>(random());
    }
    body.append(4, '\0');
    const std::uint64_t targets[] = {kRoot, file, kUnknown, random(),
                                     std::uint64_t{random()} << 32};
    const std::uint32_t opcode = opcodes[random() % opcodes.size()];
    const Reply reply = kernel_.call(opcode, targets[random() % 5], body);
    if (opcode == FUSE_LOOKUP && reply.error == 0) {
      kernel_.forget(reply.as<fuse_entry_out>().nodeid);
    }
  }
  EXPECT_EQ(kernel_.status("kernel_nodes"), nodes);
  EXPECT_EQ(kernel_.status("open_files"), 0U);
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(kernel_.getattr(kRoot).error, 0);
}

TEST_F(FuseOps, NothingIsLeftAfterEveryOperationFailed) {
  const std::uint64_t nodes = kernel_.status("kernel_nodes");
  const size_t descriptors = open_descriptors();
  for (int i = 0; i < 100; ++i) {
    kernel_.lookup(kRoot, "missing");
    kernel_.create(kRoot, std::string(300, 'x'), O_RDWR);
    kernel_.open(kUnknown, O_RDWR);
    kernel_.lookup(kernel_.walk(".arrayfs/info"), "missing");
    kernel_.lookup(kernel_.walk(".arrayfs/json"), "missing.json");
    kernel_.open(kRoot, O_RDWR);
  }
  EXPECT_EQ(kernel_.status("kernel_nodes"), nodes);
  EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace arrayfs
