// `arrayfs info`: what an array is, with a preview.
#include <fcntl.h>

#include <cerrno>
#include <iostream>
#include <shm/posix.hpp>

#include "commands.hpp"
#include "mounted_path.hpp"

namespace arrayfs {
namespace {

using shm::Result;

constexpr size_t kMaxInfoBytes = 16U << 20;
constexpr char kExamples[] = R"(
Examples:
  arrayfs info /mnt/arrays/w.npy
  arrayfs info --json /mnt/arrays/w.npy | jq .shape)";

struct InfoArguments {
  std::string path;
  bool json = false;
};

Result<void> info_command(const InfoArguments& arguments) {
  // Opened first, so that a missing file is reported as what it is.
  if (const auto st = shm::posix::stat_at(AT_FDCWD, arguments.path, 0); !st) {
    return tl::unexpected(st.error());
  }
  const auto found = find_mount(arguments.path);
  if (!found) {
    return tl::unexpected(found.error());
  }
  const std::string view =
      arguments.json ? "json/" + found->inner + ".json" : "info/" + found->inner;
  const auto text = shm::posix::read_file(found->control(view), kMaxInfoBytes);
  if (!text) {
    return tl::unexpected(text.error());
  }
  std::cout << *text;
  return {};
}

}  // namespace

void add_info_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<InfoArguments>();
  CLI::App* command = app.add_subcommand("info", "Show type, shape and a preview of an array");
  command->footer(kExamples);
  command->add_option("PATH", arguments->path, "A file on an arrayfs mount")->required();
  command->add_flag("--json", arguments->json, "As JSON, without the preview");
  command->callback(
      [arguments, &action] { action = [arguments] { return info_command(*arguments); }; });
}

}  // namespace arrayfs
