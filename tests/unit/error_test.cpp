#include <gtest/gtest.h>

#include <cerrno>
#include <shm/error.hpp>

namespace shm {
namespace {

TEST(Error, SaysWhatItIsAboutAndWhy) {
  EXPECT_EQ(to_string(Error{ENOENT, "w.npy"}), "w.npy: No such file or directory");
}

TEST(Error, WithoutContextSaysWhyOnly) {
  EXPECT_EQ(to_string(Error{ENOSPC, ""}), "No space left on device");
}

TEST(Error, OfAnUnknownNumberStillHasText) {
  EXPECT_EQ(to_string(Error{54321, "x"}), "x: Unknown error 54321");
}

TEST(Error, FailMakesAnErrorOfAnyResult) {
  const Result<int> result = fail(EINVAL, "shape");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, EINVAL);
  EXPECT_EQ(result.error().context, "shape");
}

}  // namespace
}  // namespace shm
