#include "recipe.hpp"

#include <cerrno>

#include "values/scalar.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr char kUsage[] = "write TYPE SHAPE, as float32 60000,28,28, then order=F and fill=0";

// Words between blanks; what is in brackets or quotes is part of a word.
Result<std::vector<std::string>> words_of(std::string_view line) {
  std::vector<std::string> words;
  bool within = false;
  int depth = 0;
  char quote = 0;
  for (const char c : line) {
    const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (blank && depth == 0 && quote == 0) {
      within = false;
      continue;
    }
    if (quote != 0) {
      quote = c == quote ? '\0' : quote;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '(' || c == '[' || c == '{') {
      ++depth;
    } else if (c == ')' || c == ']' || c == '}') {
      --depth;
    }
    if (!within) {
      words.emplace_back();
      within = true;
    }
    words.back() += c;
  }
  if (depth != 0 || quote != 0) {
    return fail(EINVAL, "a bracket or quote is not closed");
  }
  return words;
}

Result<void> apply(Recipe& recipe, const std::string& word) {
  constexpr std::string_view kOrder = "order=";
  constexpr std::string_view kFill = "fill=";
  if (word.starts_with(kFill)) {
    return parse_scalar(recipe.dtype, word.substr(kFill.size())).map([&](auto element) {
      recipe.fill = std::move(element);
    });
  }
  if (word == "order=C" || word == "order=F") {
    recipe.order = word.back() == 'F' ? shm::Order::kFortran : shm::Order::kC;
    return {};
  }
  return fail(EINVAL, word.starts_with(kOrder) ? "order is C or F" : word + ": " + kUsage);
}

}  // namespace

Result<Recipe> parse_recipe(std::string_view line) {
  const auto words = words_of(line);
  if (!words) {
    return tl::unexpected(words.error());
  }
  if (words->size() < 2) {
    return fail(EINVAL, kUsage);
  }
  auto dtype = shm::Dtype::parse((*words)[0]);
  if (!dtype) {
    return tl::unexpected(dtype.error());
  }
  auto shape = shm::parse_shape((*words)[1]);
  if (!shape) {
    return tl::unexpected(shape.error());
  }
  Recipe recipe{std::move(*dtype), std::move(*shape), shm::Order::kC, {}};
  for (std::size_t i = 2; i < words->size(); ++i) {
    if (auto applied = apply(recipe, (*words)[i]); !applied) {
      return tl::unexpected(applied.error());
    }
  }
  return recipe;
}

std::string recipe_of(const shm::Layout& layout) {
  std::string shape;
  for (const auto length : layout.shape) {
    shape += (shape.empty() ? "" : ",") + std::to_string(length);
  }
  return layout.dtype.name() + " " + (shape.empty() ? "()" : shape) +
         (layout.order == shm::Order::kFortran ? " order=F\n" : "\n");
}

}  // namespace arrayfs
