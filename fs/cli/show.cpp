// `arrayfs show`: the values of an array or a part of it, as NumPy prints them.
#include <cmath>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>

#include "../values/array_text.hpp"
#include "../values/element.hpp"
#include "../values/element_format.hpp"
#include "array_argument.hpp"
#include "commands.hpp"

namespace arrayfs {
namespace {

using shm::Kind;
using shm::Result;

constexpr char kExamples[] = R"(
Examples:
  arrayfs show /mnt/arrays/w.npy
  arrayfs show /mnt/arrays/w.npy '[0:10, ::2]'
  arrayfs show /mnt/arrays/points.npy "['x']" --full
  arrayfs show --json /mnt/arrays/w.npy '[-1]' | jq '.values | add')";

struct ShowArguments {
  std::string path;
  std::string slice;
  bool full = false;
  bool json = false;
  int precision = TextOptions().precision;
};

// A number where JSON has it, otherwise the text that NumPy prints; null for NaN and infinities.
void print_value(const shm::Dtype& dtype, const std::byte* at) {
  const Kind kind = dtype.kind();
  if (kind == Kind::kBool || kind == Kind::kInt || kind == Kind::kUint || kind == Kind::kFloat) {
    const std::string text = scalar_text(dtype, at);
    const bool finite = text != "nan" && text != "inf" && text != "-inf";
    std::cout << (text == "True" ? "true" : text == "False" ? "false" : finite ? text : "null");
    if (!text.empty() && text.back() == '.') {
      std::cout << '0';
    }
    return;
  }
  const nlohmann::json text(scalar_text(dtype, at));
  std::cout << text.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void print_nested(const ArrayView& view, std::size_t axis, const std::byte* at) {
  if (axis == view.shape.size()) {
    return print_value(view.dtype, at);
  }
  std::cout << '[';
  for (std::uint64_t i = 0; i < view.shape[axis]; ++i) {
    std::cout << (i == 0 ? "" : ",");
    print_nested(view, axis + 1, at + static_cast<std::int64_t>(i) * view.strides_bytes[axis]);
  }
  std::cout << ']';
}

Result<void> show_command(const ShowArguments& arguments) {
  const auto array = ArrayArgument::open(arguments.path, arguments.slice);
  if (!array) {
    return tl::unexpected(array.error());
  }
  if (arguments.json) {
    const nlohmann::json dtype(array->view.dtype.name());
    std::cout << "{\"dtype\":" << dtype << ",\"shape\":" << nlohmann::json(array->view.shape)
              << ",\"values\":";
    print_nested(array->view, 0, array->view.data);
    // What is no part of the array is no whole JSON either.
    return array->check().map([] { std::cout << "}\n"; });
  }
  TextOptions options;
  options.precision = arguments.precision;
  if (arguments.full) {
    options.threshold = std::numeric_limits<std::uint64_t>::max();
    options.limit_bytes = std::numeric_limits<std::uint64_t>::max();
  }
  const auto text = array_text(array->view, options);
  if (!text) {
    return shm::fail(text.error().code, arguments.path + ": " + text.error().context);
  }
  return array->check().map([&] { std::cout << *text << '\n'; });
}

}  // namespace

void add_show_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<ShowArguments>();
  CLI::App* command = app.add_subcommand("show", "Print the values of an array as NumPy does");
  command->footer(kExamples);
  command->add_option("PATH", arguments->path, "An array file")->required();
  command->add_option("SLICE", arguments->slice,
                      "As in NumPy: [0:10, ::2, -1], ['field'], [..., 0]");
  command->add_flag("--full", arguments->full, "All values, without ...");
  command->add_option("--precision", arguments->precision, "Digits after the point, at most")
      ->check(CLI::Range(0, 100));
  command->add_flag("--json", arguments->json, "All values as JSON; null for what is not finite");
  command->callback(
      [arguments, &action] { action = [arguments] { return show_command(*arguments); }; });
}

}  // namespace arrayfs
