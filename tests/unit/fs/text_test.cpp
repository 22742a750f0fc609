#include "text.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace arrayfs {
namespace {

TEST(Text, BytesInTheLargestUnitBelowThem) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.0 KiB");
  EXPECT_EQ(human_bytes(8'000'128), "7.6 MiB");
  EXPECT_EQ(human_bytes(1ULL << 30), "1.0 GiB");
  EXPECT_EQ(human_bytes(100ULL << 40), "100.0 TiB");
}

TEST(Text, BytesNeverRoundUpTo1024) {
  EXPECT_EQ(human_bytes((1U << 20) - 1), "1.0 MiB");
  EXPECT_EQ(human_bytes((1ULL << 30) - 1), "1.0 GiB");
  EXPECT_EQ(human_bytes(UINT64_MAX), "16.0 EiB");
}

TEST(Text, Durations) {
  EXPECT_EQ(human_duration(0), "0 s");
  EXPECT_EQ(human_duration(119), "119 s");
  EXPECT_EQ(human_duration(120), "2 min");
  EXPECT_EQ(human_duration(7199), "119 min");
  EXPECT_EQ(human_duration(7200), "2 h");
  EXPECT_EQ(human_duration(172799), "47 h");
  EXPECT_EQ(human_duration(172800), "2 d");
}

TEST(Text, ADurationOfAClockThatWentBack) {
  EXPECT_EQ(human_duration(-3), "-3 s");
}

TEST(Text, TimesAreUtcWithNanoseconds) {
  EXPECT_EQ(utc_time({0, 0}), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(utc_time({1'772'366'400, 123'456'789}), "2026-03-01T12:00:00.123456789Z");
  EXPECT_EQ(utc_time({-1, 5}), "1969-12-31T23:59:59.000000005Z");
}

TEST(Text, ControlBytesAreShownAndNotSent) {
  EXPECT_EQ(printable("plain text"), "plain text");
  EXPECT_EQ(printable("a\nb\tc\r"), "a\\nb\\tc\\x0d");
  EXPECT_EQ(printable("\x1b[31mred\x7f"), "\\x1b[31mred\\x7f");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
}

TEST(Text, Utf8IsKept) {
  EXPECT_EQ(printable("Größe.npy"), "Größe.npy");
}

}  // namespace
}  // namespace arrayfs
