#include "ring.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "../text.hpp"

namespace arrayfs {
namespace {

constexpr size_t kMostItemsShown = 20;

}  // namespace

std::string ring_text(const shm::Result<shm::RingStatus>& ring) {
  if (!ring) {
    return fmt::format("ring: {}\n", printable(shm::to_string(ring.error())));
  }
  std::string text = fmt::format("ring: {} slots, {} in use; {} reserved and {} acquired so far\n",
                                 ring->slots, ring->items.size(), ring->reserved, ring->acquired);
  for (size_t i = 0; i < std::min(ring->items.size(), kMostItemsShown); ++i) {
    const shm::RingStatus::Item& item = ring->items[i];
    fmt::format_to(std::back_inserter(text), "item {}: slot {}, {}{}{}\n", item.position,
                   item.position % ring->slots, to_string(item.state),
                   item.pid == 0 ? "" : fmt::format(" by {}", item.pid),
                   item.redelivered ? ", once more" : "");
  }
  if (ring->items.size() > kMostItemsShown) {
    fmt::format_to(std::back_inserter(text), "items: {} more\n",
                   ring->items.size() - kMostItemsShown);
  }
  return text;
}

nlohmann::ordered_json ring_json(const shm::Result<shm::RingStatus>& ring) {
  nlohmann::ordered_json json;
  if (!ring) {
    json["reason"] = shm::to_string(ring.error());
    return json;
  }
  json["slots"] = ring->slots;
  json["reserved"] = ring->reserved;
  json["acquired"] = ring->acquired;
  json["items"] = nlohmann::json::array();
  for (const shm::RingStatus::Item& item : ring->items) {
    json["items"].push_back({{"position", item.position},
                             {"slot", item.position % ring->slots},
                             {"state", to_string(item.state)},
                             {"pid", item.pid},
                             {"redelivered", item.redelivered}});
  }
  return json;
}

}  // namespace arrayfs
