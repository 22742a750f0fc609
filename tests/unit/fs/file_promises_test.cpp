// FileSystem's promises beyond tmpfs: space, overwriting without harm to readers, sealing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include "file_system_fixture.hpp"

namespace arrayfs {
namespace {

// ---- space

TEST_P(FileSystemTest, OnlyGrowthIsReserved) {
  const NodeId node = enter("a", std::string(8192, 'x'));
  EXPECT_FALSE(must(files().growth(node, 8192)));
  EXPECT_FALSE(must(files().growth(node, 10)));
  const auto grown = must(files().growth(node, kMiB));
  ASSERT_TRUE(grown);
  EXPECT_TRUE(is_allocated(must(grown->run())));
  EXPECT_TRUE(fails_with(files().growth(kUnknownNode, 5), ESTALE));
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
  EXPECT_FALSE(files().missing_space(kUnknownNode, {}));
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
  EXPECT_EQ(stored_size("w.npy"), 0);
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
  if (is_passthrough()) {
    files().release(node, reader.handle, O_RDONLY);  // on cached, it comes after the unmapping
  }
  EXPECT_TRUE(fails_with(open(node, O_RDWR | O_TRUNC), ESTALE));
  EXPECT_TRUE(ok(open(look_again("w.npy"), O_RDWR | O_TRUNC)));
  EXPECT_EQ(mapping.data()[200], std::byte{'d'});
}

TEST_P(FileSystemTest, WhatIsKeptForAReaderThatNeverComesIsLetGo) {
  const NodeId node = enter_array();
  SecondLookups(state()).expect_reader(self().pid);
  must(files().lookup(kRootNode, "w.npy"));
  files().looked_up_for_view(node, self());
  files().forget(node, 1);
  ASSERT_TRUE(ok(files().unlink(kRootNode, "w.npy")));
  EXPECT_EQ(files().nameless().files, 1U) << "the reader is between its lookup and its open";
  for (SecondLookup& entry : state().second_lookups) {
    entry.kept_until_ms = std::min<std::int64_t>(entry.kept_until_ms, 1);
    entry.expires_ms = std::min<std::int64_t>(entry.expires_ms, 1);
  }
  state().second_lookups_until_ms = 1;
  EXPECT_EQ(files().nameless().files, 0U);
  EXPECT_TRUE(fails_with(files().get_attributes(node), ESTALE));
}

TEST_P(FileSystemTest, OnlyTheSecondLookupOfTheOverwriterMakesAVersion) {
  const NodeId node = enter_array();
  enter_array("other.npy");
  must(open(node, O_RDONLY));
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ESTALE));
  const Caller other = another_process();
  EXPECT_FALSE(must(files().prepare_second_lookup(kRootNode, "w.npy", other)));
  // What it looks up instead is not touched, and ends the matter.
  EXPECT_FALSE(must(files().prepare_second_lookup(kRootNode, "other.npy", self())));
  EXPECT_FALSE(must(files().prepare_second_lookup(kRootNode, "w.npy", self())));
  EXPECT_EQ(stored_size("w.npy"), 640);
  EXPECT_EQ(stored_size("other.npy"), 640);
}

TEST_P(FileSystemTest, OfTwoOverwritersEachOpensItsOwnVersion) {
  const NodeId node = enter_array();
  must(open(node, O_RDONLY));
  const Caller other = another_process();
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ESTALE));
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC, other), ESTALE));
  const NodeId first = look_again("w.npy");
  EXPECT_TRUE(must(files().prepare_second_lookup(kRootNode, "w.npy", other)));
  const NodeId second = must(files().lookup(kRootNode, "w.npy")).node;
  EXPECT_NE(first, second);
  EXPECT_TRUE(ok(open(second, O_WRONLY | O_TRUNC, other)));
  EXPECT_TRUE(ok(open(first, O_WRONLY | O_TRUNC))) << "it lost the race, as on tmpfs";
}

TEST_P(FileSystemTest, AVersionIsKeptForWhoIsToOpenIt) {
  const NodeId node = enter_array();
  must(open(node, O_RDONLY));
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ESTALE));
  const NodeId mine = look_again("w.npy");
  const Caller other = another_process();
  EXPECT_TRUE(files().kept_for_another(mine, other));
  EXPECT_FALSE(files().kept_for_another(mine, self()));
  EXPECT_FALSE(files().kept_for_another(node, other));
  EXPECT_TRUE(ok(open(mine, O_WRONLY | O_TRUNC)));
  EXPECT_FALSE(files().kept_for_another(mine, other));
}

TEST_P(FileSystemTest, AFileOfOtherRightsIsNotOverwrittenUnderTheSameName) {
  const NodeId node = enter_array();
  must(open(node, O_RDONLY));
  const Caller other = another_user();
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC, other), ESTALE));
  enter_array("private.npy");
  ASSERT_EQ(fchmodat(store_.get().root_fd(), "private.npy", 0400, 0), 0);
  ASSERT_TRUE(ok(files().rename(kRootNode, "private.npy", kRootNode, "w.npy", 0)));
  EXPECT_FALSE(must(files().prepare_second_lookup(kRootNode, "w.npy", other)));
  EXPECT_EQ(stored_size("w.npy"), 640);
}

TEST_P(FileSystemTest, WhoMeantTheNameBeforeARenameOverwritesWhatHasItNow) {
  const NodeId node = enter_array();
  must(open(node, O_RDONLY));
  must(open(enter_array("other.npy"), O_RDONLY));
  must(files().rename(kRootNode, "w.npy", kRootNode, "other.npy", RENAME_EXCHANGE));
  // The kernel found the file as w.npy, and then it was renamed.
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ESTALE));
  EXPECT_TRUE(ok(open(look_again("w.npy"), O_WRONLY | O_TRUNC)));
  EXPECT_EQ(stored_size("w.npy"), 0);
  EXPECT_EQ(stored_size("other.npy"), 640);
}

TEST_P(FileSystemTest, AnArrayInUseThatIsOpenedByNoNameIsNotOverwritten) {
  const NodeId node = enter_array();
  const OpenFile reader = must(open(node, O_RDONLY));
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ESTALE));
  EXPECT_TRUE(fails_with(open(node, O_WRONLY | O_TRUNC), ETXTBSY)) << "/proc/self/fd/N";
  files().release(node, reader.handle, O_RDONLY);
}

TEST_P(FileSystemTest, RawFilesAreOverwrittenAsEver) {
  const NodeId node = enter("raw", "some bytes");
  must(open(node, O_RDONLY));
  EXPECT_TRUE(ok(open(node, O_RDWR | O_TRUNC)));
  EXPECT_EQ(stored_size("raw"), 0);
}

TEST_P(FileSystemTest, OfAnArrayOfTwoNamesTheOverwrittenOneGetsTheNewVersion) {
  const NodeId node = enter_array();
  must(files().link(node, kRootNode, "second"));
  must(open(node, O_RDONLY));
  EXPECT_TRUE(fails_with(open(node, O_RDWR | O_TRUNC), ESTALE));
  const NodeId fresh = look_again("second");
  EXPECT_NE(fresh, node);
  EXPECT_TRUE(ok(open(fresh, O_RDWR | O_TRUNC)));
  EXPECT_EQ(stored_size("second"), 0);
  EXPECT_EQ(stored_size("w.npy"), 640);
  EXPECT_EQ(files().nameless().files, 0U);
}

TEST_P(FileSystemTest, AnUnusedArrayOfTwoNamesIsOverwrittenUnderBoth) {
  const NodeId node = enter_array();
  must(files().link(node, kRootNode, "second"));
  EXPECT_TRUE(ok(open(node, O_RDWR | O_TRUNC)));
  EXPECT_EQ(stored_size("second"), 0);
}

// ---- shrinking

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
  ASSERT_TRUE(ok(seal(node)));
  EXPECT_EQ(must(files().get_xattr(node, "user.array.sealed")), "1");
  for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND}) {
    EXPECT_TRUE(fails_with(open(node, flags), EPERM)) << flags;
  }
  EXPECT_TRUE(fails_with(resize(node, 10), EPERM));
  EXPECT_TRUE(fails_with(files().growth(node, 10'000), EPERM));
  open_and_close(node, O_RDONLY);
  EXPECT_EQ(stored_size("w.npy"), 640);
  ASSERT_TRUE(ok(files().remove_xattr(node, "user.array.sealed")));
  open_and_close(node, O_RDWR);
}

TEST_P(FileSystemTest, SealingIsRefusedWhileAWriterHasTheFileOpen) {
  const NodeId node = enter_array();
  const OpenFile writer = must(open(node, O_RDWR));
  EXPECT_TRUE(fails_with(seal(node), EBUSY));
  files().release(node, writer.handle, O_RDWR);
  const OpenFile reader = must(open(node, O_RDONLY));
  EXPECT_TRUE(ok(seal(node)));
  files().release(node, reader.handle, O_RDONLY);
}

TEST_P(FileSystemTest, SealingIsRefusedWhileAWriterMapsTheFile) {
  if (!is_passthrough()) {
    return;  // a writer's mapping keeps the file open there
  }
  const NodeId node = enter_array();
  {
    const auto writing = map("w.npy", PROT_READ | PROT_WRITE);
    EXPECT_TRUE(fails_with(seal(node), EBUSY));
  }
  const auto reading = map("w.npy", PROT_READ);
  EXPECT_TRUE(ok(seal(node)));
}

TEST_P(FileSystemTest, SealsAreZeroOrOne) {
  const NodeId node = enter_array();
  for (const char* value : {"", "2", "yes", "1 "}) {
    EXPECT_TRUE(fails_with(seal(node, value), EINVAL));
  }
  EXPECT_TRUE(ok(seal(node, "0")));
  EXPECT_TRUE(fails_with(files().remove_xattr(node, "user.array.sealed"), ENODATA));
  EXPECT_TRUE(fails_with(seal(kRootNode), EPERM));
}

}  // namespace
}  // namespace arrayfs
