// The bytes of one run of a fuzz target, taken from the front.
//
// What is asked for beyond the end is zero, so that every input means something.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace arrayfs::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] std::string_view rest() const { return rest_; }

  template <typename Number>
  Number take() {
    Number number{};
    const std::string_view bytes = take_bytes(sizeof number);
    std::memcpy(&number, bytes.data(), bytes.size());
    return number;
  }
  /// Up to `count` bytes.
  std::string_view take_bytes(std::size_t count) {
    const std::string_view bytes = rest_.substr(0, std::min(count, rest_.size()));
    rest_.remove_prefix(bytes.size());
    return bytes;
  }

 private:
  std::string_view rest_;
};

/// Ends the run as a crash.
inline void require(bool holds) {
  if (!holds) {
    __builtin_trap();
  }
}

}  // namespace arrayfs::fuzz

/// What libFuzzer and the replay call. Returns 0.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
