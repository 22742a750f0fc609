// `arrayfs ls`: a table of the arrays of a directory.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
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
  arrayfs ls -lR --sort size /mnt/arrays
  arrayfs ls --json /mnt/arrays | jq '.[] | select(.nbytes > 1e9).name')";

struct LsArguments {
  std::string dir = ".";
  std::string sort = "name";
  bool json = false;
  bool details = false;
  bool recursive = false;
};

using Row = std::vector<std::string>;

constexpr size_t kSizeColumn = 4;
constexpr size_t kOpenColumn = 5;
constexpr size_t kPlainColumns = 7;

bool is_number_column(size_t column) {
  return column == kSizeColumn || column == kOpenColumn || column >= kPlainColumns;
}

Row heading(bool details) {
  Row row{"NAME", "DTYPE", "SHAPE", "ORDER", "SIZE", "OPEN", "MODIFIED"};
  if (details) {
    row.insert(row.end(), {"ALLOCATED", "VERSION", "MODE", "OWNER", "SEALED"});
  }
  return row;
}

Row row_of(const Json& file, bool details) {
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
  if (details) {
    const bool known = file.contains("mode");
    row.push_back(known ? human_bytes(file.value("allocated", std::uint64_t{0})) : "-");
    row.push_back(known ? std::to_string(file.value("version", 0)) : "-");
    row.push_back(known ? fmt::format("{:04o}", file.value("mode", 0U)) : "-");
    row.push_back(known ? fmt::format("{}:{}", file.value("uid", 0), file.value("gid", 0)) : "-");
    row.push_back(file.value("sealed", false) ? "yes" : "no");
  }
  return row;
}

// What a terminal shows a name in, as ls does: directories blue, arrays green, the rest plain.
std::string_view colour_of(const Json& file) {
  const std::string kind = file.value("kind", "");
  return kind == "directory" ? "\x1b[1;34m" : kind == "array" ? "\x1b[32m" : "";
}

void print_table(const std::vector<Row>& rows, const std::vector<std::string_view>& colours) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], row[column].size());
    }
  }
  const bool terminal = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  for (size_t i = 0; i < rows.size(); ++i) {
    std::string line;
    for (size_t column = 0; column < widths.size(); ++column) {
      const std::string& text = rows[i][column];
      line += is_number_column(column) ? fmt::format("{:>{}}  ", text, widths[column])
                                       : fmt::format("{:<{}}  ", text, widths[column]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    if (terminal && !colours[i].empty()) {
      const size_t name_bytes = rows[i][0].size();
      line = fmt::format("{}{}\x1b[0m{}", colours[i], line.substr(0, name_bytes),
                         line.substr(name_bytes));
    }
    std::cout << line << '\n';
  }
}

// What the control tree says of the file `name`, a path below the directory.
Json describe(const MountedPath& directory, const std::filesystem::directory_entry& entry,
              const std::string& name) {
  std::error_code gone;
  Json file;
  if (entry.is_directory(gone)) {
    file = {{"kind", "directory"}};
  } else {
    const std::string base = directory.inner.empty() ? "" : directory.inner + "/";
    const auto text = shm::posix::read_file(
        directory.control(fmt::format("json/{}{}.json", base, name)), kMaxJsonBytes);
    file = text ? Json::parse(*text, nullptr, false) : Json();
    if (!file.is_object()) {
      file = {{"kind", "unreadable"}};
    }
  }
  Json named{{"name", name}};
  named.update(file);
  return named;
}

// The files of a directory, and of those below it where `recursive`.
Result<std::vector<Json>> read_directory(const std::string& dir, bool recursive) {
  const auto found = find_mount(dir);
  if (!found) {
    return tl::unexpected(found.error());
  }
  std::vector<Json> files;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(dir, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code gone;
    const bool is_directory = at->is_directory(gone);
    if (!recursive || at->is_symlink(gone)) {
      at.disable_recursion_pending();
    }
    if (is_directory ? !recursive : at->is_regular_file(gone)) {
      files.push_back(describe(*found, *at, at->path().lexically_relative(dir).string()));
    }
  }
  if (error) {
    return shm::fail(error.value(), dir);
  }
  return files;
}

void sort(std::vector<Json>& files, const std::string& by) {
  std::ranges::sort(files, {}, [](const Json& file) { return file["name"].get<std::string>(); });
  const std::string key = by == "size" ? "file_size" : "modified_s";
  if (by != "name") {
    std::ranges::stable_sort(files, std::greater(), [&](const Json& file) {
      return file.value(key, std::int64_t{0});  // largest, or latest, first
    });
  }
}

Result<void> ls_command(const LsArguments& arguments) {
  auto files = read_directory(arguments.dir, arguments.recursive);
  if (!files) {
    return tl::unexpected(files.error());
  }
  sort(*files, arguments.sort);
  if (arguments.json) {
    std::cout << Json(*files).dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    return {};
  }
  std::vector<Row> rows{heading(arguments.details)};
  std::vector<std::string_view> colours{""};
  for (const Json& file : *files) {
    rows.push_back(row_of(file, arguments.details));
    colours.push_back(colour_of(file));
  }
  print_table(rows, colours);
  return {};
}

}  // namespace

void add_ls_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<LsArguments>();
  CLI::App* command = app.add_subcommand("ls", "List the arrays of a directory");
  command->footer(kExamples);
  command->add_option("DIR", arguments->dir, "A directory on an arrayfs mount (default: here)");
  command->add_flag("-l", arguments->details, "Space, version, mode, owner and seal, too");
  command->add_flag("-R", arguments->recursive, "Sub-directories, too");
  command
      ->add_option("--sort", arguments->sort, "name, size (largest first) or time (latest first)")
      ->check(CLI::IsMember({"name", "size", "time"}));
  command->add_flag("--json", arguments->json, "As JSON");
  command->callback(
      [arguments, &action] { action = [arguments] { return ls_command(*arguments); }; });
}

}  // namespace arrayfs
