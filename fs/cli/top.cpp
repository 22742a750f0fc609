// `arrayfs top`: the arrays of a mount as they are used, until q is pressed.
//
// Drawn with ncurses on a terminal, within 80 columns; once and as plain text elsewhere.
#include <fmt/format.h>
#include <unistd.h>

// clang-format off: its macros would change what comes after it
#include <ncurses.h>
#undef OK
// clang-format on

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <shm/posix.hpp>

#include "../text.hpp"
#include "commands.hpp"
#include "mounted_path.hpp"

namespace arrayfs {
namespace {

using Json = nlohmann::ordered_json;
using shm::Result;

constexpr char kExamples[] = R"(
Examples:
  arrayfs top /mnt/arrays             q quits; s, o, n sort by size, openers, name
  arrayfs top --json /mnt/arrays | jq .arrays[0])";
constexpr std::size_t kMaxJsonBytes = 4U << 20;
constexpr std::size_t kMaxArrays = 2000;  // that are asked for each picture

struct TopArguments {
  std::string dir = ".";
  std::string sort = "size";
  bool json = false;
};

struct Picture {
  StatusFields status;
  std::vector<Json> arrays;
};

// What changed since the last picture: how often each array got new content.
using Versions = std::map<std::string, std::int64_t>;

Result<Picture> take(const MountedPath& mounted) {
  const auto status = status_of(mounted.mount.mountpoint);
  if (!status) {
    return tl::unexpected(status.error());
  }
  Picture picture;
  picture.status = *status;
  const std::filesystem::path root = mounted.mount.mountpoint;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator
           at(root, std::filesystem::directory_options::skip_permission_denied, error),
       end;
       !error && at != end && picture.arrays.size() < kMaxArrays; at.increment(error)) {
    std::error_code gone;
    if (!at->is_regular_file(gone)) {
      continue;
    }
    const std::string name = at->path().lexically_relative(root);
    const auto text =
        shm::posix::read_file(mounted.control("json/" + name + ".json"), kMaxJsonBytes);
    Json file = text ? Json::parse(*text, nullptr, false) : Json();
    if (file.is_object()) {
      Json named{{"name", name}};
      named.update(file);
      picture.arrays.push_back(std::move(named));
    }
  }
  return picture;
}

void sort(std::vector<Json>& arrays, const std::string& by) {
  std::ranges::sort(arrays, {}, [](const Json& file) { return file["name"].get<std::string>(); });
  if (by != "name") {
    const char* key = by == "size" ? "allocated" : "open";
    std::ranges::stable_sort(arrays, std::greater(),
                             [&](const Json& file) { return file.value(key, std::int64_t{0}); });
  }
}

std::string cut(const std::string& text, std::size_t width) {
  const std::string line = printable(text);
  return line.size() <= width ? line : line.substr(0, width - 3) + "...";
}

std::vector<std::string> lines_of(const Picture& picture, const Versions& before) {
  const auto status = [&](const char* key) {
    const auto found = picture.status.find(key);
    return found == picture.status.end() ? std::string("-") : found->second;
  };
  std::vector<std::string> lines;
  lines.push_back(cut(
      fmt::format("{}  plane {}  up {}", status("mountpoint"), status("plane"), status("uptime")),
      79));
  lines.push_back(
      cut(fmt::format("used {}  arrays {}  open files {}  old versions {}", status("use"),
                      status("arrays"), status("open_files"), status("nameless_files")),
          79));
  lines.emplace_back();
  lines.push_back(fmt::format("{:<28} {:<12} {:<14} {:>10} {:>5} {:>6}", "NAME", "DTYPE", "SHAPE",
                              "ALLOCATED", "OPEN", "CHANGE"));
  for (const Json& file : picture.arrays) {
    std::string shape;
    for (const auto& axis : file.value("shape", Json::array())) {
      shape += (shape.empty() ? "" : ",") + axis.dump();
    }
    const auto name = file["name"].get<std::string>();
    const auto version = before.find(name);
    const std::int64_t changes =
        version == before.end() ? 0 : file.value("version", std::int64_t{0}) - version->second;
    lines.push_back(fmt::format(
        "{:<28} {:<12} {:<14} {:>10} {:>5} {:>6}", cut(name, 28),
        cut(file.value("dtype", file.value("kind", "")), 12), cut(shape, 14),
        human_bytes(file.value("allocated", std::uint64_t{0})),
        fmt::format("{}{}", file.value("open", 0), file.value("writers", 0) > 0 ? "w" : " "),
        changes > 0 ? fmt::format("+{}", changes) : ""));
  }
  return lines;
}

Versions versions_of(const Picture& picture) {
  Versions versions;
  for (const Json& file : picture.arrays) {
    versions[file["name"].get<std::string>()] = file.value("version", std::int64_t{0});
  }
  return versions;
}

// The terminal as long as it is drawn on.
class Screen {
 public:
  Screen() {
    initscr();
    cbreak();
    noecho();
    curs_set(0);
    constexpr int kRefreshMs = 1000;
    timeout(kRefreshMs);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  ~Screen() { endwin(); }

  // Draws, then waits for a key or for the next picture.
  static int show(const std::vector<std::string>& lines) {
    erase();
    for (int row = 0; row < std::min(LINES, static_cast<int>(lines.size())); ++row) {
      mvaddnstr(row, 0, lines[static_cast<std::size_t>(row)].c_str(), COLS);
    }
    refresh();
    return getch();
  }
};

Result<void> watch(const MountedPath& mounted, std::string by) {
  const Screen screen;
  Versions before;
  for (;;) {
    auto picture = take(mounted);
    if (!picture) {
      return tl::unexpected(picture.error());
    }
    sort(picture->arrays, by);
    switch (Screen::show(lines_of(*picture, before))) {
      case 'q':
        return {};
      case 's':
        by = "size";
        break;
      case 'o':
        by = "open";
        break;
      case 'n':
        by = "name";
        break;
      default:
        break;
    }
    before = versions_of(*picture);
  }
}

Result<void> top_command(const TopArguments& arguments) {
  const auto mounted = find_mount(arguments.dir);
  if (!mounted) {
    return tl::unexpected(mounted.error());
  }
  if (!arguments.json && isatty(STDOUT_FILENO) == 1 && isatty(STDIN_FILENO) == 1) {
    return watch(*mounted, arguments.sort);
  }
  auto picture = take(*mounted);
  if (!picture) {
    return tl::unexpected(picture.error());
  }
  sort(picture->arrays, arguments.sort);
  if (arguments.json) {
    const Json json{{"status", picture->status}, {"arrays", picture->arrays}};
    std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    return {};
  }
  for (const std::string& line : lines_of(*picture, {})) {
    std::cout << line.substr(0, line.find_last_not_of(' ') + 1) << '\n';
  }
  return {};
}

}  // namespace

void add_top_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<TopArguments>();
  CLI::App* command = app.add_subcommand("top", "Watch the arrays of a mount");
  command->footer(kExamples);
  command->add_option("DIR", arguments->dir, "A directory of the mount (default: here)");
  command->add_option("--sort", arguments->sort, "size, open or name")
      ->check(CLI::IsMember({"size", "open", "name"}));
  command->add_flag("--json", arguments->json, "Once, as JSON");
  command->callback(
      [arguments, &action] { action = [arguments] { return top_command(*arguments); }; });
}

}  // namespace arrayfs
