// Runs one row in a child process and collects its transcript.
#pragma once

#include <functional>
#include <string>

#include "parity.hpp"

namespace parity {

/// Where a row's process writes its transcript; far from the descriptors that rows get.
constexpr int kTranscriptFd = 200;

/// Runs the row in a child with `directory` as its current directory. When the row has not ended in
/// time, `abort` must free it from whatever it hangs in; the transcript says so.
std::string transcript_of(const Row& row, const std::string& directory,
                          const std::function<void()>& abort);

}  // namespace parity
