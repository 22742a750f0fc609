// `arrayfs stats`: statistics of an array or a part of it, on all cores.
#include <iostream>
#include <thread>

#include "../statistics/statistics.hpp"
#include "array_argument.hpp"
#include "commands.hpp"

namespace arrayfs {
namespace {

using shm::Kind;
using shm::Result;

constexpr char kExamples[] = R"(
Examples:
  arrayfs stats /mnt/arrays/w.npy
  arrayfs stats /mnt/arrays/w.npy '[:, 0]'
  arrayfs stats --json /mnt/arrays/w.npy | jq .mean

Of complex numbers the magnitudes are meant. NaN and infinities are counted and left out of
everything else. Percentiles are exact up to a million numbers and for integers of a range below
65536; otherwise a line tells how far off they may be.)";

struct StatsArguments {
  std::string path;
  std::string slice;
  bool json = false;
};

Result<void> stats_command(const StatsArguments& arguments) {
  const auto array = ArrayArgument::open(arguments.path, arguments.slice);
  if (!array) {
    return tl::unexpected(array.error());
  }
  const ArrayView view = flattened(array->view);
  const Kind kind = view.dtype.kind();
  const bool whole = kind == Kind::kBool || kind == Kind::kInt || kind == Kind::kUint;
  const unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  const auto result = numbers_of(view).and_then([&](const NumberSource& numbers) {
    return statistics(view.size(), numbers, threads, whole);
  });
  if (!result) {
    return shm::fail(result.error().code, arguments.path + ": " + result.error().context);
  }
  return array->check().map(
      [&] { std::cout << (arguments.json ? statistics_json(*result) : statistics_text(*result)); });
}

}  // namespace

void add_stats_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<StatsArguments>();
  CLI::App* command =
      app.add_subcommand("stats", "Count, mean, deviation, percentiles and a histogram");
  command->footer(kExamples);
  command->add_option("PATH", arguments->path, "An array file")->required();
  command->add_option("SLICE", arguments->slice,
                      "As in NumPy: [0:10, ::2, -1], ['field'], [..., 0]");
  command->add_flag("--json", arguments->json, "As JSON");
  command->callback(
      [arguments, &action] { action = [arguments] { return stats_command(*arguments); }; });
}

}  // namespace arrayfs
