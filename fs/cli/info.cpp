// `arrayfs info`: what an array is, with a preview; of a ring also what its slots are doing.
#include <fcntl.h>

#include <cerrno>
#include <iostream>
#include <nlohmann/json.hpp>
#include <shm/posix.hpp>
#include <shm/ring_status.hpp>

#include "commands.hpp"
#include "mounted_path.hpp"
#include "views/ring.hpp"

namespace arrayfs {
namespace {

using shm::Result;

constexpr size_t kMaxInfoBytes = 16U << 20;
constexpr char kExamples[] = R"(
Examples:
  arrayfs info /mnt/arrays/w.npy
  arrayfs info /mnt/arrays/frames.npy                   of a ring: who has which slot, too
  arrayfs info --json /mnt/arrays/w.npy | jq .shape)";

struct InfoArguments {
  std::string path;
  bool json = false;
};

// The view with what the ring's control file says, if the view itself does not: on the `cached`
// plane only who reads through the mount sees it as it is.
Result<std::string> with_ring(const InfoArguments& arguments, std::string view) {
  const bool told = view.find(arguments.json ? "\n  \"ring\": {" : "\nring: ") != std::string::npos;
  const auto ring = told ? shm::fail(ENOENT) : shm::ring_status(arguments.path);
  if (!ring && ring.error().code == ENOENT) {
    return view;
  }
  if (!arguments.json) {
    const size_t values = view.find("\n\n");
    return view.insert(values == std::string::npos ? view.size() : values + 1, ring_text(ring));
  }
  auto json = nlohmann::ordered_json::parse(view);
  json["ring"] = ring_json(ring);
  return json.dump(2) + '\n';
}

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
  const auto text =
      shm::posix::read_file(found->control(view), kMaxInfoBytes).and_then([&](std::string shown) {
        return with_ring(arguments, std::move(shown));
      });
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
