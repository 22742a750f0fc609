#include "values/python_literal.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace arrayfs {
namespace {

std::string repr(std::string_view text) {
  return bytes_repr(std::as_bytes(std::span(text.data(), text.size())));
}

TEST(PythonLiteral, QuotesAsPythonDoes) {
  EXPECT_EQ(repr("abc"), "b'abc'");
  EXPECT_EQ(repr("it's"), "b\"it's\"");
  EXPECT_EQ(repr("'\""), "b'\\'\"'");
  EXPECT_EQ(repr("\t\n\r\\\x01\x7f\xff"), "b'\\t\\n\\r\\\\\\x01\\x7f\\xff'");
  EXPECT_EQ(unicode_repr(U"\u00e4\u00ad\u200b\U000e0001"), "'\u00e4\\xad\\u200b\\U000e0001'");
}

TEST(PythonLiteral, ReadsBackWhatItWrites) {
  for (const std::u32string_view text :
       {U"", U"abc", U"it's", U"'\"\\", U"\t\n\u00e4\u4e2d\u200b\U0001f600\U000e0001"}) {
    EXPECT_EQ(*parse_string(unicode_repr(text)), text);
  }
  EXPECT_EQ(*parse_string(repr("\x80\xff")), U"\u0080\u00ff");
}

TEST(PythonLiteral, TakesTextWithoutQuotesAsItIs) {
  EXPECT_EQ(*parse_string("a\\n'b"), U"a\\n'b");
  EXPECT_EQ(*parse_string(""), U"");
}

TEST(PythonLiteral, RefusesWhatIsNoLiteral) {
  for (const char* text : {"'", "'a", "'a\"", "'a'b'", "'\\'", "'\\q'", "'\\x1'", "'\\xgg'",
                           "'\\u12'", "'\\U00110000'", "b'\u00e4\u4e2d'", "b'\\u4e2d'"}) {
    const auto parsed = parse_string(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, EINVAL) << text;
  }
}

TEST(PythonLiteral, RefusesWhatIsNotUtf8) {
  for (const char* text : {"\x80", "\xc0\x80", "\xc3", "\xe4\xb8", "\xed\xa0\x80",
                           "\xf4\x90\x80\x80", "\xf0\x80\x80\x80", "\xff"}) {
    EXPECT_FALSE(parse_string(text)) << text;
  }
}

}  // namespace
}  // namespace arrayfs
