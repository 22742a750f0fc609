#include "file_system.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "fixture.hpp"

namespace arrayfs {
namespace {

constexpr NodeId kUnknown = 999'999;

enum class Plane { kCached, kPassthrough };

// The passthrough plane without a kernel: backing ids are counted, mappings are made on the files
// of the store, which is what the kernel does.
class FileSystemTest : public testing::TestWithParam<Plane> {
 protected:
  FileSystemTest() : memory_(must(StateMemory::create(1U << 16))) { files_.emplace(make()); }

  FileSystem make() {
    ServeOptions options;
    if (GetParam() == Plane::kPassthrough) {
      options.backing = Backing{[this](int fd) -> shm::Result<std::int32_t> {
                                  if (refuse_backing_ || fd < 0) {
                                    return shm::fail(EPERM);
                                  }
                                  registered_.insert(++last_id_);
                                  return last_id_;
                                },
                                [this](std::int32_t id) { registered_.erase(id); }};
    }
    options.device = store_.device();
    options.lifetime_set = [this](const shm::posix::Fd&) { ++lifetimes_set_; };
    return must(FileSystem::create(store_.get(), memory_, std::move(options)));
  }
  FileSystem& files() { return *files_; }

  Caller self() const { return {geteuid(), getegid(), getpid(), 022}; }

  // A file of the store, as a node.
  NodeId enter(const std::string& name, std::string_view bytes) {
    store_.write(name, bytes);
    return must(files().lookup(kRootNode, name.c_str())).node;
  }
  NodeId enter_array(const std::string& name = "w.npy") {
    return enter(name, npy_bytes("<f8", {64}, std::string(512, 'd')));
  }
  shm::posix::Mapping map(const std::string& name, int prot) const {
    const int flags = prot == PROT_READ ? O_RDONLY : O_RDWR;
    return must(shm::posix::Mapping::map(store_.open(name, flags).get(), 0, 640, prot, MAP_SHARED));
  }
  shm::Result<OpenFile> open(NodeId node, int flags) { return files().open(node, flags, self()); }
  // Opens, closes and forgets nothing else: what a program that mapped the file leaves behind.
  void open_and_close(NodeId node, int flags) {
    const OpenFile file = must(open(node, flags));
    files().release(node, file.handle, flags);
  }
  // The lookup that follows an open which failed with ESTALE.
  NodeId look_again(const std::string& name) {
    must(files().prepare_second_lookup(kRootNode, name.c_str(), self()));
    return must(files().lookup(kRootNode, name.c_str())).node;
  }
  shm::Result<struct stat> resize(NodeId node, std::uint64_t size,
                                  std::optional<std::uint64_t> handle = {}) {
    AttrChange change;
    change.size = size;
    return files().set_attributes(node, change, handle);
  }
  std::vector<std::string> names(NodeId node) {
    const std::uint64_t handle = must(files().open_directory(node));
    std::vector<std::string> all;
    must(files().read_directory(handle, 0, [&](const DirEntry& entry) {
      all.emplace_back(entry.name);
      return true;
    }));
    files().release_directory(handle);
    return all;
  }

  TestStore store_;
  StateMemory memory_;
  std::set<std::int32_t> registered_;
  std::int32_t last_id_ = 0;
  bool refuse_backing_ = false;
  int lifetimes_set_ = 0;
  std::optional<FileSystem> files_;
};

INSTANTIATE_TEST_SUITE_P(Planes, FileSystemTest,
                         testing::Values(Plane::kCached, Plane::kPassthrough),
                         [](const auto& plane) {
                           return plane.param == Plane::kCached ? "Cached" : "Passthrough";
                         });

// ---- names

TEST_P(FileSystemTest, LookupShowsTheFile) {
  store_.write("a", "12345");
  const Entry entry = must(files().lookup(kRootNode, "a"));
  EXPECT_EQ(entry.attr.st_size, 5);
  EXPECT_EQ(entry.attr.st_blksize, 4096);
  EXPECT_EQ(files().find_by_ino(entry.attr.st_ino), entry.node);
}

TEST_P(FileSystemTest, LookupFails) {
  const NodeId file = enter("file", "x");
  EXPECT_TRUE(fails_with(files().lookup(kRootNode, "nothing"), ENOENT));
  EXPECT_TRUE(fails_with(files().lookup(file, "below"), ENOTDIR));
  EXPECT_TRUE(fails_with(files().lookup(kUnknown, "file"), ESTALE));
  EXPECT_TRUE(fails_with(files().lookup(kRootNode, ".."), EXDEV));
  EXPECT_TRUE(fails_with(files().lookup(kRootNode, "/etc"), EXDEV));
  EXPECT_TRUE(fails_with(files().lookup(kRootNode, std::string(256, 'n').c_str()), ENAMETOOLONG));
}

TEST_P(FileSystemTest, ASymlinkIsNotFollowed) {
  ASSERT_EQ(symlinkat("/etc/passwd", store_.get().root_fd(), "l"), 0);
  const Entry entry = must(files().lookup(kRootNode, "l"));
  EXPECT_TRUE(S_ISLNK(entry.attr.st_mode));
  EXPECT_EQ(must(files().read_link(entry.node)), "/etc/passwd");
  EXPECT_TRUE(fails_with(files().lookup(entry.node, "x"), ENOTDIR));
}

TEST_P(FileSystemTest, ALongSymlink) {
  const std::string target(PATH_MAX - 1, 't');
  const NodeId node = must(files().make_symlink(kRootNode, "l", target.c_str(), self())).node;
  EXPECT_EQ(must(files().read_link(node)), target);
  const std::string longer(PATH_MAX, 't');
  EXPECT_TRUE(
      fails_with(files().make_symlink(kRootNode, "m", longer.c_str(), self()), ENAMETOOLONG));
}

TEST_P(FileSystemTest, MakesWithTheCallersUmask) {
  const Caller caller{geteuid(), getegid(), getpid(), 077};
  EXPECT_EQ(must(files().make_directory(kRootNode, "d", 0777, caller)).attr.st_mode & 0777, 0700U);
  EXPECT_EQ(must(files().make_node(kRootNode, "f", S_IFIFO | 0666, 0, caller)).attr.st_mode,
            static_cast<mode_t>(S_IFIFO | 0600));
  const auto made = must(files().create_file(kRootNode, "a", 0666, O_RDWR, caller));
  EXPECT_EQ(made.first.attr.st_mode & 0777, 0600U);
  files().release(made.first.node, made.second.handle, O_RDWR);
}

TEST_P(FileSystemTest, MakesForTheCaller) {
  SKIP_UNLESS_ROOT("only root acts for others");
  const Caller caller{1234, 5678, 1, 0};
  EXPECT_EQ(must(files().make_directory(kRootNode, "d", 0777, caller)).attr.st_uid, 1234U);
  const Entry link = must(files().make_symlink(kRootNode, "l", "x", caller));
  EXPECT_EQ(link.attr.st_gid, 5678U);
  // Afterwards this thread is itself again.
  EXPECT_EQ(must(files().make_directory(kRootNode, "e", 0777, self())).attr.st_uid, 0U);
}

TEST_P(FileSystemTest, MakingFails) {
  const NodeId file = enter("a", "x");
  EXPECT_TRUE(fails_with(files().make_directory(kRootNode, "a", 0755, self()), EEXIST));
  EXPECT_TRUE(fails_with(files().make_directory(file, "d", 0755, self()), ENOTDIR));
  EXPECT_TRUE(fails_with(files().make_directory(kUnknown, "d", 0755, self()), ESTALE));
  EXPECT_TRUE(fails_with(files().make_node(kRootNode, "a", S_IFIFO, 0, self()), EEXIST));
  EXPECT_TRUE(fails_with(files().make_node(kUnknown, "a", S_IFIFO, 0, self()), ESTALE));
  EXPECT_TRUE(fails_with(files().make_symlink(kRootNode, "a", "x", self()), EEXIST));
  EXPECT_TRUE(fails_with(files().make_symlink(kRootNode, "b", "", self()), ENOENT));
  EXPECT_TRUE(fails_with(files().link(file, kUnknown, "b"), ESTALE));
  EXPECT_TRUE(fails_with(files().link(kUnknown, kRootNode, "b"), ESTALE));
  EXPECT_TRUE(fails_with(files().link(kRootNode, kRootNode, "b"), EPERM));
}

TEST_P(FileSystemTest, RemovingFails) {
  must(files().make_directory(kRootNode, "d", 0755, self()));
  store_.write("d/a", "x");
  EXPECT_TRUE(fails_with(files().unlink(kRootNode, "d"), EISDIR));
  EXPECT_TRUE(fails_with(files().unlink(kRootNode, "b"), ENOENT));
  EXPECT_TRUE(fails_with(files().unlink(kUnknown, "a"), ESTALE));
  EXPECT_TRUE(fails_with(files().remove_directory(kRootNode, "d"), ENOTEMPTY));
  EXPECT_TRUE(fails_with(files().remove_directory(kRootNode, "d/a"), ENOTDIR));
  EXPECT_TRUE(fails_with(files().remove_directory(kUnknown, "d"), ESTALE));
}

TEST_P(FileSystemTest, AFileWithoutANameIsCountedWhileItIsUsed) {
  const NodeId node = enter("a", std::string(8192, 'x'));
  must(files().unlink(kRootNode, "a"));
  EXPECT_EQ(files().nameless().files, 1U);
  EXPECT_GE(files().nameless().bytes, 8192U);
  files().forget(node, 1);
  EXPECT_EQ(files().nameless().files, 0U);
}

TEST_P(FileSystemTest, AFileThatIsRenamedOverIsNameless) {
  enter("a", "x");
  enter("b", "y");
  must(files().rename(kRootNode, "a", kRootNode, "b", 0));
  EXPECT_EQ(files().nameless().files, 1U);
  EXPECT_EQ(store_.read("b"), "x");
}

TEST_P(FileSystemTest, AnExchangeLosesNoName) {
  enter("a", "x");
  enter("b", "y");
  must(files().rename(kRootNode, "a", kRootNode, "b", RENAME_EXCHANGE));
  EXPECT_EQ(files().nameless().files, 0U);
  EXPECT_EQ(store_.read("a"), "y");
}

TEST_P(FileSystemTest, OneOfTwoNamesIsNotTheLast) {
  const NodeId node = enter("a", "x");
  must(files().link(node, kRootNode, "b"));
  must(files().unlink(kRootNode, "a"));
  EXPECT_EQ(files().nameless().files, 0U);
}

// ---- directories

TEST_P(FileSystemTest, ReadsADirectoryFromAnyEntryOn) {
  for (const char* name : {"a", "b", "c"}) {
    store_.write(name, "x");
  }
  const std::uint64_t handle = must(files().open_directory(kRootNode));
  std::map<std::uint64_t, std::string> by_offset;
  std::uint64_t offset = 0;
  for (bool more = true; more;) {  // one entry a call
    more = false;
    must(files().read_directory(handle, offset, [&](const DirEntry& entry) {
      if (more) {
        return false;
      }
      by_offset[entry.next_offset] = entry.name;
      offset = entry.next_offset;
      more = true;
      return true;
    }));
  }
  EXPECT_EQ(by_offset.size(), 5U);
  files().release_directory(handle);
}

TEST_P(FileSystemTest, DirectoryFailures) {
  EXPECT_TRUE(fails_with(files().open_directory(enter("a", "x")), ENOTDIR));
  EXPECT_TRUE(fails_with(files().open_directory(kUnknown), ESTALE));
  EXPECT_TRUE(fails_with(files().read_directory(1'000'000, 0, [](const DirEntry&) { return true; }),
                         EBADF));
}

// ---- opening

TEST_P(FileSystemTest, OpensAndReleases) {
  const NodeId node = enter("a", "12345");
  const size_t descriptors = open_descriptors();
  const OpenFile file = must(open(node, O_RDWR));
  EXPECT_EQ(files().state().open_files, 1U);
  EXPECT_EQ((*files().find(node))->writers(), 1U);
  if (GetParam() == Plane::kPassthrough) {
    EXPECT_EQ(file.backing_id, 1);
    EXPECT_EQ(open_descriptors(), descriptors);
  } else {
    EXPECT_EQ(file.backing_id, 0);
    char bytes[5];
    EXPECT_EQ(pread(files().data_fd(file.handle), bytes, 5, 0), 5);
  }
  files().release(node, file.handle, O_RDWR);
  EXPECT_EQ(files().state().open_files, 0U);
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_P(FileSystemTest, AnInodeHasOneBackingIdUntilItIsForgotten) {
  const NodeId node = enter("a", "x");
  open_and_close(node, O_RDONLY);
  open_and_close(node, O_RDWR);
  EXPECT_EQ(registered_.size(), GetParam() == Plane::kPassthrough ? 1U : 0U);
  EXPECT_LE(last_id_, 1);
  files().forget(node, 1);
  EXPECT_TRUE(registered_.empty());
}

TEST_P(FileSystemTest, OpeningFails) {
  EXPECT_TRUE(fails_with(open(kUnknown, O_RDONLY), ESTALE));
  EXPECT_EQ(files().state().open_files, 0U);
}

TEST_P(FileSystemTest, CreatingFails) {
  enter("a", "x");
  const auto create = [&](NodeId parent, const char* name, int flags) {
    return files().create_file(parent, name, 0644, flags, self());
  };
  EXPECT_TRUE(fails_with(create(kRootNode, "a", O_RDWR | O_EXCL), EEXIST));
  ASSERT_EQ(mkdirat(store_.get().root_fd(), "d", 0755), 0);
  EXPECT_TRUE(fails_with(create(kRootNode, "d", O_RDWR), ESTALE));
  EXPECT_TRUE(fails_with(create(kUnknown, "b", O_RDWR), ESTALE));
  EXPECT_TRUE(fails_with(create(kRootNode, std::string(256, 'n').c_str(), O_RDWR), ENAMETOOLONG));
  EXPECT_EQ(files().state().open_files, 0U);
  EXPECT_EQ(store_.read("a"), "x");
}

TEST_P(FileSystemTest, WhenTheKernelTakesNoBackingFileNothingLeaks) {
  if (GetParam() != Plane::kPassthrough) {
    return;  // without backing files there is none to refuse
  }
  const NodeId node = enter("a", "x");
  const std::uint64_t nodes = files().state().nodes;
  const size_t descriptors = open_descriptors();
  refuse_backing_ = true;
  EXPECT_TRUE(fails_with(open(node, O_RDONLY), EPERM));
  EXPECT_TRUE(fails_with(files().create_file(kRootNode, "b", 0644, O_RDWR, self()), EPERM));
  EXPECT_EQ(files().state().open_files, 0U);
  EXPECT_EQ(files().state().nodes, nodes);
  EXPECT_EQ(open_descriptors(), descriptors);
}

// ---- attributes

TEST_P(FileSystemTest, AttributeFailures) {
  EXPECT_TRUE(fails_with(files().get_attributes(kUnknown), ESTALE));
  EXPECT_TRUE(fails_with(resize(kUnknown, 5), ESTALE));
  EXPECT_TRUE(fails_with(resize(kRootNode, 5), EISDIR));
  const NodeId node = enter("a", "12345");
  EXPECT_TRUE(fails_with(resize(node, 1ULL << 63), EINVAL));
  EXPECT_EQ(must(files().get_attributes(node)).st_size, 5);
}

TEST_P(FileSystemTest, DropsPrivilegesAsAWriteDoes) {
  const NodeId node = enter("a", "x");
  AttrChange drop;
  drop.drop_privileges = true;
  const std::pair<mode_t, mode_t> cases[] = {{04755, 0755}, {06755, 0755}, {02745, 02745},
                                             {02755, 0755}, {0755, 0755},  {01777, 01777}};
  for (const auto& [before, after] : cases) {
    ASSERT_EQ(fchmodat(store_.get().root_fd(), "a", before, 0), 0);
    EXPECT_EQ(must(files().set_attributes(node, drop, {})).st_mode & 07777, after)
        << std::oct << before;
  }
}

TEST_P(FileSystemTest, TheProjectsOwnXattrsAreNotPassedThrough) {
  const NodeId node = enter("a", std::string(64, 'x'));
  const std::string own = store_.get().xattr_prefix() + "array.dtype";
  EXPECT_FALSE(
      files().set_xattr(node, own == "user.array.dtype" ? "user.array.sealed" : own, "x", 0));
  ASSERT_TRUE(ok(files().set_xattr(node, "user.array.dtype", "<f8", 0)));
  ASSERT_TRUE(ok(files().set_xattr(node, "user.array.shape", "8", 0)));
  EXPECT_EQ(must(files().get_xattr(node, "user.array.nbytes")), "64");
  const std::string names = must(files().list_xattrs(node, self()));
  EXPECT_NE(names.find(std::string("user.array.nbytes\0", 18)), std::string::npos);
  EXPECT_EQ(names.find("expires"), std::string::npos);
}

TEST_P(FileSystemTest, XattrsOfDirectories) {
  EXPECT_TRUE(ok(files().set_xattr(kRootNode, "user.x", "1", 0)));
  EXPECT_EQ(must(files().get_xattr(kRootNode, "user.x")), "1");
  EXPECT_TRUE(fails_with(files().set_xattr(kRootNode, "user.array.dtype", "<f8", 0), EPERM));
  EXPECT_TRUE(fails_with(files().get_xattr(kRootNode, "user.array.dtype"), ENODATA));
  EXPECT_TRUE(fails_with(files().remove_xattr(kRootNode, "user.array.dtype"), ENODATA));
}

TEST_P(FileSystemTest, ALifetimeIsTold) {
  const NodeId node = enter("a", "x");
  must(files().set_xattr(node, "user.array.ttl", "100", 0));
  EXPECT_EQ(lifetimes_set_, 1);
  EXPECT_TRUE(fails_with(files().set_xattr(node, "user.array.ttl", "never", 0), EINVAL));
  EXPECT_EQ(lifetimes_set_, 1);
}

// ---- space

TEST_P(FileSystemTest, OnlyGrowthIsReserved) {
  const NodeId node = enter("a", std::string(8192, 'x'));
  EXPECT_FALSE(must(files().growth(node, 8192)));
  EXPECT_FALSE(must(files().growth(node, 10)));
  const auto grown = must(files().growth(node, kMiB));
  ASSERT_TRUE(grown);
  EXPECT_TRUE(is_allocated(must(grown->run())));
  EXPECT_TRUE(fails_with(files().growth(kUnknown, 5), ESTALE));
  EXPECT_FALSE(must(files().growth(kRootNode, 1ULL << 40)));
}

TEST_P(FileSystemTest, HolesOfAWriterAreMissingSpace) {
  const NodeId node = enter("a", "x");
  ASSERT_EQ(ftruncate(store_.open("a", O_RDWR).get(), kMiB), 0);
  const auto missing = [&] {
    return files().missing_space(node, must(files().get_attributes(node)));
  };
  EXPECT_FALSE(missing()) << "nobody writes";
  const OpenFile file = must(open(node, O_RDWR));
  EXPECT_TRUE(missing());
  files().want_holes(node);
  EXPECT_FALSE(missing()) << "the holes are meant";
  files().release(node, file.handle, O_RDWR);
  EXPECT_FALSE(files().missing_space(kUnknown, {}));
}

TEST_P(FileSystemTest, SparseMountsReserveNothing) {
  ServeOptions options;
  options.reserve_space = false;
  StateMemory memory = must(StateMemory::create(64));
  FileSystem sparse = must(FileSystem::create(store_.get(), memory, std::move(options)));
  store_.write("a", "x");
  const NodeId node = must(sparse.lookup(kRootNode, "a")).node;
  EXPECT_FALSE(must(sparse.growth(node, 1ULL << 40)));
  AttrChange change;
  change.size = 1ULL << 40;
  EXPECT_TRUE(ok(sparse.set_attributes(node, change, {})));
}

// ---- overwriting

TEST_P(FileSystemTest, AnUnusedArrayIsOverwrittenInPlace) {
  const NodeId node = enter_array();
  open_and_close(node, O_RDWR);
  open_and_close(node, O_RDWR | O_TRUNC);
  EXPECT_EQ(store_.stat("w.npy").st_size, 0);
  EXPECT_EQ(must(files().lookup(kRootNode, "w.npy")).node, node);
}

TEST_P(FileSystemTest, AnOpenArrayGetsANewVersion) {
  const NodeId node = enter_array();
  must(open(node, O_RDONLY));
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ESTALE));
  const NodeId fresh = look_again("w.npy");
  EXPECT_NE(fresh, node);
  EXPECT_EQ(must(files().get_attributes(node)).st_size, 640);
  EXPECT_EQ(files().nameless().files, 1U);
  open_and_close(fresh, O_WRONLY | O_TRUNC);
  store_.write("w.npy", npy_bytes("<f8", {2}));
  EXPECT_EQ(must(files().get_xattr(fresh, "user.array.version")), "2");
}

TEST_P(FileSystemTest, AMappedArrayGetsANewVersion) {
  const NodeId node = enter_array();
  const auto mapping = map("w.npy", PROT_READ);
  const OpenFile reader = must(open(node, O_RDONLY));
  if (GetParam() == Plane::kPassthrough) {
    files().release(node, reader.handle, O_RDONLY);  // on cached, it comes after the unmapping
  }
  EXPECT_TRUE(fails_with(open(node, O_RDWR | O_TRUNC), ESTALE));
  EXPECT_TRUE(ok(open(look_again("w.npy"), O_RDWR | O_TRUNC)));
  EXPECT_EQ(mapping.data()[200], std::byte{'d'});
}

TEST_P(FileSystemTest, OnlyTheSecondLookupOfTheOverwriterMakesAVersion) {
  const NodeId node = enter_array();
  enter_array("other.npy");
  must(open(node, O_RDONLY));
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ESTALE));
  Caller other = self();
  ++other.pid;
  EXPECT_FALSE(must(files().prepare_second_lookup(kRootNode, "w.npy", other)));
  // What it looks up instead is not touched, and ends the matter.
  EXPECT_FALSE(must(files().prepare_second_lookup(kRootNode, "other.npy", self())));
  EXPECT_FALSE(must(files().prepare_second_lookup(kRootNode, "w.npy", self())));
  EXPECT_EQ(store_.stat("w.npy").st_size, 640);
  EXPECT_EQ(store_.stat("other.npy").st_size, 640);
}

TEST_P(FileSystemTest, OfTwoOverwritersEachOpensItsOwnVersion) {
  const NodeId node = enter_array();
  must(open(node, O_RDONLY));
  Caller other = self();
  ++other.pid;
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ESTALE));
  EXPECT_TRUE(fails_with(files().open(node, O_WRONLY | O_TRUNC, other), ESTALE));
  const NodeId first = look_again("w.npy");
  EXPECT_TRUE(must(files().prepare_second_lookup(kRootNode, "w.npy", other)));
  const NodeId second = must(files().lookup(kRootNode, "w.npy")).node;
  EXPECT_NE(first, second);
  EXPECT_TRUE(ok(files().open(second, O_WRONLY | O_TRUNC, other)));
  EXPECT_TRUE(ok(open(first, O_WRONLY | O_TRUNC))) << "it lost the race, as on tmpfs";
}

TEST_P(FileSystemTest, AVersionIsKeptForWhoIsToOpenIt) {
  const NodeId node = enter_array();
  must(open(node, O_RDONLY));
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ESTALE));
  const NodeId mine = look_again("w.npy");
  Caller other = self();
  ++other.pid;
  EXPECT_TRUE(files().kept_for_another(mine, other));
  EXPECT_FALSE(files().kept_for_another(mine, self()));
  EXPECT_FALSE(files().kept_for_another(node, other));
  EXPECT_TRUE(ok(open(mine, O_WRONLY | O_TRUNC)));
  EXPECT_FALSE(files().kept_for_another(mine, other));
}

TEST_P(FileSystemTest, AFileOfOtherRightsIsNotOverwrittenUnderTheSameName) {
  const NodeId node = enter_array();
  must(open(node, O_RDONLY));
  Caller other = self();
  other.uid = 4711;
  EXPECT_TRUE(fails_with(files().open(node, O_WRONLY | O_TRUNC, other), ESTALE));
  enter_array("private.npy");
  ASSERT_EQ(fchmodat(store_.get().root_fd(), "private.npy", 0400, 0), 0);
  ASSERT_TRUE(ok(files().rename(kRootNode, "private.npy", kRootNode, "w.npy", 0)));
  EXPECT_FALSE(must(files().prepare_second_lookup(kRootNode, "w.npy", other)));
  EXPECT_EQ(store_.stat("w.npy").st_size, 640);
}

TEST_P(FileSystemTest, WhoMeantTheNameBeforeARenameOverwritesWhatHasItNow) {
  const NodeId node = enter_array();
  must(open(node, O_RDONLY));
  must(open(enter_array("other.npy"), O_RDONLY));
  must(files().rename(kRootNode, "w.npy", kRootNode, "other.npy", RENAME_EXCHANGE));
  // The kernel found the file as w.npy, and then it was renamed.
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ESTALE));
  EXPECT_TRUE(ok(open(look_again("w.npy"), O_WRONLY | O_TRUNC)));
  EXPECT_EQ(store_.stat("w.npy").st_size, 0);
  EXPECT_EQ(store_.stat("other.npy").st_size, 640);
}

TEST_P(FileSystemTest, AnArrayInUseThatIsOpenedByNoNameIsNotOverwritten) {
  const NodeId node = enter_array();
  const OpenFile reader = must(open(node, O_RDONLY));
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ESTALE));
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ETXTBSY)) << "/proc/self/fd/N";
  files().release(node, reader.handle, O_RDONLY);
}

TEST_P(FileSystemTest, CreatingWhatSomebodyJustCreatedOpensIt) {
  const NodeId node = enter_array();
  const int flags = O_RDWR | O_CREAT;
  EXPECT_TRUE(
      fails_with(files().create_file(kRootNode, "w.npy", 0600, flags | O_EXCL, self()), EEXIST));
  const auto same = must(files().create_file(kRootNode, "w.npy", 0600, flags, self()));
  EXPECT_EQ(same.first.node, node);
  EXPECT_EQ(same.first.attr.st_size, 640);
  const auto fresh = must(files().create_file(kRootNode, "w.npy", 0600, flags | O_TRUNC, self()));
  EXPECT_NE(fresh.first.node, node);
  EXPECT_EQ(must(files().get_attributes(node)).st_size, 640);
}

TEST_P(FileSystemTest, CreatingWhatBelongsToAnotherMakesTheKernelLook) {
  enter_array();
  Caller other = self();
  other.uid = 4711;
  EXPECT_TRUE(fails_with(
      files().create_file(kRootNode, "w.npy", 0600, O_RDWR | O_CREAT | O_TRUNC, other), ESTALE));
  EXPECT_EQ(store_.stat("w.npy").st_size, 640);
}

TEST_P(FileSystemTest, RawFilesAreOverwrittenAsEver) {
  const NodeId node = enter("raw", "some bytes");
  must(open(node, O_RDONLY));
  EXPECT_TRUE(ok(open(node, O_RDWR | O_TRUNC)));
  EXPECT_EQ(store_.stat("raw").st_size, 0);
}

TEST_P(FileSystemTest, OfAnArrayOfTwoNamesTheOverwrittenOneGetsTheNewVersion) {
  const NodeId node = enter_array();
  must(files().link(node, kRootNode, "second"));
  must(open(node, O_RDONLY));
  EXPECT_TRUE(fails_with(open(node, O_RDWR | O_TRUNC), ESTALE));
  const NodeId fresh = look_again("second");
  EXPECT_NE(fresh, node);
  EXPECT_TRUE(ok(open(fresh, O_RDWR | O_TRUNC)));
  EXPECT_EQ(store_.stat("second").st_size, 0);
  EXPECT_EQ(store_.stat("w.npy").st_size, 640);
  EXPECT_EQ(files().nameless().files, 0U);
}

TEST_P(FileSystemTest, AnUnusedArrayOfTwoNamesIsOverwrittenUnderBoth) {
  const NodeId node = enter_array();
  must(files().link(node, kRootNode, "second"));
  EXPECT_TRUE(ok(open(node, O_RDWR | O_TRUNC)));
  EXPECT_EQ(store_.stat("second").st_size, 0);
}

TEST_P(FileSystemTest, ShrinkingIsRefusedWhileOthersHoldTheArray) {
  const NodeId node = enter_array();
  const OpenFile own = must(open(node, O_RDWR));
  EXPECT_TRUE(fails_with(resize(node, 100), ETXTBSY));
  const OpenFile other = must(open(node, O_RDONLY));
  EXPECT_TRUE(fails_with(resize(node, 100, own.handle), ETXTBSY));
  files().release(node, other.handle, O_RDONLY);
  {
    const auto mapping = map("w.npy", PROT_READ);
    EXPECT_TRUE(fails_with(resize(node, 100, own.handle), ETXTBSY));
  }
  EXPECT_TRUE(ok(resize(node, 640, own.handle))) << "the same size is no shrinking";
  EXPECT_TRUE(ok(resize(node, 100, own.handle)));
}

TEST_P(FileSystemTest, RawFilesShrinkAsEver) {
  const NodeId node = enter("raw", "some bytes");
  must(open(node, O_RDONLY));
  EXPECT_TRUE(ok(resize(node, 4)));
  EXPECT_EQ(store_.read("raw"), "some");
}

// ---- sealing

TEST_P(FileSystemTest, ASealedFileIsOpenedForReadingAlone) {
  const NodeId node = enter_array();
  ASSERT_TRUE(ok(files().set_xattr(node, "user.array.sealed", "1", 0)));
  EXPECT_EQ(must(files().get_xattr(node, "user.array.sealed")), "1");
  for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND}) {
    EXPECT_TRUE(fails_with(open(node, flags), EPERM)) << flags;
  }
  EXPECT_TRUE(fails_with(resize(node, 10), EPERM));
  EXPECT_TRUE(fails_with(files().growth(node, 10'000), EPERM));
  open_and_close(node, O_RDONLY);
  EXPECT_EQ(store_.stat("w.npy").st_size, 640);
  ASSERT_TRUE(ok(files().remove_xattr(node, "user.array.sealed")));
  open_and_close(node, O_RDWR);
}

TEST_P(FileSystemTest, SealingIsRefusedWhileAWriterHasTheFileOpen) {
  const NodeId node = enter_array();
  const OpenFile writer = must(open(node, O_RDWR));
  EXPECT_TRUE(fails_with(files().set_xattr(node, "user.array.sealed", "1", 0), EBUSY));
  files().release(node, writer.handle, O_RDWR);
  const OpenFile reader = must(open(node, O_RDONLY));
  EXPECT_TRUE(ok(files().set_xattr(node, "user.array.sealed", "1", 0)));
  files().release(node, reader.handle, O_RDONLY);
}

TEST_P(FileSystemTest, SealingIsRefusedWhileAWriterMapsTheFile) {
  if (GetParam() != Plane::kPassthrough) {
    return;  // a writer's mapping keeps the file open there
  }
  const NodeId node = enter_array();
  {
    const auto writing = map("w.npy", PROT_READ | PROT_WRITE);
    EXPECT_TRUE(fails_with(files().set_xattr(node, "user.array.sealed", "1", 0), EBUSY));
  }
  const auto reading = map("w.npy", PROT_READ);
  EXPECT_TRUE(ok(files().set_xattr(node, "user.array.sealed", "1", 0)));
}

TEST_P(FileSystemTest, SealsAreZeroOrOne) {
  const NodeId node = enter_array();
  for (const char* value : {"", "2", "yes", "1 "}) {
    EXPECT_TRUE(fails_with(files().set_xattr(node, "user.array.sealed", value, 0), EINVAL));
  }
  EXPECT_TRUE(ok(files().set_xattr(node, "user.array.sealed", "0", 0)));
  EXPECT_TRUE(fails_with(files().remove_xattr(node, "user.array.sealed"), ENODATA));
  EXPECT_TRUE(fails_with(files().set_xattr(kRootNode, "user.array.sealed", "1", 0), EPERM));
}

TEST_P(FileSystemTest, WhatIsInTheStoreOutlivesTheServer) {
  const NodeId node = enter_array();
  must(files().set_xattr(node, "user.array.sealed", "1", 0));
  must(files().set_xattr(node, "user.array.ttl", "1000", 0));
  files_.reset();
  memory_ = must(StateMemory::create(1U << 16));
  files_.emplace(make());
  const NodeId again = must(files().lookup(kRootNode, "w.npy")).node;
  EXPECT_EQ(must(files().get_xattr(again, "user.array.sealed")), "1");
  EXPECT_TRUE(ok(files().get_xattr(again, "user.array.ttl")));
  EXPECT_TRUE(fails_with(open(again, O_RDWR), EPERM));
}

TEST_P(FileSystemTest, InspectingWhatIsNoFile) {
  EXPECT_TRUE(fails_with(files().inspect(kRootNode), ENODATA));
  EXPECT_TRUE(fails_with(files().inspect(kUnknown), ESTALE));
  must(files().make_node(kRootNode, "fifo", S_IFIFO | 0600, 0, self()));
  const NodeId fifo = must(files().lookup(kRootNode, "fifo")).node;
  EXPECT_TRUE(fails_with(files().inspect(fifo), ENODATA)) << "and it does not block";
}

TEST_P(FileSystemTest, ListsNames) {
  store_.write("a", "x");
  EXPECT_EQ(names(kRootNode).size(), 3U);
}

}  // namespace
}  // namespace arrayfs
