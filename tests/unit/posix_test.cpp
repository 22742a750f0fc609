#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <shm/posix.hpp>
#include <utility>

#include "fixture.hpp"

namespace shm::posix {
namespace {

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) != -1;
}

class Posix : public testing::Test {
 protected:
  Fd open(const std::string& path, int flags) {
    auto fd = open_at(AT_FDCWD, path, flags, 0600);
    EXPECT_TRUE(fd) << to_string(fd.error());
    return fd ? std::move(*fd) : Fd();
  }

  TemporaryDirectory directory_;
};

TEST_F(Posix, FdClosesWhatItOwns) {
  int number = -1;
  {
    const Fd fd = open("/dev/null", O_RDONLY);
    number = fd.get();
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST_F(Posix, FdMovesAndReleases) {
  Fd first = open("/dev/null", O_RDONLY);
  const int number = first.get();
  Fd second(std::move(first));
  EXPECT_EQ(second.get(), number);
  Fd third = open("/dev/null", O_RDONLY);
  const int replaced = third.get();
  third = std::move(second);
  EXPECT_FALSE(is_open(replaced));
  EXPECT_EQ(third.release(), number);
  EXPECT_FALSE(third.valid());
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST_F(Posix, OpenedFilesDoNotPassExec) {
  EXPECT_NE(::fcntl(open("/dev/null", O_RDONLY).get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(Posix, OpenSaysWhichPath) {
  const auto fd = open_at(AT_FDCWD, directory_.path("none"), O_RDONLY);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().code, ENOENT);
  EXPECT_EQ(fd.error().context, directory_.path("none"));
}

TEST_F(Posix, OpenIsRelativeToADirectory) {
  const Fd directory = open(directory_.path("."), O_PATH | O_DIRECTORY);
  EXPECT_TRUE(open_at(directory.get(), "new", O_CREAT | O_WRONLY, 0600));
  EXPECT_EQ(directory_.names(), std::vector<std::string>{"new"});
}

TEST_F(Posix, StatsByDescriptorAndByPath) {
  const std::string path = directory_.write("five", "12345");
  const Fd fd = open(path, O_RDONLY);
  EXPECT_EQ(stat_fd(fd.get())->st_size, 5);
  EXPECT_EQ(stat_at(AT_FDCWD, path, 0)->st_size, 5);
  const Fd unreadable = open(path, O_PATH);
  EXPECT_EQ(stat_at(unreadable.get(), "", AT_EMPTY_PATH)->st_size, 5);
}

TEST_F(Posix, StatFails) {
  EXPECT_EQ(stat_fd(-1).error().code, EBADF);
  EXPECT_EQ(stat_at(AT_FDCWD, directory_.path("none"), 0).error().code, ENOENT);
  EXPECT_EQ(stat_at(AT_FDCWD, "", 0).error().code, ENOENT);
}

TEST_F(Posix, ReadsUntilTheEnd) {
  const Fd fd = open(directory_.write("five", "12345"), O_RDONLY);
  std::string buffer(8, 'x');
  EXPECT_EQ(*pread_full(fd.get(), std::as_writable_bytes(std::span(buffer)), 1), 4U);
  EXPECT_EQ(buffer, "2345xxxx");
  EXPECT_EQ(*pread_full(fd.get(), std::as_writable_bytes(std::span(buffer)), 100), 0U);
}

TEST_F(Posix, ReadFails) {
  std::byte byte{};
  EXPECT_EQ(pread_full(-1, {&byte, 1}, 0).error().code, EBADF);
  const Fd directory = open("/", O_RDONLY);
  EXPECT_EQ(pread_full(directory.get(), {&byte, 1}, 0).error().code, EISDIR);
  const Fd null = open("/dev/null", O_RDONLY);
  EXPECT_EQ(pread_full(null.get(), {&byte, 1}, UINT64_MAX).error().code, EOVERFLOW);
  EXPECT_EQ(pread_full(null.get(), {&byte, 1}, INT64_MAX).error().code, EOVERFLOW);
}

TEST_F(Posix, WritesWhole) {
  const std::string path = directory_.path("written");
  const Fd fd = open(path, O_RDWR | O_CREAT);
  EXPECT_TRUE(pwrite_full(fd.get(), as_bytes("abc"), 2));
  EXPECT_EQ(*read_file(path, 100), std::string("\0\0abc", 5));
}

TEST_F(Posix, WriteFails) {
  const Fd fd = open(directory_.write("read-only", ""), O_RDONLY);
  EXPECT_EQ(pwrite_full(fd.get(), as_bytes("abc"), 0).error().code, EBADF);
  EXPECT_EQ(pwrite_full(fd.get(), as_bytes("abc"), INT64_MAX).error().code, EOVERFLOW);
  const Fd full = open("/dev/full", O_WRONLY);
  EXPECT_EQ(pwrite_full(full.get(), as_bytes("abc"), 0).error().code, ENOSPC);
}

TEST_F(Posix, ReadFileTakesGeneratedFiles) {
  const auto status = read_file("/proc/self/status", 1 << 20);
  ASSERT_TRUE(status);
  EXPECT_NE(status->find("Name:"), std::string::npos);
}

TEST_F(Posix, ReadFileHasALimit) {
  const std::string path = directory_.write("large", std::string(50'000, 'a'));
  EXPECT_EQ(read_file(path, 50'000)->size(), 50'000U);
  EXPECT_EQ(read_file(path, 49'999).error().code, EFBIG);
  EXPECT_EQ(read_file(directory_.path("none"), 1).error().code, ENOENT);
  EXPECT_EQ(read_file(directory_.path("."), 1).error().code, EISDIR);
}

TEST_F(Posix, AllocatesPages) {
  const Fd fd = open(directory_.path("allocated"), O_RDWR | O_CREAT);
  ASSERT_TRUE(allocate(fd.get(), 100'000));
  const auto status = stat_fd(fd.get());
  EXPECT_EQ(status->st_size, 100'000);
  EXPECT_GE(status->st_blocks * 512, 100'000);
}

TEST_F(Posix, AllocateFails) {
  const Fd fd = open(directory_.path("allocated"), O_RDWR | O_CREAT);
  EXPECT_EQ(allocate(fd.get(), UINT64_MAX).error().code, EOVERFLOW);
  EXPECT_EQ(allocate(-1, 10).error().code, EBADF);
}

TEST_F(Posix, RenameReplacesAndRenameNewDoesNot) {
  const std::string a = directory_.write("a", "A");
  const std::string b = directory_.write("b", "B");
  EXPECT_EQ(rename_new(a, b).error().code, EEXIST);
  EXPECT_EQ(*read_file(b, 10), "B");
  EXPECT_TRUE(rename_new(a, directory_.path("c")));
  EXPECT_TRUE(rename(b, directory_.path("c")));
  EXPECT_EQ(directory_.names(), std::vector<std::string>{"c"});
  EXPECT_EQ(*read_file(directory_.path("c"), 10), "B");
  EXPECT_EQ(rename(a, b).error().code, ENOENT);
  EXPECT_EQ(rename_new(a, b).error().code, ENOENT);
}

TEST_F(Posix, Unlinks) {
  const std::string path = directory_.write("a", "A");
  EXPECT_TRUE(unlink(path));
  EXPECT_EQ(unlink(path).error().code, ENOENT);
}

TEST_F(Posix, MapsAndUnmaps) {
  const Fd fd = open(directory_.write("mapped", std::string(page_size_bytes(), 'm')), O_RDWR);
  auto mapping = Mapping::map(fd.get(), 0, 10, PROT_READ | PROT_WRITE, MAP_SHARED);
  ASSERT_TRUE(mapping);
  mapping->data()[0] = std::byte{'M'};
  EXPECT_EQ(read_file(directory_.path("mapped"), 1 << 20)->substr(0, 2), "Mm");
  Mapping moved(std::move(*mapping));
  EXPECT_EQ(mapping->data(), nullptr);
  EXPECT_EQ(moved.size(), 10U);
  auto other = Mapping::map(fd.get(), 0, 5, PROT_READ, MAP_PRIVATE);
  ASSERT_TRUE(other);
  moved = std::move(*other);
  EXPECT_EQ(moved.size(), 5U);
  moved.reset();
  EXPECT_EQ(moved.data(), nullptr);
}

TEST_F(Posix, MapFails) {
  const Fd fd = open(directory_.write("mapped", "m"), O_RDONLY);
  EXPECT_EQ(Mapping::map(fd.get(), 1, 10, PROT_READ, MAP_SHARED).error().code, EINVAL);
  EXPECT_EQ(Mapping::map(fd.get(), 0, 0, PROT_READ, MAP_SHARED).error().code, EINVAL);
  EXPECT_EQ(Mapping::map(fd.get(), 0, 1, PROT_READ | PROT_WRITE, MAP_SHARED).error().code, EACCES);
  EXPECT_EQ(Mapping::map(-1, 0, 1, PROT_READ, MAP_SHARED).error().code, EBADF);
  EXPECT_EQ(Mapping::map(fd.get(), UINT64_MAX - 4095, 1, PROT_READ, MAP_SHARED).error().code,
            EOVERFLOW);
}

TEST_F(Posix, RandomBitsDiffer) {
  EXPECT_NE(*random_bits(), *random_bits());
}

}  // namespace
}  // namespace shm::posix
