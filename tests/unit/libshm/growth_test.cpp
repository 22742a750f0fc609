// Appending and resizing: what readers see, what a killed writer leaves, what is refused.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <numeric>
#include <random>
#include <shm/array.hpp>
#include <thread>

#include "../fixture.hpp"
#include "children.hpp"

namespace shm {
namespace {

Dtype dtype(std::string_view text) {
  return *Dtype::parse(text);
}

class Growth : public testing::Test {
 protected:
  Array make(const Shape& shape, std::string_view type = "int64",
             const CreateOptions& options = {}) {
    return std::move(*Array::create(path_, dtype(type), shape, options));
  }

  [[nodiscard]] std::uint64_t file_size() const { return std::filesystem::file_size(path_); }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path("w.npy");
};

TEST_F(Growth, AppendAddsRows) {
  Array array = make({2, 3});
  const std::vector<std::int64_t> rows = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(array.append(std::as_bytes(std::span(rows))));
  EXPECT_EQ(array.layout().shape, (Shape{4, 3}));
  const auto view = *array.view<std::int64_t>();
  EXPECT_EQ(view(3, 2), 6);
  EXPECT_EQ(view(1, 2), 0);
  EXPECT_EQ(file_size(), array.layout().data_offset + 4UL * 3 * 8);
}

TEST_F(Growth, TheHeaderStaysWhatNumpyWrites) {
  Array array = make({0});
  const std::int64_t row = 7;
  for (int i = 0; i < 1001; ++i) {
    ASSERT_TRUE(array.append(std::as_bytes(std::span(&row, 1))));
  }
  std::ifstream file(path_, std::ios::binary);
  std::string head(128, '\0');
  file.read(head.data(), 128);
  EXPECT_EQ(head, *npy_header(dtype("int64"), {1001}, Order::kC));
}

TEST_F(Growth, AnEarlierReaderSeesTheOldLengthUntilItRefreshes) {
  Array writer = make({2});
  Array reader = *Array::open(path_);
  ASSERT_TRUE(writer.resize(100'000));
  EXPECT_EQ(reader.layout().shape, (Shape{2}));
  ASSERT_TRUE(reader.refresh());
  EXPECT_EQ(reader.layout().shape, (Shape{100'000}));
}

TEST_F(Growth, ShrinksAndGrowsWithZeros) {
  Array array = make({4}, "int64", {.fill = std::vector<std::byte>(8, std::byte{1})});
  ASSERT_TRUE(array.resize(1));
  EXPECT_EQ(file_size(), array.layout().data_offset + 8);
  ASSERT_TRUE(array.resize(3));
  const auto view = *array.view<std::int64_t>();
  EXPECT_EQ(view(0), 0x0101010101010101);
  EXPECT_EQ(view(1), 0);
  ASSERT_TRUE(array.resize(0));
  EXPECT_TRUE(array.bytes().empty());
}

TEST_F(Growth, BytesBehindTheDataAreNeverRows) {
  Array array = make({1});
  std::ofstream(path_, std::ios::binary | std::ios::app) << std::string(800, 'x');
  ASSERT_TRUE(array.resize(2));
  EXPECT_EQ((*array.view<std::int64_t>())(1), 0);
  EXPECT_EQ(file_size(), array.layout().data_offset + 16);
}

TEST_F(Growth, AnEmptyAppendOnlyRefreshes) {
  Array array = make({2});
  Array other = *Array::open(path_, Access::kReadWrite);
  ASSERT_TRUE(other.resize(5));
  ASSERT_TRUE(array.append({}));
  EXPECT_EQ(array.layout().shape, (Shape{5}));
}

TEST_F(Growth, Refusals) {
  Array array = make({2, 3});
  const std::vector<std::byte> bytes(25);
  EXPECT_EQ(array.append(bytes).error().code, EINVAL);
  Array reader = *Array::open(path_);
  EXPECT_EQ(reader.resize(9).error().code, EINVAL);
  Array copy = *Array::open(path_, Access::kCopyOnWrite);
  EXPECT_EQ(copy.append({}).error().code, EINVAL);
  EXPECT_EQ(array.resize(std::uint64_t{1} << 62U).error().code, EOVERFLOW);
  EXPECT_EQ(array.layout().shape, (Shape{2, 3}));
}

TEST_F(Growth, NoRowsIn0dAndFortranOrder) {
  EXPECT_EQ(make({}).resize(1).error().code, EINVAL);
  std::filesystem::remove(path_);
  EXPECT_EQ(make({2, 2}, "int64", {.order = Order::kFortran}).resize(3).error().code, EINVAL);
  std::filesystem::remove(path_);
  EXPECT_TRUE(make({2}, "int64", {.order = Order::kFortran}).resize(3));
}

TEST_F(Growth, AReplacedFileIsStale) {
  Array array = make({2});
  auto other = Array::create(path_, dtype("int64"), {7}, {.replace = true});
  EXPECT_EQ(array.resize(3).error().code, ESTALE);
  EXPECT_EQ(array.refresh().error().code, ESTALE);
  std::filesystem::remove(path_);
  EXPECT_EQ(array.resize(3).error().code, ENOENT);
}

TEST_F(Growth, AHeaderWithoutRoomIsNotOverwritten) {
  const std::string text = "{'descr': '<i8', 'fortran_order': False, 'shape': (9,), }\n";
  std::ofstream(path_, std::ios::binary) << npy_file(text, 72);
  Array array = *Array::open(path_, Access::kReadWrite);
  EXPECT_EQ(array.resize(10).error().code, EOVERFLOW);
  EXPECT_TRUE(Array::open(path_));
}

TEST_F(Growth, NoSpaceLeavesTheArrayAsItWas) {
  Array array = make({2});
  const auto refused = array.resize(std::uint64_t{1} << 59U);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().code == ENOSPC || refused.error().code == EFBIG)
      << to_string(refused.error());
  EXPECT_EQ(Array::open(path_)->layout().shape, (Shape{2}));
}

TEST_F(Growth, AForeignLockOfTheWholeFileDoesNotKeepReadersOut) {
  make({2});
  const auto fd = *posix::open_at(AT_FDCWD, path_, O_RDWR);
  ASSERT_TRUE(posix::lock_range(fd.get(), posix::LockKind::kExclusive, {}, false));
  EXPECT_TRUE(Array::open(path_));
}

TEST_F(Growth, ReadersWaitForTheHeaderToBeWhole) {
  constexpr posix::ByteRange kGrowthLock{0, 1};
  constexpr posix::ByteRange kHeaderLock{1, 9};
  make({2});
  const auto fd = *posix::open_at(AT_FDCWD, path_, O_RDWR);
  for (const auto range : {kGrowthLock, kHeaderLock}) {
    ASSERT_TRUE(posix::lock_range(fd.get(), posix::LockKind::kExclusive, range, false));
  }
  std::array<std::byte, 16> header;
  ASSERT_TRUE(posix::pread_full(fd.get(), header, 0));
  ASSERT_TRUE(posix::pwrite_full(fd.get(), std::array<std::byte, 16>{}, 0));
  auto reader = std::async(std::launch::async, [this] { return Array::open(path_).has_value(); });
  EXPECT_EQ(reader.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  ASSERT_TRUE(posix::pwrite_full(fd.get(), header, 0));
  ASSERT_TRUE(posix::unlock_range(fd.get(), kHeaderLock));
  EXPECT_TRUE(reader.get());
}

// Appenders that are killed at any time, and readers that open all the while: every array that is
// seen has rows that were appended whole, and never fewer than before.
TEST_F(Growth, AppendersAreKilled) {
  make({0, 16});
  const auto append_for_ever = [this] {
    Array array = *Array::open(path_, Access::kReadWrite);
    for (;;) {
      const std::vector<std::int64_t> row(16, ::getpid());
      if (!array.append(std::as_bytes(std::span(row)))) return 1;
    }
  };
  std::mt19937 random(1);
  std::vector<Child> writers;
  writers.reserve(3);
  for (int i = 0; i < 3; ++i) writers.emplace_back(append_for_ever);
  std::uint64_t length = 0;
  for (int round = 0; round < 300; ++round) {
    std::uint64_t wanted = length + 1 + random() % 20;
    while (length < wanted) {
      const auto seen = Array::open(path_);
      ASSERT_TRUE(seen) << to_string(seen.error());
      ASSERT_GE(seen->layout().shape[0], length);
      length = seen->layout().shape[0];
      const auto view = *seen->view<std::int64_t>();
      for (std::uint64_t row = length - std::min<std::uint64_t>(length, 8); row < length; ++row) {
        for (int column = 0; column < 16; ++column) ASSERT_EQ(view(row, column), view(row, 0));
        ASSERT_NE(view(row, 0), 0);
      }
    }
    Child& victim = writers[random() % writers.size()];
    ASSERT_TRUE(WIFSIGNALED(victim.kill()));
    victim = Child(append_for_ever);
  }
}

}  // namespace
}  // namespace shm
