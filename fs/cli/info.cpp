// `arrayfs info`: what an array is, with a preview; of a ring also what its slots are doing.
#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <iostream>
#include <nlohmann/json.hpp>
#include <shm/posix.hpp>
#include <shm/ring_status.hpp>

#include "commands.hpp"
#include "mounted_path.hpp"

namespace arrayfs {
namespace {

using shm::Result;

constexpr size_t kMaxInfoBytes = 16U << 20;
constexpr size_t kMostItemsShown = 20;
constexpr char kExamples[] = R"(
Examples:
  arrayfs info /mnt/arrays/w.npy
  arrayfs info /mnt/arrays/frames.npy                   of a ring: who has which slot, too
  arrayfs info --json /mnt/arrays/w.npy | jq .shape)";

struct InfoArguments {
  std::string path;
  bool json = false;
};

std::string ring_text(const shm::RingStatus& ring) {
  std::string text = fmt::format("ring: {} slots, {} in use; {} reserved and {} acquired so far\n",
                                 ring.slots, ring.items.size(), ring.reserved, ring.acquired);
  for (size_t i = 0; i < std::min(ring.items.size(), kMostItemsShown); ++i) {
    const shm::RingStatus::Item& item = ring.items[i];
    fmt::format_to(std::back_inserter(text), "item {}: slot {}, {}{}{}\n", item.position,
                   item.position % ring.slots, to_string(item.state),
                   item.pid == 0 ? "" : fmt::format(" by {}", item.pid),
                   item.redelivered ? ", once more" : "");
  }
  if (ring.items.size() > kMostItemsShown) {
    fmt::format_to(std::back_inserter(text), "items: {} more\n",
                   ring.items.size() - kMostItemsShown);
  }
  return text;
}

nlohmann::ordered_json ring_json(const shm::RingStatus& ring) {
  nlohmann::ordered_json json;
  json["slots"] = ring.slots;
  json["reserved"] = ring.reserved;
  json["acquired"] = ring.acquired;
  json["items"] = nlohmann::json::array();
  for (const shm::RingStatus::Item& item : ring.items) {
    json["items"].push_back({{"position", item.position},
                             {"slot", item.position % ring.slots},
                             {"state", to_string(item.state)},
                             {"pid", item.pid},
                             {"redelivered", item.redelivered}});
  }
  return json;
}

// The view with what the ring's control file says: behind the `key: value` lines, or as a member.
Result<std::string> with_ring(const InfoArguments& arguments, std::string view) {
  const auto ring = shm::ring_status(arguments.path);
  if (!ring && ring.error().code == ENOENT) {
    return view;
  }
  if (!ring) {
    return tl::unexpected(ring.error());
  }
  if (!arguments.json) {
    const size_t values = view.find("\n\n");
    return view.insert(values == std::string::npos ? view.size() : values + 1, ring_text(*ring));
  }
  auto json = nlohmann::ordered_json::parse(view);
  json["ring"] = ring_json(*ring);
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
