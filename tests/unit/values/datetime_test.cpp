#include "values/datetime.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace arrayfs {
namespace {

TEST(Datetime, ReadsTheUnitOfADtype) {
  EXPECT_EQ(time_step("25s").unit, TimeUnit::kSecond);
  EXPECT_EQ(time_step("25s").count, 25);
  EXPECT_EQ(time_step("M").unit, TimeUnit::kMonth);
  EXPECT_EQ(time_step("m").unit, TimeUnit::kMinute);
  EXPECT_EQ(time_step("").unit, TimeUnit::kGeneric);
}

TEST(Datetime, ReadsBackWhatItPrints) {
  for (const char* unit : {"Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as",
                           "25s", "7D", "10ms"}) {
    const TimeStep step = time_step(unit);
    for (const std::int64_t value : {0, 1, -1, 12'345, -98'765, 1'000'000'007}) {
      const std::string text = datetime_text(value, step);
      const auto parsed = parse_datetime(text, step);
      ASSERT_TRUE(parsed) << unit << ' ' << text;
      EXPECT_EQ(*parsed, value) << unit << ' ' << text;
    }
  }
}

TEST(Datetime, RoundsDownToTheUnit) {
  EXPECT_EQ(*parse_datetime("1969-12-31T23:59:59.9", time_step("s")), -1);
  EXPECT_EQ(*parse_datetime("1970-01-07", time_step("W")), 0);
  EXPECT_EQ(*parse_datetime("1969-12-31", time_step("W")), -1);
  EXPECT_EQ(*parse_datetime("2020-07-15T10", time_step("Y")), 50);
  EXPECT_EQ(*parse_datetime("-0001-12-31", time_step("Y")), -1971);
}

TEST(Datetime, RefusesWhatIsNoDate) {
  for (const char* text : {"x",
                           "2020-",
                           "2020-1",
                           "2020-13",
                           "2020-00",
                           "2020-01-",
                           "2020-01-32",
                           "2020-01-00",
                           "2021-02-29",
                           "1900-02-29",
                           "2020-01-01T",
                           "2020-01-01T24",
                           "2020-01-01T1",
                           "20200101-",
                           "2020-01-01T10:",
                           "2020-01-01T10:60",
                           "2020-01-01T10:00:60",
                           "2020-01-01T10:00:00Z",
                           "2020-01-01X10",
                           "2020-01-01T10:00:00.1234567890123456789",
                           "+-2020",
                           "now",
                           "9999999999999999999999"}) {
    const auto parsed = parse_datetime(text, time_step("s"));
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, EINVAL) << text;
  }
  EXPECT_EQ(parse_datetime("2020", time_step("")).error().code, EINVAL);
  EXPECT_EQ(*parse_datetime("nat", time_step("")), kNaT);
}

TEST(Datetime, RefusesDatesBeyond64Bits) {
  EXPECT_EQ(parse_datetime("2300-01-01", time_step("ns")).error().code, ERANGE);
  EXPECT_EQ(parse_datetime("100000000000000000", time_step("D")).error().code, ERANGE);
  EXPECT_EQ(parse_datetime("1000000000000000000", time_step("M")).error().code, ERANGE);
  EXPECT_EQ(*parse_datetime("1000000000000000000", time_step("Y")), 999'999'999'999'998'030);
}

TEST(Datetime, PrintsAnyValue) {
  for (const char* unit : {"Y", "M", "W", "D", "h", "s", "ns", "as", "9223372036854775807W"}) {
    EXPECT_FALSE(datetime_text(kNaT + 1, time_step(unit)).empty());
    EXPECT_FALSE(datetime_text(-(kNaT + 1), time_step(unit)).empty());
  }
}

}  // namespace
}  // namespace arrayfs
