#include "values/minifloat.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace arrayfs {
namespace {

class MinifloatOf : public ::testing::TestWithParam<const char*> {
 protected:
  Minifloat format_ = Minifloat::of(shm::Dtype::parse(GetParam()).value()).value();
  std::size_t size_ = shm::Dtype::parse(GetParam()).value().itemsize();
};

TEST_P(MinifloatOf, StoresWhatItLoads) {
  for (std::uint32_t code = 0; code < (1U << (8 * size_)); ++code) {
    const std::array<std::byte, 2> bytes = {static_cast<std::byte>(code & 0xFFU),
                                            static_cast<std::byte>(code >> 8U)};
    const float value = format_.load(bytes.data());
    std::array<std::byte, 2> stored{};
    ASSERT_TRUE(format_.store(static_cast<double>(value), stored.data())) << code;
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(format_.load(stored.data()))) << code;
    } else {
      EXPECT_EQ(stored, bytes) << code;
    }
  }
}

TEST_P(MinifloatOf, RefusesWhatIsTooLarge) {
  std::array<std::byte, 2> bytes{};
  EXPECT_FALSE(format_.store(1e40, bytes.data()));
  EXPECT_FALSE(format_.store(-1e40, bytes.data()));
}

INSTANTIATE_TEST_SUITE_P(Formats, MinifloatOf,
                         ::testing::Values("bfloat16", "float8_e4m3fn", "float8_e5m2"));

float rounded(const char* name, double value) {
  std::array<std::byte, 2> bytes{};
  const Minifloat format = Minifloat::of(shm::Dtype::parse(name).value()).value();
  return format.store(value, bytes.data()) ? format.load(bytes.data())
                                           : std::numeric_limits<float>::quiet_NaN();
}

TEST(Minifloat, RoundsHalfToEven) {
  EXPECT_EQ(rounded("float8_e4m3fn", 17), 16);
  EXPECT_EQ(rounded("float8_e4m3fn", 19), 20);
  EXPECT_EQ(rounded("float8_e4m3fn", 17.1), 18);
  EXPECT_EQ(rounded("float8_e4m3fn", 448), 448);
  EXPECT_TRUE(std::isnan(rounded("float8_e4m3fn", 465)));
  EXPECT_TRUE(std::isnan(rounded("float8_e4m3fn", std::numeric_limits<double>::infinity())));
  EXPECT_EQ(rounded("float8_e5m2", 57344), 57344);
}

TEST(Minifloat, IsNoOtherDtype) {
  for (const char* name : {"V1", "V2", "float16", "uint8", "S2"}) {
    EXPECT_FALSE(Minifloat::of(shm::Dtype::parse(name).value())) << name;
  }
}

}  // namespace
}  // namespace arrayfs
