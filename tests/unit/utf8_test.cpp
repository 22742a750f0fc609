#include "utf8.hpp"

#include <gtest/gtest.h>

namespace shm::utf8 {
namespace {

TEST(Utf8, DecodesWhatItAppends) {
  for (const char32_t code_point : {U'\0', U'A', U'\x7f', U'\x80', U'\x7ff', U'\x800', U'\xd7ff',
                                    U'\xe000', U'\xffff', U'\x10000', U'\x10ffff'}) {
    std::string text;
    append(text, code_point);
    std::size_t position = 0;
    EXPECT_EQ(decode(text, position), code_point);
    EXPECT_EQ(position, text.size());
  }
}

TEST(Utf8, AcceptsText) {
  EXPECT_TRUE(is_valid(""));
  EXPECT_TRUE(is_valid("plain"));
  EXPECT_TRUE(is_valid("größe μήκος 长度 🦀"));
}

class InvalidUtf8 : public testing::TestWithParam<std::string> {};

TEST_P(InvalidUtf8, IsRefused) {
  EXPECT_FALSE(is_valid(GetParam()));
  EXPECT_FALSE(is_valid("before" + GetParam() + "behind"));
}

INSTANTIATE_TEST_SUITE_P(All, InvalidUtf8,
                         testing::Values("\x80",              // continuation without a lead
                                         "\xff",              // no lead
                                         "\xf8\x88\x80\x80",  // five bytes' lead
                                         "\xc3",              // truncated
                                         "\xe4\xb8",          // truncated
                                         "\xf0\x9f\xa6",      // truncated
                                         "\xc3(",             // no continuation
                                         "\xc0\x80",          // overlong NUL
                                         "\xe0\x80\xaf",      // overlong
                                         "\xf0\x80\x80\xaf",  // overlong
                                         "\xed\xa0\x80",      // surrogate
                                         "\xf4\x90\x80\x80"   // beyond U+10FFFF
                                         ));

TEST(Utf8, InvalidBytesAreStepsOfOne) {
  std::size_t position = 0;
  EXPECT_EQ(decode("\xff"
                   "a",
                   position),
            kInvalid);
  EXPECT_EQ(position, 1U);
}

TEST(Latin1, GoesThereAndBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  const std::string text = from_latin1(all);
  EXPECT_TRUE(is_valid(text));
  EXPECT_EQ(text.size(), 128U + 2 * 128U);
  EXPECT_EQ(to_latin1(text), all);
}

TEST(Latin1, HoldsNothingBeyondFF) {
  EXPECT_EQ(to_latin1("ÿ"), "\xff");
  EXPECT_EQ(to_latin1("Ā"), std::nullopt);
  EXPECT_EQ(to_latin1("μ"), std::nullopt);
}

}  // namespace
}  // namespace shm::utf8
