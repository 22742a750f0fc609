#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

#include "mount.hpp"
#include "transcript.hpp"

namespace parity {

// GoogleTest finds this by its name.
void PrintTo(const Row& row, std::ostream* out);
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.name;
}

namespace {

using test_support::Mount;
using test_support::Plane;

/// One native tmpfs and one mount for all rows of a plane; a fresh directory on each for every row.
class Parity : public testing::TestWithParam<std::tuple<Plane, Row>> {
 protected:
  static void TearDownTestSuite() {
    native_.reset();
    mounted_.reset();
  }

  void SetUp() override {
    if (!native_) {
      native_.emplace(Plane::kTmpfs);
      mounted_.emplace(std::get<Plane>(GetParam()));
    }
  }

  static std::string run_on(Mount& mount, const Row& row) {
    const std::string directory = mount.path() + "/" + row.name;
    if (mkdir(directory.c_str(), 0755) != 0) {
      return "mkdir " + directory + ": " + strerrorname_np(errno);
    }
    std::string transcript = transcript_of(row, directory, [&] { mount.abort(); });
    std::filesystem::remove_all(directory);
    return transcript;
  }

  static std::optional<Mount> native_;
  static std::optional<Mount> mounted_;
};

std::optional<Mount> Parity::native_;
std::optional<Mount> Parity::mounted_;

/// What a row's transcript on the mount should be where it is not that of tmpfs; or null.
const char* difference(const Row& row, Plane plane) {
  switch (plane) {
    case Plane::kTmpfs:
      return nullptr;
    case Plane::kCached:
      return row.on_cached;
    case Plane::kPassthrough:
      return row.on_passthrough;
  }
  return nullptr;
}

TEST_P(Parity, Row) {
  const auto& [plane, row] = GetParam();
  const std::string native = run_on(*native_, row);
  const std::string mounted = run_on(*mounted_, row);
  EXPECT_EQ(native.find("row ended early"), std::string::npos) << native;
  if (const char* expected = difference(row, plane)) {
    EXPECT_EQ(expected, mounted);
    EXPECT_NE(native, mounted) << "the difference has gone: make it an ordinary ROW";
  } else {
    EXPECT_EQ(native, mounted);
  }
}

std::string row_name(const testing::TestParamInfo<Parity::ParamType>& info) {
  return std::get<Row>(info.param).name;
}

// tmpfs against tmpfs shows that the rows themselves give the same transcript every time.
INSTANTIATE_TEST_SUITE_P(tmpfs, Parity,
                         testing::Combine(testing::Values(Plane::kTmpfs),
                                          testing::ValuesIn(rows())),
                         row_name);
INSTANTIATE_TEST_SUITE_P(cached, Parity,
                         testing::Combine(testing::Values(Plane::kCached),
                                          testing::ValuesIn(rows())),
                         row_name);
INSTANTIATE_TEST_SUITE_P(passthrough, Parity,
                         testing::Combine(testing::Values(Plane::kPassthrough),
                                          testing::ValuesIn(rows())),
                         row_name);

}  // namespace
}  // namespace parity

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  constexpr int kSkipped = 77;
  if (!test_support::have_fuse()) {
    std::fputs("no /dev/fuse here: skipped\n", stderr);
    return kSkipped;
  }
  return RUN_ALL_TESTS();
}
