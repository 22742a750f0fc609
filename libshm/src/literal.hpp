// Python literals: the text inside .npy headers and structured dtypes.
//
// Reads what ast.literal_eval accepts and a header can hold: dicts, lists, tuples, strings,
// numbers, True, False, None. Sets, complex numbers, f-strings and every name are refused. Work
// and memory are linear in the input, nesting is bounded. Values are plain; stateless.
// Grammar: Python reference, "Lexical analysis" and ast.literal_eval.
#pragma once

#include <cstdint>
#include <shm/error.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace shm {

/// One parsed value. Only the members of its type mean something.
struct Literal {
  enum class Type { kNone, kBool, kInt, kFloat, kString, kBytes, kTuple, kList, kDict };

  Type type = Type::kNone;
  bool truth = false;               ///< kBool
  bool negative = false;            ///< kInt
  bool too_large = false;           ///< kInt: the magnitude does not fit
  std::uint64_t magnitude = 0;      ///< kInt
  std::string text = {};            ///< kString: UTF-8; kBytes: the bytes
  std::vector<Literal> items = {};  ///< kTuple, kList; kDict: key, value, key, value, ...

  [[nodiscard]] bool is(Type wanted) const { return type == wanted; }
};

/// Brackets within brackets beyond this are refused.
inline constexpr int kMaxLiteralDepth = 64;

/// Whether integers may end in `L`, as Python 2 wrote them into format 1.0 and 2.0.
enum class LongSuffix { kRefused, kAllowed };

/// Errors: EINVAL with the reason and the place (not UTF-8, not a literal, nested too deeply).
[[nodiscard]] Result<Literal> parse_literal(std::string_view text,
                                            LongSuffix suffix = LongSuffix::kRefused);

/// The string as Python's repr() writes it, quotes included. Requires: valid UTF-8.
[[nodiscard]] std::string python_repr(std::string_view text);

/// A tuple of integers as Python writes it: `()`, `(5,)`, `(3, 4)`.
[[nodiscard]] std::string python_tuple(const std::vector<std::uint64_t>& integers);

}  // namespace shm
