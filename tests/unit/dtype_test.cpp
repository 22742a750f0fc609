#include <gtest/gtest.h>

#include <utility>

#include "fixture.hpp"

namespace shm {
namespace {

Dtype parsed(std::string_view text) {
  auto dtype = Dtype::parse(text);
  EXPECT_TRUE(dtype) << text << ": " << dtype.error().context;
  return dtype ? std::move(*dtype) : Dtype();
}

class DtypeOfNumpy : public testing::TestWithParam<Fixture> {};

TEST_P(DtypeOfNumpy, SaysAboutItselfWhatNumpySays) {
  const Dtype dtype = parsed(GetParam().descr);
  EXPECT_EQ(dtype.typestr(), GetParam().typestr);
  EXPECT_EQ(dtype.itemsize(), GetParam().itemsize);
  EXPECT_EQ(dtype.is_native(), GetParam().native);
  EXPECT_EQ(dtype.is_object(), GetParam().object);
  EXPECT_EQ(dtype.name(), GetParam().name);
}

TEST_P(DtypeOfNumpy, RoundTrips) {
  const Dtype dtype = parsed(GetParam().descr);
  EXPECT_EQ(parsed(dtype.descr()), dtype);
  EXPECT_EQ(parsed(dtype.name()), dtype);
  EXPECT_EQ(dtype.descr(), GetParam().descr);
}

INSTANTIATE_TEST_SUITE_P(All, DtypeOfNumpy, testing::ValuesIn(fixtures()), fixture_name);

TEST(Dtype, DefaultIsFloat64) {
  EXPECT_EQ(Dtype().name(), "float64");
  EXPECT_TRUE(Dtype().is_native());
  EXPECT_TRUE(Dtype().fields().empty());
}

TEST(Dtype, Names) {
  EXPECT_EQ(parsed("<f8").name(), "float64");
  EXPECT_EQ(parsed(">f8").name(), ">f8");
  EXPECT_EQ(parsed("M8").name(), "datetime64");
  EXPECT_EQ(parsed("m8[25s]").name(), "timedelta64[25s]");
  EXPECT_EQ(parsed(">M8[D]").name(), ">M8[D]");
  EXPECT_EQ(parsed("U4").name(), "<U4");
  EXPECT_EQ(parsed("S4").name(), "|S4");
  EXPECT_EQ(parsed("[('a', '<f4')]").name(), "[('a', '<f4')]");
}

TEST(Dtype, Units) {
  EXPECT_EQ(parsed("M8[25s]").unit(), "25s");
  EXPECT_EQ(parsed("M8").unit(), "");
  EXPECT_EQ(parsed("f8").unit(), "");
}

TEST(Dtype, AliasesKeepTheirNameAndAreVoidInTheFile) {
  for (const auto* alias : {"bfloat16", "float8_e4m3fn", "float8_e5m2"}) {
    EXPECT_EQ(parsed(alias).name(), alias);
    EXPECT_EQ(parsed(alias).kind(), Kind::kVoid);
  }
  EXPECT_EQ(parsed("bfloat16").descr(), "'<V2'");
  EXPECT_EQ(parsed("float8_e5m2").descr(), "'|V1'");
  EXPECT_EQ(parsed("bfloat16"), parsed("V2"));
  EXPECT_EQ(parsed("<V2").name(), "|V2");
}

TEST(Dtype, EqualityIsOfBytesAndMeaning) {
  EXPECT_EQ(parsed("float32"), parsed("<f4"));
  EXPECT_NE(parsed("<f4"), parsed(">f4"));
  EXPECT_NE(parsed("<f4"), parsed("<i4"));
  EXPECT_NE(parsed("<i4"), parsed("<u4"));
  EXPECT_NE(parsed("S4"), parsed("V4"));
  EXPECT_NE(parsed("M8[s]"), parsed("M8[ms]"));
  EXPECT_NE(parsed("M8[s]"), parsed("m8[s]"));
  EXPECT_NE(parsed("V4"), parsed("[('', 'V4')]"));
}

TEST(Dtype, EqualityOfStructsIsOfFields) {
  const Dtype dtype = parsed("[(('t', 'a'), '<f4', (2,)), ('b', '<i8')]");
  EXPECT_EQ(dtype, parsed("[(('t', 'a'), '<f4', 2), ('b', 'int64')]"));
  EXPECT_NE(dtype, parsed("[('a', '<f4', (2,)), ('b', '<i8')]"));
  EXPECT_NE(dtype, parsed("[(('t', 'x'), '<f4', (2,)), ('b', '<i8')]"));
  EXPECT_NE(dtype, parsed("[(('t', 'a'), '<f4', (2, 1)), ('b', '<i8')]"));
  EXPECT_NE(dtype, parsed("[(('t', 'a'), '<f4', (2,)), ('b', '>i8')]"));
  EXPECT_NE(dtype, parsed("[(('t', 'a'), '<f4', (2,))]"));
  EXPECT_NE(parsed("[('a', 'i1'), ('', 'V3'), ('b', '<i4')]"),
            parsed("[('', 'V3'), ('a', 'i1'), ('b', '<i4')]"));
}

TEST(Dtype, NativeAndObjectLookIntoStructs) {
  EXPECT_FALSE(parsed("[('a', [('b', '>f4')])]").is_native());
  EXPECT_TRUE(parsed("[('a', [('b', '<f4')]), ('c', 'S4')]").is_native());
  EXPECT_TRUE(parsed("[('a', [('b', 'O')])]").is_object());
  EXPECT_FALSE(parsed("[('a', 'V8')]").is_object());
}

TEST(Dtype, CopiesOutliveTheOriginal) {
  auto original = std::make_unique<Dtype>(parsed("[('a', '<f4')]"));
  const Dtype copy = *original;
  original.reset();
  EXPECT_EQ(copy.fields()[0].name, "a");
}

}  // namespace
}  // namespace shm
