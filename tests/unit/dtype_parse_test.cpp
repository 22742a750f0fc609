#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "dtype_literal.hpp"
#include "fixture.hpp"

namespace shm {
namespace {

using testing::HasSubstr;

struct Accepted {
  std::string text;
  std::string typestr;
  Kind kind;
  std::uint64_t itemsize;
};

class DtypeText : public testing::TestWithParam<Accepted> {};

TEST_P(DtypeText, IsUnderstood) {
  const auto dtype = Dtype::parse(GetParam().text);
  ASSERT_TRUE(dtype) << dtype.error().context;
  EXPECT_EQ(dtype->typestr(), GetParam().typestr);
  EXPECT_EQ(dtype->kind(), GetParam().kind);
  EXPECT_EQ(dtype->itemsize(), GetParam().itemsize);
}

INSTANTIATE_TEST_SUITE_P(
    Names, DtypeText,
    testing::Values(
        Accepted{"bool", "|b1", Kind::kBool, 1}, Accepted{"int8", "|i1", Kind::kInt, 1},
        Accepted{"uint16", "<u2", Kind::kUint, 2}, Accepted{"int", "<i8", Kind::kInt, 8},
        Accepted{"float16", "<f2", Kind::kFloat, 2}, Accepted{"float32", "<f4", Kind::kFloat, 4},
        Accepted{"float64", "<f8", Kind::kFloat, 8}, Accepted{"double", "<f8", Kind::kFloat, 8},
        Accepted{"longdouble", "<f16", Kind::kFloat, 16},
        Accepted{"complex64", "<c8", Kind::kComplex, 8},
        Accepted{"complex256", "<c32", Kind::kComplex, 32},
        Accepted{"object", "|O", Kind::kObject, 8}, Accepted{"str", "<U0", Kind::kUnicode, 0},
        Accepted{"bytes", "|S0", Kind::kBytes, 0}, Accepted{"void", "|V0", Kind::kVoid, 0},
        Accepted{"datetime64", "<M8", Kind::kDatetime, 8},
        Accepted{"datetime64[ns]", "<M8[ns]", Kind::kDatetime, 8},
        Accepted{"timedelta64[25s]", "<m8[25s]", Kind::kTimedelta, 8},
        Accepted{"bfloat16", "<V2", Kind::kVoid, 2},
        Accepted{"float8_e4m3fn", "|V1", Kind::kVoid, 1},
        Accepted{"float8_e5m2", "|V1", Kind::kVoid, 1},
        Accepted{">float32", ">f4", Kind::kFloat, 4},
        Accepted{"  float32\n", "<f4", Kind::kFloat, 4}));

INSTANTIATE_TEST_SUITE_P(
    Codes, DtypeText,
    testing::Values(
        Accepted{"<f4", "<f4", Kind::kFloat, 4}, Accepted{">f4", ">f4", Kind::kFloat, 4},
        Accepted{"=f4", "<f4", Kind::kFloat, 4}, Accepted{"|f4", "<f4", Kind::kFloat, 4},
        Accepted{"f4", "<f4", Kind::kFloat, 4}, Accepted{"d", "<f8", Kind::kFloat, 8},
        Accepted{">d", ">f8", Kind::kFloat, 8}, Accepted{"b", "|i1", Kind::kInt, 1},
        Accepted{"?", "|b1", Kind::kBool, 1}, Accepted{">b1", "|b1", Kind::kBool, 1},
        Accepted{"<u1", "|u1", Kind::kUint, 1}, Accepted{"i08", "<i8", Kind::kInt, 8},
        Accepted{"c", "|S1", Kind::kBytes, 1}, Accepted{"a7", "|S7", Kind::kBytes, 7},
        Accepted{">S7", "|S7", Kind::kBytes, 7}, Accepted{"U4", "<U4", Kind::kUnicode, 16},
        Accepted{">U4", ">U4", Kind::kUnicode, 16}, Accepted{"<V2", "|V2", Kind::kVoid, 2},
        Accepted{"S2147483647", "|S2147483647", Kind::kBytes, 2147483647},
        Accepted{"U536870911", "<U536870911", Kind::kUnicode, 2147483644},
        Accepted{"O", "|O", Kind::kObject, 8}, Accepted{"|O8", "|O", Kind::kObject, 8},
        Accepted{"M8", "<M8", Kind::kDatetime, 8}, Accepted{"M", "<M8", Kind::kDatetime, 8},
        Accepted{">M8[D]", ">M8[D]", Kind::kDatetime, 8},
        Accepted{"m8[generic]", "<m8", Kind::kTimedelta, 8},
        Accepted{"m8[1s]", "<m8[s]", Kind::kTimedelta, 8}));

INSTANTIATE_TEST_SUITE_P(
    Literals, DtypeText,
    testing::Values(Accepted{"'<f4'", "<f4", Kind::kFloat, 4},
                    Accepted{"\"float32\"", "<f4", Kind::kFloat, 4},
                    Accepted{"('<f4')", "<f4", Kind::kFloat, 4},
                    Accepted{"('<f4', ())", "<f4", Kind::kFloat, 4},
                    Accepted{"[]", "|V0", Kind::kStruct, 0},
                    Accepted{"[('a', '<i4')]", "|V4", Kind::kStruct, 4},
                    Accepted{"[('a', 'bfloat16'), ('b', 'S3')]", "|V5", Kind::kStruct, 5},
                    Accepted{"[('a', '<i4'), ('b', '<f8', (3,))]", "|V28", Kind::kStruct, 28}));

Dtype parsed(std::string_view text) {
  auto dtype = Dtype::parse(text);
  EXPECT_TRUE(dtype) << text << ": " << dtype.error().context;
  return dtype ? std::move(*dtype) : Dtype();
}

TEST(DtypeStruct, FieldsHaveOffsets) {
  const Dtype dtype =
      parsed("[(('T', 'a'), '<i2'), ('', '|V6'), ('m', '>f4', (2, 3)), ('', '|V1')]");
  EXPECT_EQ(dtype.itemsize(), 33U);
  ASSERT_EQ(dtype.fields().size(), 2U);
  const Field& a = dtype.fields()[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.title, "T");
  EXPECT_EQ(a.offset, 0U);
  EXPECT_EQ(a.itemsize, 2U);
  const Field& m = dtype.fields()[1];
  EXPECT_EQ(m.dtype, parsed(">f4"));
  EXPECT_EQ(m.shape, (Shape{2, 3}));
  EXPECT_EQ(m.offset, 8U);
  EXPECT_EQ(m.itemsize, 24U);
}

TEST(DtypeStruct, SubarraysOfSubarraysAreOne) {
  const Dtype dtype = parsed("[('a', ('<f4', (2,)), (3,))]");
  EXPECT_EQ(dtype.fields()[0].shape, (Shape{3, 2}));
  EXPECT_EQ(dtype.fields()[0].itemsize, 24U);
}

TEST(DtypeStruct, OnlyNamelessVoidIsPadding) {
  EXPECT_TRUE(parsed("[('', '|V4')]").fields().empty());
  EXPECT_EQ(parsed("[('a', '|V4')]").fields().size(), 1U);
  EXPECT_EQ(parsed("[('', '<f4')]").fields().size(), 1U);
  EXPECT_EQ(parsed("[('', [('a', '<f4')])]").fields().size(), 1U);
  EXPECT_EQ(parsed("[(('t', ''), '|V4')]").fields().size(), 1U);
}

TEST(DtypeStruct, NestsAsDeepAsLiteralsDo) {
  const auto nested = [](int depth) {
    std::string text = "'<f4'";
    for (int i = 0; i < depth; ++i) text.insert(0, "[('a', ").append(")]");
    return text;
  };
  EXPECT_EQ(parsed(nested(kMaxLiteralDepth / 2)).itemsize(), 4U);
  EXPECT_FALSE(Dtype::parse(nested(kMaxLiteralDepth / 2 + 1)));
}

struct Refusal {
  std::string text;
  std::string reason;
};

class DtypeRefused : public testing::TestWithParam<Refusal> {};

TEST_P(DtypeRefused, WithTheReason) {
  const auto dtype = Dtype::parse(GetParam().text);
  ASSERT_FALSE(dtype) << GetParam().text << " is " << dtype->name();
  EXPECT_EQ(dtype.error().code, EINVAL);
  EXPECT_THAT(dtype.error().context, HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    Codes, DtypeRefused,
    testing::Values(
        Refusal{"", "not a dtype"}, Refusal{" ", "not a dtype"}, Refusal{"<", "not a dtype"},
        Refusal{"<<f4", "not a dtype"}, Refusal{"x4", "not a dtype: 'x4'"},
        Refusal{"u", "not a dtype"}, Refusal{"i3", "no such size"}, Refusal{"i16", "no such size"},
        Refusal{"u0", "no such size"}, Refusal{"f1", "no such size"},
        Refusal{"f12", "no such size"}, Refusal{"c4", "no such size"},
        Refusal{"b8", "no such size"}, Refusal{"O4", "no such size"}, Refusal{"M4", "no such size"},
        Refusal{"f4 ,", "not a dtype"}, Refusal{"f4x", "not a dtype"},
        Refusal{"S-1", "not a dtype"}, Refusal{"S+1", "not a dtype"}, Refusal{"S 5", "not a dtype"},
        Refusal{"S2147483648", "no such size"}, Refusal{"V2147483648", "no such size"},
        Refusal{"U536870912", "no such size"},
        Refusal{"S99999999999999999999999999", "no such size"}, Refusal{"T16", "not a dtype"},
        Refusal{"Float64", "not a dtype"}, Refusal{"f4,i4", "not a dtype"},
        Refusal{"2f4", "not a dtype"}, Refusal{"<bfloat16", "not a dtype"},
        Refusal{"f8[ns]", "not a dtype"}, Refusal{std::string("f4\0", 3), "not a dtype"},
        Refusal{"\xff", "not UTF-8"}, Refusal{std::string(20'000, 'S'), "too long"}));

INSTANTIATE_TEST_SUITE_P(
    Units, DtypeRefused,
    testing::Values(Refusal{"M8[]", "unit"}, Refusal{"M8[", "not a dtype"},
                    Refusal{"M8]", "not a dtype"}, Refusal{"M[ns]", "not a dtype"},
                    Refusal{"M8[ns", "not a dtype"}, Refusal{"M8[ns]x", "not a dtype"},
                    Refusal{"M8[B]", "unit"}, Refusal{"M8[NS]", "unit"}, Refusal{"M8[0s]", "unit"},
                    Refusal{"M8[-1s]", "unit"}, Refusal{"M8[2147483648s]", "unit"},
                    Refusal{"M8[25]", "unit"}, Refusal{"M8[D/2]", "unit"},
                    Refusal{"M8[s]//3", "not a dtype"}, Refusal{"datetime64[fortnight]", "unit"},
                    Refusal{"datetime64ns", "not a dtype"},
                    Refusal{"timedelta64[5generic]", "unit"}));

INSTANTIATE_TEST_SUITE_P(
    Structs, DtypeRefused,
    testing::Values(
        Refusal{"[", "ends too early"}, Refusal{"['ab']", "a field must be"},
        Refusal{"[('a',)]", "a field must be"},
        Refusal{"[('a', '<f4', (2,), 3)]", "a field must be"}, Refusal{"[1]", "a field must be"},
        Refusal{"[()]", "a field must be"}, Refusal{"[('a', 'zzz')]", "not a dtype: 'zzz'"},
        Refusal{"[('a', None)]", "must be a string"}, Refusal{"[('a', 4)]", "must be a string"},
        Refusal{"[('a', b'<f4')]", "must be a string"}, Refusal{"[('a', {})]", "must be a string"},
        Refusal{"[(1, '<f4')]", "name must be a string"},
        Refusal{"[(b'a', '<f4')]", "name must be a string"},
        Refusal{"[(None, '<f4')]", "name must be a string"},
        Refusal{"[((1, 'a'), '<f4')]", "name must be a string"},
        Refusal{"[(('a',), '<f4')]", "name must be a string"},
        Refusal{"[(('a', 'b', 'c'), '<f4')]", "name must be a string"},
        Refusal{"[('a', '<f4'), ('a', '<i4')]", "two fields have the name 'a'"},
        Refusal{"[('', '<f4'), ('', '<i4')]", "two fields have the name ''"},
        Refusal{"[(('t', 'a'), '<f4'), ('t', '<f4')]", "two fields"},
        Refusal{"[(('t', 'a'), '<f4'), (('t', 'b'), '<f4')]", "two fields"},
        Refusal{"[(('a', 'a'), '<f4')]", "two fields"},
        Refusal{"[('a', 'S2147483647'), ('b', 'S1')]", "a struct beyond"},
        Refusal{"{'names': ['a'], 'formats': ['<f4']}", "must be a string"},
        Refusal{"None", "not a dtype"}, Refusal{"('<f4', {})", "extent is not an integer"}));

INSTANTIATE_TEST_SUITE_P(
    Subarrays, DtypeRefused,
    testing::Values(Refusal{"('<f4', (2,))", "in a field only"},
                    Refusal{"('<f4', 2)", "in a field only"},
                    Refusal{"[('a', '<f4', -1)]", "negative"},
                    Refusal{"[('a', '<f4', (2, -1))]", "negative"},
                    Refusal{"[('a', '<f4', 2.5)]", "not an integer"},
                    Refusal{"[('a', '<f4', True)]", "not an integer"},
                    Refusal{"[('a', '<f4', None)]", "not an integer"},
                    Refusal{"[('a', '<f4', '2')]", "not an integer"},
                    Refusal{"[('a', '<f4', ((2,),))]", "not an integer"},
                    Refusal{"[('a', '<f4', (99999999999999999999,))]", "64 bits"},
                    Refusal{"[('a', '<f4', (2147483647,))]", "beyond 2147483647 bytes"},
                    Refusal{"[('a', '<f4', (4611686018427387904, 4))]", "beyond 2147483647 bytes"},
                    Refusal{"[('a', ('<f4', (65536,)), (65536,))]", "beyond 2147483647 bytes"}));

TEST(DtypeRefused, SubarrayWithTooManyAxes) {
  std::string axes;
  for (std::size_t i = 0; i < kMaxDims; ++i) axes += "1,";
  EXPECT_TRUE(Dtype::parse("[('a', '<f4', (" + axes + "))]"));
  EXPECT_FALSE(Dtype::parse("[('a', '<f4', (" + axes + "1))]"));
  EXPECT_FALSE(Dtype::parse("[('a', ('<f4', (2,)), (" + axes + "))]"));
}

TEST(DtypeRefused, LongTextIsNotRepeatedWhole) {
  const auto dtype = Dtype::parse(std::string(9000, 'q'));
  ASSERT_FALSE(dtype);
  EXPECT_LT(dtype.error().context.size(), 200U);
}

TEST(Extent, IsACheckedInteger) {
  const auto extent = [](std::string_view text) {
    return extent_from_literal(*parse_literal(text));
  };
  EXPECT_EQ(*extent("0"), 0U);
  EXPECT_EQ(*extent("-0"), 0U);
  EXPECT_EQ(*extent("9223372036854775807"), 9223372036854775807U);
  EXPECT_EQ(extent("9223372036854775808").error().code, EOVERFLOW);
  EXPECT_EQ(extent("99999999999999999999").error().code, EOVERFLOW);
  EXPECT_EQ(extent("-1").error().code, EINVAL);
  EXPECT_EQ(extent("-99999999999999999999").error().code, EINVAL);
  EXPECT_EQ(extent("True").error().code, EINVAL);
}

}  // namespace
}  // namespace shm
