// `arrayfs ls`: a table of the arrays of a directory.
#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <shm/posix.hpp>

#include "../text.hpp"
#include "commands.hpp"
#include "mounted_path.hpp"

namespace arrayfs {
namespace {

using Json = nlohmann::ordered_json;
using shm::Result;

constexpr size_t kMaxJsonBytes = 4U << 20;
constexpr size_t kMaxDtypeWidth = 40;  // a structured type would push the other columns away
constexpr char kExamples[] = R"(
Examples:
  arrayfs ls /mnt/arrays
  arrayfs ls --json /mnt/arrays | jq '.[] | select(.nbytes > 1e9).name')";

struct LsArguments {
  std::string dir = ".";
  bool json = false;
};

using Row = std::array<std::string, 7>;

Row row_of(const Json& file) {
  const auto age =
      std::max<std::int64_t>(0, time(nullptr) - file.value("modified_s", std::int64_t{0}));
  Row row{printable(file["name"].get<std::string>()),
          "-",
          "-",
          "-",
          human_bytes(file.value("file_size", std::uint64_t{0})),
          std::to_string(file.value("open", 0)),
          human_duration(age) + " ago"};
  if (file.value("kind", "") == "array") {
    row[1] = file["dtype"].get<std::string>();
    if (row[1].size() > kMaxDtypeWidth) {
      row[1] = row[1].substr(0, kMaxDtypeWidth - 3) + "...";
    }
    const auto& shape = file["shape"];
    std::string axes;
    for (const auto& axis : shape) {
      axes += (axes.empty() ? "" : ", ") + axis.dump();
    }
    row[2] = "(" + axes + (shape.size() == 1 ? ",)" : ")");
    row[3] = file["order"].get<std::string>();
    row[4] = human_bytes(file["nbytes"].get<std::uint64_t>());
  } else {
    row[1] = file.value("kind", "");
  }
  return row;
}

void print_table(const std::vector<Row>& rows) {
  Row::size_type column = 0;
  std::array<size_t, std::tuple_size_v<Row>> widths{};
  for (const Row& row : rows) {
    for (column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], row[column].size());
    }
  }
  for (const Row& row : rows) {
    std::string line;
    for (column = 0; column < row.size(); ++column) {
      const bool number = column == 4 || column == 5;
      line += number ? fmt::format("{:>{}}  ", row[column], widths[column])
                     : fmt::format("{:<{}}  ", row[column], widths[column]);
    }
    std::cout << line.substr(0, line.find_last_not_of(' ') + 1) << '\n';
  }
}

// The files of a directory with what the control tree says of each.
Result<std::vector<Json>> read_directory(const std::string& dir) {
  const auto found = find_mount(dir);
  if (!found) {
    return tl::unexpected(found.error());
  }
  const std::string base = found->inner.empty() ? "" : found->inner + "/";
  std::vector<Json> files;
  std::error_code error;
  for (std::filesystem::directory_iterator at(dir, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code gone;
    const std::string name = at->path().filename();
    Json file;
    if (at->is_directory(gone)) {
      file = {{"kind", "directory"}};
    } else if (at->is_regular_file(gone)) {
      const auto text = shm::posix::read_file(
          found->control(fmt::format("json/{}{}.json", base, name)), kMaxJsonBytes);
      file = text ? Json::parse(*text, nullptr, false) : Json();
      if (!file.is_object()) {
        file = {{"kind", "unreadable"}};
      }
    } else {
      continue;
    }
    Json named{{"name", name}};
    named.update(file);
    files.push_back(std::move(named));
  }
  if (error) {
    return shm::fail(error.value(), dir);
  }
  std::ranges::sort(files, {}, [](const Json& file) { return file["name"].get<std::string>(); });
  return files;
}

Result<void> ls_command(const LsArguments& arguments) {
  const auto files = read_directory(arguments.dir);
  if (!files) {
    return tl::unexpected(files.error());
  }
  if (arguments.json) {
    std::cout << Json(*files).dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    return {};
  }
  std::vector<Row> rows{{"NAME", "DTYPE", "SHAPE", "ORDER", "SIZE", "OPEN", "MODIFIED"}};
  std::ranges::transform(*files, std::back_inserter(rows), row_of);
  print_table(rows);
  return {};
}

}  // namespace

void add_ls_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<LsArguments>();
  CLI::App* command = app.add_subcommand("ls", "List the arrays of a directory");
  command->footer(kExamples);
  command->add_option("DIR", arguments->dir, "A directory on an arrayfs mount (default: here)");
  command->add_flag("--json", arguments->json, "As JSON");
  command->callback(
      [arguments, &action] { action = [arguments] { return ls_command(*arguments); }; });
}

}  // namespace arrayfs
