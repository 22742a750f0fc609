#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <shm/array.hpp>
#include <thread>
#include <type_traits>

#include "fixture.hpp"

namespace shm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Dtype dtype(std::string_view text) {
  return *Dtype::parse(text);
}

template <typename T>
std::vector<std::byte> fill_of(T value) {
  std::vector<std::byte> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

template <typename T>
std::vector<T> values(const Array& array) {
  std::vector<T> all(array.bytes().size() / sizeof(T));
  if (!all.empty()) std::memcpy(all.data(), array.bytes().data(), all.size() * sizeof(T));
  return all;
}

class ArrayFile : public testing::Test {
 protected:
  Array create(const std::string& path, const Dtype& type, const Shape& shape,
               const CreateOptions& options = {}) {
    auto array = Array::create(path, type, shape, options);
    if (!array) throw std::runtime_error(to_string(array.error()));
    return std::move(*array);
  }

  Array open(const std::string& path, Access access = Access::kReadOnly) {
    auto array = Array::open(path, access);
    if (!array) throw std::runtime_error(to_string(array.error()));
    return std::move(*array);
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path("w.npy");
};

TEST_F(ArrayFile, IsCreatedWholeAndZero) {
  const Array array = create(path_, dtype("<i4"), {2, 3});
  EXPECT_EQ(values<int>(array), std::vector<int>(6, 0));
  EXPECT_EQ(std::filesystem::file_size(path_), 128U + 24U);
  EXPECT_THAT(directory_.names(), ElementsAre("w.npy"));
}

TEST_F(ArrayFile, HasNumpysHeaderAndNothingBehindTheData) {
  create(path_, dtype("<f8"), {3, 4}, {.order = Order::kFortran});
  const std::string content = *posix::read_file(path_, 1 << 20);
  EXPECT_EQ(content, *npy_header(dtype("<f8"), {3, 4}, Order::kFortran) + std::string(96, '\0'));
}

TEST_F(ArrayFile, IsAllocated) {
  create(path_, dtype("u1"), {1'000'000});
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_GE(status.st_blocks * 512, 1'000'000);
}

TEST_F(ArrayFile, IsFilled) {
  EXPECT_EQ(values<float>(create(path_, dtype("<f4"), {7}, {.fill = fill_of(1.5F)})),
            std::vector<float>(7, 1.5F));
  EXPECT_EQ(values<float>(open(path_)), std::vector<float>(7, 1.5F));
}

TEST_F(ArrayFile, IsFilledWithStructs) {
  const std::string value = "abcde";
  const auto bytes = as_bytes(value);
  const Array array = create(path_, dtype("[('a', 'S2'), ('b', 'S3')]"), {5, 5},
                             {.fill = {bytes.begin(), bytes.end()}});
  std::string expected;
  for (int i = 0; i < 25; ++i) expected += value;
  EXPECT_EQ(std::memcmp(array.bytes().data(), expected.data(), expected.size()), 0);
}

TEST_F(ArrayFile, HoldsTheContentsItWasGiven) {
  const std::vector<int> contents{1, 2, 3, 4, 5, 6};
  const auto options = CreateOptions{.contents = std::as_bytes(std::span(contents))};
  EXPECT_EQ(values<int>(create(path_, dtype("<i4"), {2, 3}, options)), contents);
  EXPECT_EQ(values<int>(open(path_)), contents);
}

TEST_F(ArrayFile, IsSharedWhenOpenedForWriting) {
  Array writer = create(path_, dtype("<i4"), {3});
  const Array reader = open(path_);
  Array other = open(path_, Access::kReadWrite);
  writer.mutable_bytes()[0] = std::byte{1};
  other.mutable_bytes()[4] = std::byte{2};
  EXPECT_THAT(values<int>(reader), ElementsAre(1, 2, 0));
}

TEST_F(ArrayFile, CopyOnWriteStaysPrivate) {
  create(path_, dtype("<i4"), {2});
  ::chmod(path_.c_str(), 0400);
  Array copy = open(path_, Access::kCopyOnWrite);
  copy.mutable_bytes()[0] = std::byte{1};
  EXPECT_THAT(values<int>(copy), ElementsAre(1, 0));
  EXPECT_THAT(values<int>(open(path_)), ElementsAre(0, 0));
}

TEST_F(ArrayFile, OutlivesItsName) {
  const Array array = create(path_, dtype("<i4"), {2}, {.fill = fill_of(7)});
  std::filesystem::remove(path_);
  EXPECT_THAT(values<int>(array), ElementsAre(7, 7));
}

TEST_F(ArrayFile, MovesAndIsNotCopied) {
  static_assert(!std::is_copy_constructible_v<Array>);
  Array first = create(path_, dtype("<i4"), {2}, {.fill = fill_of(7)});
  Array second = std::move(first);
  EXPECT_THAT(values<int>(second), ElementsAre(7, 7));
  second = create(directory_.path("other.npy"), dtype("<i4"), {1});
  EXPECT_THAT(values<int>(second), ElementsAre(0));
}

TEST_F(ArrayFile, WithoutElementsHasNoBytes) {
  for (const auto& [type, shape] : {std::pair{"<f8", Shape{0}}, std::pair{"<f8", Shape{3, 0, 2}},
                                    std::pair{"S0", Shape{4}}, std::pair{"[]", Shape{4}}}) {
    Array array = create(path_, dtype(type), shape, {.replace = true});
    EXPECT_TRUE(array.mutable_bytes().empty());
    const Array opened = open(path_);
    EXPECT_TRUE(opened.bytes().empty());
    EXPECT_EQ(opened.layout().shape, shape);
  }
}

TEST_F(ArrayFile, OfNoAxesHasOneElement) {
  EXPECT_THAT(values<double>(create(path_, dtype("<f8"), {}, {.fill = fill_of(2.5)})),
              ElementsAre(2.5));
}

TEST_F(ArrayFile, IsAlignedAsAsked) {
  for (const std::uint64_t align : {64U, 4096U, 8192U}) {
    create(path_, dtype("<i4"), {3}, {.align = align, .replace = true, .fill = fill_of(9)});
    const Array array = open(path_);
    EXPECT_EQ(array.layout().data_offset % align, 0U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array.bytes().data()) % std::min(align, 4096UL), 0U);
    EXPECT_THAT(values<int>(array), ElementsAre(9, 9, 9));
  }
}

TEST_F(ArrayFile, OfAnotherWriterMayBeginAnywhere) {
  const std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3,)}";
  for (const std::size_t spaces : {0U, 1U, 4031U, 4032U, 9000U}) {
    const std::string file = npy_file(header + std::string(spaces, ' '), 0) + "abc and more";
    const Array array = open(directory_.write("odd.npy", file));
    EXPECT_THAT(values<char>(array), ElementsAre('a', 'b', 'c'));
  }
}

TEST_F(ArrayFile, ObeysModeAndUmask) {
  const mode_t before = ::umask(027);
  create(path_, dtype("<i4"), {3});
  ::umask(before);
  EXPECT_EQ(posix::stat_at(AT_FDCWD, path_, 0)->st_mode & 07777U, 0640U);
}

TEST_F(ArrayFile, ReplacesWhenAskedAndReadersKeepTheOld) {
  create(path_, dtype("<i4"), {2}, {.fill = fill_of(1)});
  const Array old = open(path_);
  create(path_, dtype("<i4"), {3}, {.replace = true, .fill = fill_of(2)});
  EXPECT_THAT(values<int>(old), ElementsAre(1, 1));
  EXPECT_THAT(values<int>(open(path_)), ElementsAre(2, 2, 2));
  EXPECT_THAT(directory_.names(), ElementsAre("w.npy"));
}

TEST_F(ArrayFile, IsCreatedOnceByManyThreads) {
  std::atomic<int> created = 0;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto array = Array::create(path_, Dtype(), {1000});
      created += array ? 1 : 0;
      EXPECT_EQ(array ? EEXIST : array.error().code, EEXIST);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(created, 1);
  EXPECT_THAT(directory_.names(), ElementsAre("w.npy"));
}

TEST_F(ArrayFile, OfNumpyIsOpened) {
  for (const Fixture& fixture : fixtures()) {
    const auto array = Array::open(fixture.path());
    if (fixture.object) {
      EXPECT_EQ(array.error().code, EINVAL);
      EXPECT_THAT(array.error().context, HasSubstr("pickled"));
    } else {
      ASSERT_TRUE(array) << array.error().context;
      EXPECT_EQ(array->bytes().size(), array->layout().nbytes());
    }
  }
}

/// Creating fails with this errno, names the path and leaves nothing behind.
void expect_refused(const TemporaryDirectory& directory, const Result<Array>& array, int code) {
  ASSERT_FALSE(array);
  EXPECT_EQ(array.error().code, code) << array.error().context;
  EXPECT_THAT(array.error().context, HasSubstr(".npy"));
  for (const auto& name : directory.names()) EXPECT_EQ(name, "w.npy");
}

TEST_F(ArrayFile, IsNotCreatedTwice) {
  create(path_, dtype("<i4"), {2}, {.fill = fill_of(1)});
  expect_refused(directory_, Array::create(path_, dtype("<i4"), {3}), EEXIST);
  EXPECT_THAT(values<int>(open(path_)), ElementsAre(1, 1));
}

TEST_F(ArrayFile, IsNotCreatedOverADanglingLink) {
  std::filesystem::create_symlink("nowhere", path_);
  expect_refused(directory_, Array::create(path_, dtype("<i4"), {3}), EEXIST);
}

TEST_F(ArrayFile, IsNotCreatedOverADirectory) {
  std::filesystem::create_directory(path_);
  expect_refused(directory_, Array::create(path_, Dtype(), {3}, {.replace = true}), EISDIR);
}

TEST_F(ArrayFile, IsNotCreatedWithoutADirectory) {
  expect_refused(directory_, Array::create(directory_.path("none/w.npy"), Dtype(), {3}), ENOENT);
}

TEST_F(ArrayFile, IsNotCreatedWithAWrongFill) {
  expect_refused(directory_, Array::create(path_, Dtype(), {3}, {.fill = fill_of(1.5F)}), EINVAL);
}

TEST_F(ArrayFile, IsNotCreatedWithOtherContents) {
  const std::vector<std::byte> bytes(25);
  expect_refused(directory_, Array::create(path_, Dtype(), {3}, {.contents = bytes}), EINVAL);
  expect_refused(directory_, Array::create(path_, Dtype(), {0}, {.contents = bytes}), EINVAL);
}

TEST_F(ArrayFile, IsNotCreatedOfObjects) {
  expect_refused(directory_, Array::create(path_, dtype("O"), {3}), EINVAL);
}

TEST_F(ArrayFile, IsNotCreatedMisaligned) {
  expect_refused(directory_, Array::create(path_, Dtype(), {3}, {.align = 100}), EINVAL);
}

TEST_F(ArrayFile, IsNotCreatedBeyond64Bits) {
  expect_refused(directory_, Array::create(path_, Dtype(), {1ULL << 40U, 1ULL << 40U}), EOVERFLOW);
  expect_refused(directory_, Array::create(path_, dtype("u1"), {INT64_MAX}), EOVERFLOW);
}

TEST_F(ArrayFile, IsNotCreatedWhereThereIsNoSpace) {
  const auto array = Array::create(path_, dtype("u1"), {1ULL << 55U});
  ASSERT_FALSE(array);
  EXPECT_TRUE(array.error().code == ENOSPC || array.error().code == EFBIG) << array.error().code;
  EXPECT_THAT(directory_.names(), IsEmpty());
}

TEST_F(ArrayFile, ThatIsNotThereIsNotOpened) {
  EXPECT_EQ(Array::open(path_).error().code, ENOENT);
  EXPECT_EQ(Array::open(path_).error().context, path_);
  EXPECT_EQ(Array::open(path_ + "/x").error().code, ENOENT);
}

TEST_F(ArrayFile, ThatIsSomethingElseIsNotOpened) {
  EXPECT_EQ(Array::open(directory_.path(".")).error().code, EISDIR);
  EXPECT_EQ(Array::open("/dev/null").error().code, EINVAL);
  EXPECT_EQ(Array::open(directory_.write("text", "hello")).error().code, EINVAL);
  EXPECT_EQ(Array::open(directory_.write("empty", "")).error().code, EINVAL);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(Array::open(path_).error().code, EINVAL);
}

TEST_F(ArrayFile, ThatIsTooShortIsNotOpened) {
  create(path_, dtype("<i4"), {3});
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1);
  const auto array = Array::open(path_);
  ASSERT_FALSE(array);
  EXPECT_EQ(array.error().code, EINVAL);
  EXPECT_THAT(array.error().context, HasSubstr(path_ + ": the file ends too early"));
}

TEST_F(ArrayFile, ThatOpenRefusesForWritingIsNotOpened) {
  EXPECT_EQ(Array::open("/proc/self/exe", Access::kReadWrite).error().code, ETXTBSY);
}

}  // namespace
}  // namespace shm
