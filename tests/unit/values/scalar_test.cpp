#include "values/scalar.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "values/element_format.hpp"

namespace arrayfs {
namespace {

/// The text, read as the type and printed again; the reason where that fails.
std::string round_trip(std::string_view type, std::string_view text) {
  const shm::Dtype dtype = shm::Dtype::parse(type).value();
  const auto bytes = parse_scalar(dtype, text);
  return bytes ? scalar_text(dtype, bytes->data()) : "errno " + std::to_string(bytes.error().code);
}

const std::string kInvalid = "errno " + std::to_string(EINVAL);
const std::string kOutOfRange = "errno " + std::to_string(ERANGE);

TEST(Scalar, ReadsBooleans) {
  EXPECT_EQ(round_trip("bool", "True"), "True");
  EXPECT_EQ(round_trip("bool", "false"), "False");
  EXPECT_EQ(round_trip("bool", "1"), "True");
  for (const char* text : {"", "2", "yes", "TRUE", "0.0"}) {
    EXPECT_EQ(round_trip("bool", text), kInvalid) << text;
  }
}

TEST(Scalar, ReadsIntegersWithinTheirRange) {
  EXPECT_EQ(round_trip("int8", "-128"), "-128");
  EXPECT_EQ(round_trip("int8", "128"), kOutOfRange);
  EXPECT_EQ(round_trip("int8", "-129"), kOutOfRange);
  EXPECT_EQ(round_trip(">i8", "-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(round_trip("int64", "9223372036854775808"), kOutOfRange);
  EXPECT_EQ(round_trip("uint64", "18446744073709551615"), "18446744073709551615");
  EXPECT_EQ(round_trip("uint64", "18446744073709551616"), kOutOfRange);
  EXPECT_EQ(round_trip("uint8", "-1"), kOutOfRange);
  EXPECT_EQ(round_trip("uint8", "-0"), "0");
  EXPECT_EQ(round_trip("int32", "+0x10"), "16");
  EXPECT_EQ(round_trip("int32", "-0b101"), "-5");
  EXPECT_EQ(round_trip("int32", "0o17"), "15");
  for (const char* text : {"", "-", "1.5", "0x", "1e3", "--1", "1 ", "nan", "0xg", "+-1"}) {
    EXPECT_EQ(round_trip("int32", text), kInvalid) << text;
  }
}

TEST(Scalar, ReadsFloatsOfEveryWidth) {
  for (const char* type :
       {"float16", ">f2", "float32", "float64", ">f8", "longdouble", "bfloat16", "float8_e5m2"}) {
    EXPECT_EQ(round_trip(type, "1.5"), "1.5") << type;
    EXPECT_EQ(round_trip(type, "-0"), "-0.0") << type;
    EXPECT_EQ(round_trip(type, "+3"), "3.0") << type;
    EXPECT_EQ(round_trip(type, "nan"), "nan") << type;
    EXPECT_EQ(round_trip(type, "-inf"), "-inf") << type;
    EXPECT_EQ(round_trip(type, "0x10"), "16.0") << type;
    for (const char* text : {"", "x", "1.5x", "+-1", "1,5", "1 5"}) {
      EXPECT_EQ(round_trip(type, text), kInvalid) << type << ' ' << text;
    }
  }
  EXPECT_EQ(round_trip("float64", "0.1"), "0.1");
  EXPECT_EQ(round_trip("longdouble", "0.1"), "0.1");
  EXPECT_EQ(round_trip("float16", "65520"), kOutOfRange);
  EXPECT_EQ(round_trip("float16", "65519"), "65500.0");
  EXPECT_EQ(round_trip("float64", "1e400"), kOutOfRange);
}

TEST(Scalar, ReadsComplexNumbers) {
  EXPECT_EQ(round_trip("complex128", "1+2j"), "(1+2j)");
  EXPECT_EQ(round_trip("complex64", "(1.5-2e-3j)"), "(1.5-0.002j)");
  EXPECT_EQ(round_trip(">c16", "1e-5+2E+20j"), "(1e-05+2e+20j)");
  EXPECT_EQ(round_trip("complex128", "-2j"), "-2j");
  EXPECT_EQ(round_trip("complex128", "3"), "(3+0j)");
  EXPECT_EQ(round_trip("complex128", "1-j"), "(1-1j)");
  EXPECT_EQ(round_trip("complex128", "j"), "1j");
  EXPECT_EQ(round_trip("complex128", "nan+infj"), "(nan+infj)");
  for (const char* text : {"", "1+2", "1+2jj", "x+1j", "1+xj", "(1+2j", "e-1j"}) {
    EXPECT_EQ(round_trip("complex128", text), kInvalid) << text;
  }
}

TEST(Scalar, ReadsStrings) {
  EXPECT_EQ(round_trip("S5", "abc"), "b'abc'");
  EXPECT_EQ(round_trip("S5", "b'a\\x00\\xff'"), "b'a\\x00\\xff'");
  EXPECT_EQ(round_trip("V2", "b'\\x01'"), "b'\\x01\\x00'");
  EXPECT_EQ(round_trip("U5", "'\u00e4b'"), "\u00e4b");
  EXPECT_EQ(round_trip(">U5", "\"\\u4e2d\""), "\u4e2d");
  EXPECT_EQ(round_trip("S2", "abc"), kOutOfRange);
  EXPECT_EQ(round_trip("U2", "abc"), kOutOfRange);
  EXPECT_EQ(round_trip("S5", "'abc"), kInvalid);
  EXPECT_EQ(round_trip("S5", "\u00e4"), kInvalid);
  EXPECT_EQ(round_trip("U5", "\xff"), kInvalid);
}

TEST(Scalar, ReadsTimes) {
  EXPECT_EQ(round_trip("datetime64[D]", "2020-02-29"), "2020-02-29");
  EXPECT_EQ(round_trip(">M8[s]", "'2020-01-01 12:30'"), "2020-01-01T12:30:00");
  EXPECT_EQ(round_trip("datetime64[ns]", "NaT"), "NaT");
  EXPECT_EQ(round_trip("timedelta64[25s]", "2"), "50 seconds");
  EXPECT_EQ(round_trip("timedelta64[s]", "NaT"), "NaT");
  EXPECT_EQ(round_trip("timedelta64[s]", "1.5"), kInvalid);
  EXPECT_EQ(round_trip("datetime64[D]", "2021-02-29"), kInvalid);
  EXPECT_EQ(round_trip("datetime64[as]", "2020"), kOutOfRange);
}

TEST(Scalar, FillsEveryFieldOfAStruct) {
  EXPECT_EQ(round_trip("[('a', '<i2'), ('b', '>f4', (2,)), ('c', [('d', '?')])]", "1"),
            "(1, [1., 1.], (True,))");
  EXPECT_EQ(round_trip("[('a', 'i1'), ('b', '<f4')]", "300"), kOutOfRange);
}

TEST(Scalar, RefusesObjects) {
  EXPECT_EQ(parse_scalar(shm::Dtype::parse("O").value(), "1").error().code, EINVAL);
}

}  // namespace
}  // namespace arrayfs
