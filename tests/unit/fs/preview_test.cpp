#include "views/preview.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "fixture.hpp"

namespace arrayfs {
namespace {

class PreviewTest : public testing::Test {
 protected:
  shm::Result<std::string> preview(const std::string& name) const {
    const auto fd = store_.open(name, O_RDONLY);
    const auto layout = must(shm::read_npy(fd.get()));
    return array_preview(fd.get(), layout);
  }
  static std::string counted(int count) {
    std::string bytes;
    for (int i = 0; i < count; ++i) {
      const double value = i;
      bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    return bytes;
  }

  TestStore store_;
};

TEST_F(PreviewTest, SmallArraysAreShownWhole) {
  store_.write("a", npy_bytes("<f8", {2, 3}, counted(6)));
  EXPECT_EQ(must(preview("a")), "[[0. 1. 2.]\n [3. 4. 5.]]");
}

TEST_F(PreviewTest, FortranOrder) {
  store_.write("a", npy_bytes("<f8", {2, 3}, counted(6), shm::Order::kFortran));
  EXPECT_EQ(must(preview("a")), "[[0. 2. 4.]\n [1. 3. 5.]]");
}

TEST_F(PreviewTest, ZeroDimensionalAndEmpty) {
  store_.write("scalar", npy_bytes("<f8", {}, counted(1)));
  EXPECT_EQ(must(preview("scalar")), "0.0");
  store_.write("empty", npy_bytes("<f8", {0, 3}));
  EXPECT_EQ(must(preview("empty")), "[]");
}

TEST_F(PreviewTest, LargeArraysAreSummarised) {
  store_.write("a", npy_bytes("<f8", {2000}, counted(2000)));
  EXPECT_EQ(must(preview("a")),
            "[0.000e+00 1.000e+00 2.000e+00 ... 1.997e+03 1.998e+03 1.999e+03]");
}

TEST_F(PreviewTest, OfAHundredGigabytesOnlyTheEdgesAreRead) {
  make_sparse_array(store_.get().root_fd(), "a", "<f4", {50'000, 500'000});
  EXPECT_EQ(store_.stat("a").st_size, 100'000'000'128);
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  const std::string text = must(preview("a"));
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6);
  EXPECT_NE(text.find("..."), std::string::npos);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 << 10) << "KiB";
  EXPECT_LT(store_.stat("a").st_blocks * 512, 1 << 20) << "the holes stay holes";
}

TEST_F(PreviewTest, AnElementThatIsTooLargeIsNotRead) {
  make_sparse_array(store_.get().root_fd(), "a", "|S100000000", {10});
  EXPECT_TRUE(fails_with(preview("a"), EFBIG));
}

TEST_F(PreviewTest, TooManyAxesToShowTheirEdges) {
  make_sparse_array(store_.get().root_fd(), "a", "|u1", shm::Shape(12, 7));
  EXPECT_TRUE(fails_with(preview("a"), EFBIG));
}

TEST_F(PreviewTest, AFileThatShrankIsAnErrorAndNotASignal) {
  store_.write("a", npy_bytes("<f8", {100}));
  const auto fd = store_.open("a", O_RDWR);
  const auto layout = must(shm::read_npy(fd.get()));
  ASSERT_EQ(ftruncate(fd.get(), 200), 0);
  EXPECT_TRUE(fails_with(array_preview(fd.get(), layout), EIO));
  EXPECT_TRUE(fails_with(array_preview(-1, layout), EBADF));
}

}  // namespace
}  // namespace arrayfs
