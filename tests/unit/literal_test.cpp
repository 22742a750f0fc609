#include "literal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace shm {
namespace {

using testing::HasSubstr;
using Type = Literal::Type;

Literal parsed(std::string_view text, LongSuffix suffix = LongSuffix::kRefused) {
  auto literal = parse_literal(text, suffix);
  EXPECT_TRUE(literal) << text << ": " << literal.error().context;
  return literal ? std::move(*literal) : Literal{};
}

std::string string_of(std::string_view text) {
  const Literal literal = parsed(text);
  EXPECT_EQ(literal.type, Type::kString) << text;
  return literal.text;
}

TEST(Literal, Constants) {
  EXPECT_TRUE(parsed("True").truth);
  EXPECT_FALSE(parsed("False").truth);
  EXPECT_EQ(parsed("True").type, Type::kBool);
  EXPECT_EQ(parsed("None").type, Type::kNone);
}

struct Integer {
  std::string_view text;
  std::uint64_t magnitude;
  bool negative = false;
};

class LiteralInteger : public testing::TestWithParam<Integer> {};

TEST_P(LiteralInteger, IsRead) {
  const Literal literal = parsed(GetParam().text);
  EXPECT_EQ(literal.type, Type::kInt);
  EXPECT_EQ(literal.magnitude, GetParam().magnitude);
  EXPECT_EQ(literal.negative, GetParam().negative);
  EXPECT_FALSE(literal.too_large);
}

INSTANTIATE_TEST_SUITE_P(All, LiteralInteger,
                         testing::Values(Integer{"0", 0}, Integer{"00", 0}, Integer{"7", 7},
                                         Integer{"60000", 60000}, Integer{"-3", 3, true},
                                         Integer{"+3", 3}, Integer{"- 3", 3, true},
                                         Integer{"1_000", 1000}, Integer{"0x10", 16},
                                         Integer{"0XfF", 255}, Integer{"0x_1e", 30},
                                         Integer{"0o17", 15}, Integer{"0b101", 5},
                                         Integer{"18446744073709551615", UINT64_MAX}));

TEST(Literal, IntegersBeyond64BitsAreMarked) {
  EXPECT_TRUE(parsed("18446744073709551616").too_large);
  EXPECT_TRUE(parsed("-0x1_0000_0000_0000_0000").too_large);
  EXPECT_TRUE(parsed(std::string(5000, '9')).too_large);
}

TEST(Literal, LongSuffixOfPython2) {
  EXPECT_EQ(parsed("10L", LongSuffix::kAllowed).magnitude, 10U);
  EXPECT_EQ(parsed("(0xfL, -2L)", LongSuffix::kAllowed).items[0].magnitude, 15U);
  EXPECT_FALSE(parse_literal("10L"));
  EXPECT_FALSE(parse_literal("10LL", LongSuffix::kAllowed));
  EXPECT_FALSE(parse_literal("1.5L", LongSuffix::kAllowed));
  EXPECT_FALSE(parse_literal("L", LongSuffix::kAllowed));
}

TEST(Literal, FloatsAreRecognised) {
  for (const auto* text : {"1.5", "1.", ".5", "1e5", "1E-5", "-1e+5", "1e999", "0e0"}) {
    EXPECT_EQ(parsed(text).type, Type::kFloat) << text;
  }
}

TEST(Literal, Strings) {
  EXPECT_EQ(string_of("''"), "");
  EXPECT_EQ(string_of("'a\"b'"), "a\"b");
  EXPECT_EQ(string_of("\"it's\""), "it's");
  EXPECT_EQ(string_of("u'a'"), "a");
  EXPECT_EQ(string_of("'größe'"), "größe");
  EXPECT_EQ(string_of("'''a'b\nc'''"), "a'b\nc");
  EXPECT_EQ(string_of("\"\"\"\"\"\""), "");
}

TEST(Literal, Escapes) {
  EXPECT_EQ(string_of(R"('\\\'\"\a\b\f\n\r\t\v')"), "\\'\"\a\b\f\n\r\t\v");
  EXPECT_EQ(string_of(R"('\x41\u03bc\U0001f980')"), "Aμ🦀");
  EXPECT_EQ(string_of(R"('\101\7z\0008')"), std::string("A\7z\0"
                                                        "8",
                                                        5));
  EXPECT_EQ(string_of(R"('\777')"), "ǿ");
  EXPECT_EQ(string_of("'a\\\nb'"), "ab");
  EXPECT_EQ(string_of(R"('\q\9')"), "\\q\\9");
}

TEST(Literal, RawStringsKeepBackslashes) {
  EXPECT_EQ(string_of(R"(r'\n\x')"), "\\n\\x");
  EXPECT_EQ(string_of(R"(R'\'\\')"), "\\'\\\\");
}

TEST(Literal, StringsSideBySideAreJoined) {
  EXPECT_EQ(string_of("('a' \"b\" r'\\c'\n'd')"), "ab\\cd");
}

TEST(Literal, BytesAreAnotherType) {
  EXPECT_EQ(parsed("b'a\\xff\\u0041'").type, Type::kBytes);
  EXPECT_EQ(parsed("b'a\\xff\\u0041'").text, "a\xff\\u0041");
  EXPECT_EQ(parsed("rb'\\x' b'\\x41'").text, "\\xA");
}

TEST(Literal, Containers) {
  EXPECT_EQ(parsed("()").type, Type::kTuple);
  EXPECT_EQ(parsed("(1,)").items.size(), 1U);
  EXPECT_EQ(parsed("(1, 2, 3,)").items.size(), 3U);
  EXPECT_EQ(parsed("(1)").type, Type::kInt);
  EXPECT_EQ(parsed("((1))").type, Type::kInt);
  EXPECT_EQ(parsed("[]").type, Type::kList);
  EXPECT_EQ(parsed("[1, 'a', ()]").items.size(), 3U);
  EXPECT_EQ(parsed("{}").type, Type::kDict);
  EXPECT_EQ(parsed("{'a': 1, 2: [],}").items.size(), 4U);
}

TEST(Literal, SpaceCommentsAndContinuations) {
  EXPECT_EQ(parsed(" \t\f( # one\r\n 1\n, \\\n 2) \n# end").items.size(), 2U);
}

TEST(Literal, NestingUpToTheLimit) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(parse_literal(nested(kMaxLiteralDepth)));
  const auto deeper = parse_literal(nested(kMaxLiteralDepth + 1));
  ASSERT_FALSE(deeper);
  EXPECT_THAT(deeper.error().context, HasSubstr("nested too deeply"));
}

struct Refusal {
  std::string text;
  std::string reason;
};

class LiteralRefused : public testing::TestWithParam<Refusal> {};

TEST_P(LiteralRefused, WithTheReason) {
  const auto literal = parse_literal(GetParam().text);
  ASSERT_FALSE(literal) << GetParam().text;
  EXPECT_EQ(literal.error().code, EINVAL);
  EXPECT_THAT(literal.error().context, HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    Structure, LiteralRefused,
    testing::Values(Refusal{"", "ends too early"}, Refusal{"  \n", "ends too early"},
                    Refusal{"# comment", "ends too early"}, Refusal{"(", "ends too early"},
                    Refusal{"(1", "expected ',' or ')'"}, Refusal{"(1 2)", "expected ',' or ')'"},
                    Refusal{"(1]", "expected ',' or ')'"}, Refusal{"[1)", "expected ',' or ']'"},
                    Refusal{"(,)", "unexpected character"},
                    Refusal{"(1,,)", "unexpected character"}, Refusal{"{1}", "expected ':'"},
                    Refusal{"{1, 2}", "expected ':'"}, Refusal{"{1:}", "unexpected character"},
                    Refusal{"{1: 2 3: 4}", "expected ',' or '}'"},
                    Refusal{"{1: 2", "expected ',' or '}'"}, Refusal{"{,}", "unexpected character"},
                    Refusal{"1 2", "text after the value"}, Refusal{"1, 2", "text after the value"},
                    Refusal{")", "unexpected character"},
                    Refusal{"[1 for x in y]", "expected ',' or ']'"},
                    Refusal{"@", "unexpected character"}, Refusal{"\\", "unexpected character"},
                    Refusal{std::string("\0", 1), "unexpected character"},
                    Refusal{std::string("1\0", 2), "text after the value"},
                    Refusal{std::string(10'000, '('), "nested too deeply"},
                    Refusal{std::string(10'000, '['), "nested too deeply"},
                    Refusal{std::string(10'000, '{'), "nested too deeply"}));

INSTANTIATE_TEST_SUITE_P(
    Names, LiteralRefused,
    testing::Values(Refusal{"__import__('os')", "__import__"}, Refusal{"nan", "nan"},
                    Refusal{"true", "true"}, Refusal{"Trueish", "Trueish"}, Refusal{"set()", "set"},
                    Refusal{"lambda: 0", "lambda"}, Refusal{"f'{1}'", "the name f"},
                    Refusal{"[x]", "the name x"}, Refusal{"True.real", "text after"},
                    Refusal{"-True", "not a number"},
                    Refusal{std::string(5000, 'x'), "the name xxx"}));

INSTANTIATE_TEST_SUITE_P(
    Numbers, LiteralRefused,
    testing::Values(Refusal{"010", "not a number"}, Refusal{"1__0", "not a number"},
                    Refusal{"1_", "not a number"}, Refusal{"0x", "not a number"},
                    Refusal{"0xg", "not a number"}, Refusal{"0b2", "not a number"},
                    Refusal{"0o8", "not a number"}, Refusal{"1a", "not a number"},
                    Refusal{"1j", "not a number"}, Refusal{"1+2j", "text after"},
                    Refusal{".", "not a number"}, Refusal{"1.2.3", "not a number"},
                    Refusal{"1e", "not a number"}, Refusal{"--1", "not a number"},
                    Refusal{"+", "not a number"}, Refusal{"1 + 1", "text after"},
                    Refusal{"2**62", "text after"}, Refusal{"10l", "not a number"}));

INSTANTIATE_TEST_SUITE_P(
    Strings, LiteralRefused,
    testing::Values(
        Refusal{"'", "without end"}, Refusal{"'abc", "without end"},
        Refusal{"'abc\"", "without end"}, Refusal{"'a\nb'", "without end"},
        Refusal{"'a\rb'", "without end"}, Refusal{"'''abc''", "without end"},
        Refusal{"'abc\\", "without end"}, Refusal{"'abc\\'", "without end"},
        Refusal{"r'\\'", "without end"}, Refusal{std::string("'a\0b'", 5), "without end"},
        Refusal{"'\\x4'", "truncated escape"}, Refusal{"'\\u03b'", "truncated escape"},
        Refusal{"'\\U0001f98'", "truncated escape"}, Refusal{"'\\N{BULLET}'", "by its name"},
        Refusal{"'\\ud800'", "no character"}, Refusal{"'\\U00110000'", "no character"},
        Refusal{"b'\xc3\xa9'", "non-ASCII in bytes"}, Refusal{"'a' b'b'", "bytes beside a string"},
        Refusal{"'\xff'", "not UTF-8"}, Refusal{"'\xed\xa0\x80'", "not UTF-8"}));

TEST(PythonRepr, ChoosesQuotesAsPythonDoes) {
  EXPECT_EQ(python_repr("a"), "'a'");
  EXPECT_EQ(python_repr("it's"), "\"it's\"");
  EXPECT_EQ(python_repr("say \"hi\""), "'say \"hi\"'");
  EXPECT_EQ(python_repr("'\""), "'\\'\"'");
}

TEST(PythonRepr, EscapesWhatIsNotPrintable) {
  EXPECT_EQ(python_repr("a\\b\t\n\r"), R"('a\\b\t\n\r')");
  EXPECT_EQ(python_repr(std::string("\0\x1f\x7f", 3)), R"('\x00\x1f\x7f')");
  EXPECT_EQ(python_repr("\u00a0\u00ad\u200b\U000e0020"), R"('\xa0\xad\u200b\U000e0020')");
  EXPECT_EQ(python_repr("é μ 🦀"), "'é μ 🦀'");
}

TEST(PythonRepr, ReadsBackAsTheSameString) {
  std::string all;
  for (char c = 0; c < 0x7f; ++c) all.push_back(c);
  all += "\u0085\u00e9\u2028\U000f0000";
  EXPECT_EQ(string_of(python_repr(all)), all);
}

TEST(PythonTuple, IsWrittenAsPythonDoes) {
  EXPECT_EQ(python_tuple({}), "()");
  EXPECT_EQ(python_tuple({5}), "(5,)");
  EXPECT_EQ(python_tuple({3, 4}), "(3, 4)");
}

}  // namespace
}  // namespace shm
