#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <shm/posix.hpp>

#include "fixture.hpp"

namespace shm {
namespace {

using testing::HasSubstr;

class NpyOfNumpy : public testing::TestWithParam<Fixture> {};

TEST_P(NpyOfNumpy, IsReadAsNumpyReadsIt) {
  const auto layout = parse_file(GetParam().bytes());
  ASSERT_TRUE(layout) << layout.error().context;
  EXPECT_EQ(layout->dtype.typestr(), GetParam().typestr);
  EXPECT_EQ(layout->dtype, *Dtype::parse(GetParam().descr));
  EXPECT_EQ(layout->shape, GetParam().shape);
  EXPECT_EQ(layout->order, GetParam().order);
  EXPECT_EQ(layout->data_offset, GetParam().offset);
  EXPECT_EQ(layout->strides(), GetParam().strides);
}

TEST_P(NpyOfNumpy, IsTheSameArrayWhenWrittenAgain) {
  const auto layout = parse_file(GetParam().bytes());
  ASSERT_TRUE(layout) << layout.error().context;
  const auto header = npy_header(layout->dtype, layout->shape, layout->order);
  if (GetParam().object) {
    EXPECT_EQ(header.error().code, EINVAL);
    return;
  }
  ASSERT_TRUE(header) << header.error().context;
  const auto again = parse_npy(as_bytes(*header), header->size() + layout->nbytes());
  ASSERT_TRUE(again) << again.error().context;
  EXPECT_EQ(again->dtype, layout->dtype);
  EXPECT_EQ(again->shape, layout->shape);
  EXPECT_EQ(again->order, layout->order);
}

TEST_P(NpyOfNumpy, HasNoOtherPrefixThatIsWhole) {
  const std::string bytes = GetParam().bytes();
  for (std::size_t size = 0; size < GetParam().offset; ++size) {
    ASSERT_FALSE(parse_file(std::string_view(bytes).substr(0, size))) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(All, NpyOfNumpy, testing::ValuesIn(fixtures()), fixture_name);

TEST(Npy, FixturesAreThere) {
  EXPECT_GE(fixtures().size(), 100U);
}

TEST(NpyHeader, OfASmallArray) {
  EXPECT_EQ(*npy_header(*Dtype::parse("<f8"), {3, 4}, Order::kC),
            std::string("\x93NUMPY\x01\0\x76\0", 10) +
                "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }" +
                std::string(58, ' ') + "\n");
}

TEST(NpyHeader, AlignsTheData) {
  const Shape shape{60000, 28, 28};
  for (std::uint64_t align = 64; align <= 8192; align *= 2) {
    const auto header = npy_header(Dtype(), shape, Order::kFortran, align);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->size() % align, 0U);
    EXPECT_LE(header->size(), std::max<std::uint64_t>(align, 128));
    EXPECT_EQ(header->back(), '\n');
    const auto layout = parse_npy(as_bytes(*header), header->size() + 60000UL * 28 * 28 * 8);
    ASSERT_TRUE(layout) << layout.error().context;
    EXPECT_EQ(layout->data_offset, header->size());
    EXPECT_EQ(layout->shape, shape);
    EXPECT_EQ(layout->order, Order::kFortran);
  }
}

TEST(NpyHeader, RefusesOtherAlignments) {
  for (const std::uint64_t align : {0U, 1U, 16U, 32U, 63U, 65U, 96U, 12288U, 16384U}) {
    const auto header = npy_header(Dtype(), {3}, Order::kC, align);
    ASSERT_FALSE(header) << align;
    EXPECT_EQ(header.error().code, EINVAL);
  }
}

TEST(NpyHeader, ChoosesTheVersionByTheNames) {
  const auto version = [](std::string_view descr) {
    return (*npy_header(*Dtype::parse(descr), {3}, Order::kC))[6];
  };
  EXPECT_EQ(version("[('a', '<f4')]"), 1);
  EXPECT_EQ(version("[('größe', '<f4')]"), 1);
  EXPECT_EQ(version("[('μ', '<f4')]"), 3);
  EXPECT_EQ(version("[('\\u200b', '<f4')]"), 1);  // written as an escape
}

TEST(NpyHeader, OfAnAliasIsThatOfMlDtypes) {
  EXPECT_THAT(*npy_header(*Dtype::parse("bfloat16"), {3}, Order::kC), HasSubstr("'descr': '<V2'"));
  EXPECT_THAT(*npy_header(*Dtype::parse("float8_e4m3fn"), {3}, Order::kC),
              HasSubstr("'descr': '|V1'"));
}

TEST(NpyHeader, RefusesWhatNumpyWouldNotRead) {
  std::string descr = "[";
  for (int i = 0; i < 700; ++i) descr += "('f" + std::to_string(i) + "','i1'),";
  const auto dtype = Dtype::parse(descr + "]");
  ASSERT_TRUE(dtype) << dtype.error().context;
  const auto header = npy_header(*dtype, {3}, Order::kC);
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().code, EINVAL);
  EXPECT_THAT(header.error().context, HasSubstr("10000 bytes"));
}

TEST(NpyHeader, RefusesObjectsAndImpossibleShapes) {
  EXPECT_EQ(npy_header(*Dtype::parse("O"), {3}, Order::kC).error().code, EINVAL);
  EXPECT_EQ(npy_header(*Dtype::parse("[('a', 'O')]"), {3}, Order::kC).error().code, EINVAL);
  EXPECT_EQ(npy_header(Dtype(), {1ULL << 40U, 1ULL << 40U}, Order::kC).error().code, EOVERFLOW);
  EXPECT_EQ(npy_header(Dtype(), Shape(65, 1), Order::kC).error().code, EINVAL);
}

TEST(NpyHeader, LongestExtentStillFitsTheGrowthPadding) {
  const auto header = npy_header(*Dtype::parse("u1"), {INT64_MAX}, Order::kC);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->size(), 128U);
}

TEST(CheckShape, Limits) {
  const Dtype byte = *Dtype::parse("u1");
  const Dtype nothing = *Dtype::parse("V0");
  EXPECT_TRUE(check_shape(byte, {}));
  EXPECT_TRUE(check_shape(byte, Shape(kMaxDims, 1)));
  EXPECT_EQ(check_shape(byte, Shape(kMaxDims + 1, 1)).error().code, EINVAL);
  EXPECT_TRUE(check_shape(byte, {INT64_MAX}));
  EXPECT_EQ(check_shape(byte, {1ULL << 63U}).error().code, EOVERFLOW);
  EXPECT_EQ(check_shape(byte, {1ULL << 32U, 1ULL << 32U}).error().code, EOVERFLOW);
  EXPECT_EQ(check_shape(Dtype(), {1ULL << 60U}).error().code, EOVERFLOW);
  EXPECT_TRUE(check_shape(nothing, {1ULL << 40U}));
  EXPECT_EQ(check_shape(nothing, {1ULL << 40U, 1ULL << 40U}).error().code, EOVERFLOW);
}

TEST(CheckShape, EmptyAxesDoNotHideOverflow) {
  EXPECT_TRUE(check_shape(Dtype(), {0, 1ULL << 40U}));
  EXPECT_EQ(check_shape(Dtype(), {0, 1ULL << 40U, 1ULL << 40U}).error().code, EOVERFLOW);
}

TEST(Layout, SizeAndStrides) {
  const Layout c{.dtype = Dtype(), .shape = {2, 3, 4}};
  EXPECT_EQ(c.size(), 24U);
  EXPECT_EQ(c.nbytes(), 192U);
  EXPECT_EQ(c.strides(), (std::vector<std::uint64_t>{96, 32, 8}));
  EXPECT_EQ(c.shape_text(), "(2, 3, 4)");
  const Layout fortran{.dtype = Dtype(), .shape = {2, 3, 4}, .order = Order::kFortran};
  EXPECT_EQ(fortran.strides(), (std::vector<std::uint64_t>{8, 16, 48}));
}

TEST(Layout, OfNoAxesHasOneElement) {
  const Layout layout{.dtype = Dtype(), .shape = {}};
  EXPECT_EQ(layout.size(), 1U);
  EXPECT_TRUE(layout.strides().empty());
  EXPECT_EQ(layout.shape_text(), "()");
}

TEST(Layout, OfAnEmptyAxisHasNone) {
  const Layout layout{.dtype = Dtype(), .shape = {5, 0}};
  EXPECT_EQ(layout.size(), 0U);
  EXPECT_EQ(layout.strides(), (std::vector<std::uint64_t>{0, 0}));
}

struct Refusal {
  std::string file;
  std::string reason;
  int code = EINVAL;
};

class NpyRefused : public testing::TestWithParam<Refusal> {};

TEST_P(NpyRefused, WithTheReason) {
  const auto layout = parse_file(GetParam().file);
  ASSERT_FALSE(layout);
  EXPECT_EQ(layout.error().code, GetParam().code);
  EXPECT_THAT(layout.error().context, HasSubstr(GetParam().reason));
}

std::string raw(std::string_view text, std::string_view rest = {}) {
  return "\x93NUMPY" + std::string(text) + std::string(rest);
}

INSTANTIATE_TEST_SUITE_P(
    Framing, NpyRefused,
    testing::Values(Refusal{"", "not a .npy file"}, Refusal{"\x93", "not a .npy file"},
                    Refusal{"PK\3\4 a zip", "not a .npy file"},
                    Refusal{std::string(4096, '\0'), "not a .npy file"},
                    Refusal{"\x92NUMPY", "not a .npy file"}, Refusal{raw(""), "within its magic"},
                    Refusal{raw("\1"), "within its magic"},
                    Refusal{raw({"\0\0", 2}), "unknown .npy version 0.0"},
                    Refusal{raw({"\1\1", 2}), "unknown .npy version 1.1"},
                    Refusal{raw({"\4\0", 2}), "unknown .npy version 4.0"},
                    Refusal{raw({"\xff\xff", 2}), "unknown .npy version 255.255"},
                    Refusal{raw({"\1\0", 2}), "within the length"},
                    Refusal{raw({"\1\0\x76", 3}), "within the length"},
                    Refusal{raw({"\2\0\x76\0\0", 5}), "within the length"},
                    Refusal{raw({"\1\0\x76\0", 4}), "within its header"},
                    Refusal{raw({"\1\0\x76\0", 4}, "{'descr': "), "within its header"},
                    Refusal{raw({"\1\0\0\0", 4}), "ends too early"},
                    Refusal{raw("\2", {"\0\xff\xff\xff\xff", 5}), "a header of 4294967295 bytes"},
                    Refusal{raw("\3", {"\0\xff\xff\xff\xff", 5}), "a header of 4294967295 bytes"},
                    Refusal{npy_file(std::string(65535, ' '), 0), "a header of 65535 bytes"},
                    Refusal{npy_file(std::string(10'001, ' '), 0, 2), "a header of 10001 bytes"},
                    Refusal{npy_file(std::string(10'000, ' '), 0, 2), "ends too early"}));

INSTANTIATE_TEST_SUITE_P(
    Text, NpyRefused,
    testing::Values(
        Refusal{npy_file("__import__('os')", 0), "the name __import__"},
        Refusal{npy_file("{'descr': __import__('os').system('id'), }", 0), "the name __import__"},
        Refusal{npy_file("[1, 2]", 0), "not a dict"}, Refusal{npy_file("'text'", 0), "not a dict"},
        Refusal{npy_file("None", 0), "not a dict"},
        Refusal{npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} {}", 12),
                "text after"},
        Refusal{npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)", 12), "expected"},
        Refusal{npy_file(std::string(9'999, '('), 0), "nested too deeply"},
        Refusal{npy_file("{'descr': " + std::string(9'000, '['), 0), "nested too deeply"},
        Refusal{npy_file("{'descr': '\xff', 'fortran_order': False, 'shape': ()}", 8, 3),
                "not UTF-8"},
        Refusal{npy_file("{'descr': '\xff', 'fortran_order': False, 'shape': ()}", 8, 1),
                "not a dtype"},
        Refusal{npy_file("{'descr': 'bfloat16', 'fortran_order': False, 'shape': (3,)}", 6),
                "NumPy has no dtype bfloat16; it is stored as '<V2'"},
        Refusal{
            npy_file("{'descr': [('a', 'float8_e5m2')], 'fortran_order': False, 'shape': (3,)}", 3),
            "NumPy has no dtype"},
        Refusal{npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (3L,)}", 12, 3),
                "not a number"},
        Refusal{npy_file(std::string("{'descr': '<f4', \0}", 19), 0), "unexpected character"}));

INSTANTIATE_TEST_SUITE_P(
    Keys, NpyRefused,
    testing::Values(
        Refusal{npy_file("{}", 0), "lacks the key descr"},
        Refusal{npy_file("{'fortran_order': False, 'shape': ()}", 8), "lacks the key descr"},
        Refusal{npy_file("{'descr': '<f4', 'shape': ()}", 8), "lacks the key fortran_order"},
        Refusal{npy_file("{'descr': '<f4', 'fortran_order': False}", 8), "lacks the key shape"},
        Refusal{npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}", 8),
                "unknown key"},
        Refusal{npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (), 1: 1}", 8),
                "unknown key"},
        Refusal{npy_file("{b'descr': '<f4', 'fortran_order': False, 'shape': ()}", 8),
                "unknown key"},
        Refusal{npy_file("{'Descr': '<f4', 'fortran_order': False, 'shape': ()}", 8),
                "unknown key"},
        Refusal{npy_file("{'descr\\0': '<f4', 'fortran_order': False, 'shape': ()}", 8),
                "unknown key"},
        Refusal{
            npy_file("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", 8),
            "the key descr twice"},
        Refusal{npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'shape': (1,)}", 8),
                "the key shape twice"},
        Refusal{npy_file("{'descr': '<f4', 'fortran_order': 0, 'shape': ()}", 8),
                "neither True nor False"},
        Refusal{npy_file("{'descr': '<f4', 'fortran_order': 'False', 'shape': ()}", 8),
                "neither True nor False"},
        Refusal{npy_file("{'descr': '<f4', 'fortran_order': None, 'shape': ()}", 8),
                "neither True nor False"}));

std::string many_axes(int count) {
  std::string shape = "(";
  for (int i = 0; i < count; ++i) shape += "1, ";
  return shape + ")";
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, NpyRefused,
    testing::Values(
        Refusal{npy_file_with("'<f4'", "3", 12), "not a tuple"},
        Refusal{npy_file_with("'<f4'", "(3)", 12), "not a tuple"},
        Refusal{npy_file_with("'<f4'", "[3]", 12), "not a tuple"},
        Refusal{npy_file_with("'<f4'", "'(3,)'", 12), "not a tuple"},
        Refusal{npy_file_with("'<f4'", "None", 12), "not a tuple"},
        Refusal{npy_file_with("'<f4'", "(3.0,)", 12), "not an integer"},
        Refusal{npy_file_with("'<f4'", "(True, 3)", 12), "not an integer"},
        Refusal{npy_file_with("'<f4'", "('3',)", 12), "not an integer"},
        Refusal{npy_file_with("'<f4'", "((3,),)", 12), "not an integer"},
        Refusal{npy_file_with("'<f4'", "(None,)", 12), "not an integer"},
        Refusal{npy_file_with("'<f4'", "(-1,)", 12), "negative"},
        Refusal{npy_file_with("'<f4'", "(-3, -1)", 12), "negative"},
        Refusal{npy_file_with("'<f4'", "(-9223372036854775808,)", 12), "negative"},
        Refusal{npy_file_with("'<f4'", "(9223372036854775808,)", 12), "64 bits", EOVERFLOW},
        Refusal{npy_file_with("'<f4'", "(18446744073709551617,)", 12), "64 bits", EOVERFLOW},
        Refusal{npy_file_with("'<f4'", "(4611686018427387904,)", 12), "64 bits", EOVERFLOW},
        Refusal{npy_file_with("'<f4'", "(4294967296, 4294967296)", 12), "64 bits", EOVERFLOW},
        Refusal{npy_file_with("'<f4'", "(0, 4294967296, 4294967296)", 12), "64 bits", EOVERFLOW},
        Refusal{npy_file_with("'|V0'", "(4294967296, 4294967296)", 12), "64 bits", EOVERFLOW},
        Refusal{npy_file_with("'|O'", "(4294967296, 4294967296)", 12), "64 bits", EOVERFLOW},
        Refusal{npy_file_with("'<f4'", many_axes(65), 4), "too many axes"},
        Refusal{npy_file_with("'<f4'", many_axes(3000), 4), "too many axes"}));

INSTANTIATE_TEST_SUITE_P(
    Descr, NpyRefused,
    testing::Values(Refusal{npy_file_with("'<f3'", "(3,)", 12), "no such size"},
                    Refusal{npy_file_with("4", "(3,)", 12), "must be a string"},
                    Refusal{npy_file_with("b'<f4'", "(3,)", 12), "must be a string"},
                    Refusal{npy_file_with("('<f4', (2,))", "(3,)", 24), "in a field only"},
                    Refusal{npy_file_with("('<f4', {'unit': 'm'})", "(3,)", 24), "extent"},
                    Refusal{npy_file_with("[('a', '<f4'), ('a', '<f4')]", "(3,)", 24),
                            "two fields have the name 'a'"},
                    Refusal{npy_file_with("[('a', '<f4', (-1,))]", "(3,)", 24), "negative"},
                    Refusal{npy_file_with("'S99999999999'", "(0,)", 24), "no such size"}));

INSTANTIATE_TEST_SUITE_P(
    Data, NpyRefused,
    testing::Values(Refusal{npy_file_with("'<f4'", "(3,)", 11),
                            "promises 12 bytes of data, there "
                            "are 11"},
                    Refusal{npy_file_with("'<f4'", "(3,)", 0), "ends too early"},
                    Refusal{npy_file_with("'<f4'", "()", 3), "ends too early"},
                    Refusal{npy_file_with("'<f4'", "(1152921504606846976,)", 8), "ends too early"},
                    Refusal{npy_file_with("[('a', 'S100')]", "(2,)", 199), "ends too early"}));

TEST(Npy, ObjectArraysHaveNoSizeToCheck) {
  const auto layout = parse_file(npy_file_with("'|O'", "(1000,)", 1));
  ASSERT_TRUE(layout) << layout.error().context;
  EXPECT_TRUE(layout->dtype.is_object());
}

TEST(Npy, EmptyArraysNeedNoData) {
  EXPECT_TRUE(parse_file(npy_file_with("'<f4'", "(0,)", 0)));
  EXPECT_TRUE(parse_file(npy_file_with("'|S0'", "(1000000,)", 0)));
  EXPECT_TRUE(parse_file(npy_file_with("'<f4'", "(5, 0, 0)", 0)));
}

TEST(Npy, FileShorterThanThePrefixIsBelieved) {
  const std::string file = npy_file_with("'<f4'", "(3,)", 12);
  EXPECT_TRUE(parse_npy(as_bytes(file), file.size()));
  EXPECT_FALSE(parse_npy(as_bytes(file), file.size() - 1));
  EXPECT_FALSE(parse_npy(as_bytes(file), 20));
  EXPECT_FALSE(parse_npy(as_bytes(file), 0));
}

TEST(Npy, SurvivesEveryChangedByte) {
  for (const Fixture& fixture : fixtures()) {
    std::string bytes = fixture.bytes();
    const std::size_t end = std::min<std::size_t>(bytes.size(), 144);
    for (std::size_t i = 0; i < end; ++i) {
      const char original = bytes[i];
      for (const char changed : {'\0', '(', '\'', '9'}) {
        bytes[i] = changed;
        const auto layout = parse_file(bytes);
        if (layout && !layout->dtype.is_object()) {
          ASSERT_LE(layout->data_offset + layout->nbytes(), bytes.size()) << fixture.file << i;
        }
      }
      bytes[i] = original;
    }
  }
}

TEST(ReadNpy, ReadsThroughADescriptor) {
  for (const Fixture& fixture : fixtures()) {
    const auto fd = posix::open_at(AT_FDCWD, fixture.path(), O_RDONLY);
    ASSERT_TRUE(fd);
    const auto layout = read_npy(fd->get());
    ASSERT_TRUE(layout) << fixture.file << layout.error().context;
    EXPECT_EQ(layout->data_offset, fixture.offset);
    EXPECT_EQ(::lseek(fd->get(), 0, SEEK_CUR), 0);
  }
}

TEST(ReadNpy, RefusesWhatIsNoFile) {
  EXPECT_EQ(read_npy(-1).error().code, EBADF);
  const auto directory = posix::open_at(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(read_npy(directory->get()).error().code, EISDIR);
  const auto device = posix::open_at(AT_FDCWD, "/dev/null", O_RDONLY);
  EXPECT_EQ(read_npy(device->get()).error().code, EINVAL);
}

TEST(ReadNpy, NeedsARightToRead) {
  const TemporaryDirectory directory;
  const auto fd =
      posix::open_at(AT_FDCWD, directory.write("a", npy_file_with("'<f4'", "()", 4)), O_WRONLY);
  ASSERT_TRUE(fd);
  EXPECT_EQ(read_npy(fd->get()).error().code, EBADF);
}

TEST(ParseShape, WhatAPersonWrites) {
  EXPECT_EQ(*parse_shape("60000,28,28"), (Shape{60000, 28, 28}));
  EXPECT_EQ(*parse_shape("(3, 4)"), (Shape{3, 4}));
  EXPECT_EQ(*parse_shape(" ( 3 ,4 ) "), (Shape{3, 4}));
  EXPECT_EQ(*parse_shape("5"), (Shape{5}));
  EXPECT_EQ(*parse_shape("(5,)"), (Shape{5}));
  EXPECT_EQ(*parse_shape("(5)"), (Shape{5}));
  EXPECT_EQ(*parse_shape("0,3"), (Shape{0, 3}));
  EXPECT_EQ(*parse_shape(""), Shape{});
  EXPECT_EQ(*parse_shape("()"), Shape{});
  EXPECT_EQ(*parse_shape("9223372036854775807"), Shape{INT64_MAX});
}

class ShapeRefused : public testing::TestWithParam<std::string> {};

TEST_P(ShapeRefused, WithTheReason) {
  const auto shape = parse_shape(GetParam());
  ASSERT_FALSE(shape);
  EXPECT_EQ(shape.error().code, EINVAL);
  EXPECT_THAT(shape.error().context, HasSubstr("not a shape"));
}

INSTANTIATE_TEST_SUITE_P(All, ShapeRefused,
                         testing::Values(",", "3,,4", ",3", "-1", "+1", "3 4", "3x4", "3.0", "a",
                                         "(", ")", "(3", "3)", "((3))", "0x10", "1e3", "True",
                                         "9223372036854775808", "99999999999999999999", "\xff",
                                         std::string("3\0", 2)));

TEST(ParseShape, HasAsManyAxesAsAnArray) {
  std::string text = "1";
  for (std::size_t i = 1; i < kMaxDims; ++i) text += ",1";
  EXPECT_EQ(parse_shape(text)->size(), kMaxDims);
  EXPECT_FALSE(parse_shape(text + ",1"));
}

}  // namespace
}  // namespace shm
