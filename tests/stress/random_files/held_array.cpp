#include "held_array.hpp"

#include <csignal>
#include <cstdio>

namespace stress {
namespace {

// The mapping that is being read or written, for the report of a SIGBUS.
struct {
  const char* path;
  const char* begin;
  size_t bytes;
} touched;

void on_bus_error(int, siginfo_t* info, void*) {
  char text[512];
  const auto offset = static_cast<const char*>(info->si_addr) - touched.begin;
  const int size = snprintf(text, sizeof text, "SIGBUS at byte %td of %zu of %s\n", offset,
                            touched.bytes, touched.path);
  static_cast<void>(!write(STDERR_FILENO, text, static_cast<size_t>(size)));
  signal(SIGBUS, SIG_DFL);  // the access is repeated and kills
}

}  // namespace

void explain_bus_errors() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

HeldArray::HeldArray(Fd fd, void* mapping, size_t bytes, std::string path, bool whole)
    : fd_(std::move(fd)),
      mapping_(static_cast<std::uint64_t*>(mapping), Unmap{bytes}),
      path_(std::move(path)),
      whole_(whole) {
  expect_bus_errors();
  seed_ = seed_of(words()[0]);
}

void HeldArray::expect_bus_errors() const {
  touched = {path_.c_str(), reinterpret_cast<const char*>(mapping_.get()), bytes()};
}

std::optional<std::uint64_t> HeldArray::find_wrong() const {
  expect_bus_errors();
  for (std::uint64_t i = 0; i < count(); ++i) {
    const std::uint64_t value = words()[i];
    const bool good = whole_ ? value == word(seed_, i) : is_in_place(value, i);
    if (!good) {
      return i;
    }
  }
  return std::nullopt;
}

void HeldArray::store(std::uint64_t index, std::uint64_t value) const {
  expect_bus_errors();
  words()[index] = value;
}

bool HeldArray::sync() const {
  return msync(mapping_.get(), bytes(), MS_SYNC) == 0;
}

}  // namespace stress
