// What the slots of a ring are doing, in words and as JSON: for `info`, `json` and `arrayfs info`.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <shm/ring_status.hpp>
#include <string>

namespace arrayfs {

/// `key: value` lines; of many items the first ones. Why there is nothing to tell is told, too.
[[nodiscard]] std::string ring_text(const shm::Result<shm::RingStatus>& ring);
[[nodiscard]] nlohmann::ordered_json ring_json(const shm::Result<shm::RingStatus>& ring);

}  // namespace arrayfs
