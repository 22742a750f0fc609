// FileSystem: opening, creating and releasing files.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "file_system_fixture.hpp"

namespace arrayfs {
namespace {

TEST_P(FileSystemTest, OpensAndReleases) {
  const NodeId node = enter("a", "12345");
  const size_t descriptors = open_descriptors();
  const OpenFile file = must(open(node, O_RDWR));
  EXPECT_EQ(files().state().open_files, 1U);
  EXPECT_EQ((*files().find(node))->writers(), 1U);
  if (is_passthrough()) {
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
  EXPECT_EQ(registered_.size(), is_passthrough() ? 1U : 0U);
  EXPECT_LE(last_id_, 1);
  files().forget(node, 1);
  EXPECT_TRUE(registered_.empty());
}

TEST_P(FileSystemTest, OpeningFails) {
  EXPECT_TRUE(fails_with(open(kUnknownNode, O_RDONLY), ESTALE));
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
  EXPECT_TRUE(fails_with(create(kUnknownNode, "b", O_RDWR), ESTALE));
  EXPECT_TRUE(fails_with(create(kRootNode, std::string(256, 'n').c_str(), O_RDWR), ENAMETOOLONG));
  EXPECT_EQ(files().state().open_files, 0U);
  EXPECT_EQ(store_.read("a"), "x");
}

TEST_P(FileSystemTest, WhenTheKernelTakesNoBackingFileNothingLeaks) {
  if (!is_passthrough()) {
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
  const Caller other = another_user();
  EXPECT_TRUE(fails_with(
      files().create_file(kRootNode, "w.npy", 0600, O_RDWR | O_CREAT | O_TRUNC, other), ESTALE));
  EXPECT_EQ(stored_size("w.npy"), 640);
}

}  // namespace
}  // namespace arrayfs
