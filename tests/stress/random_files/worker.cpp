#include "worker.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace stress {
namespace {

constexpr int kMaxReports = 10;

}  // namespace

Worker::Worker(std::string directory, unsigned seed, int number, Shared& shared)
    : directory_(std::move(directory)),
      number_(number),
      random_(seed * 1000003U + static_cast<unsigned>(number)),
      shared_(shared) {}

int Worker::run(time_t until) {
  while (time(nullptr) < until && reports_ < kMaxReports) {
    step();
  }
  while (!held_.empty()) {
    let_go(held_.size() - 1);
  }
  return reports_ == 0 ? 0 : 1;
}

void Worker::report(Op op, const std::string& what) {
  ++reports_;
  ++shared_.failures;
  fprintf(stderr, "worker %d: %s: %s\n", number_, name_of(op), what.c_str());
}

bool Worker::outcome(Op op, bool done, Errnos allowed, const std::string& path) {
  const int code = done ? 0 : errno;
  ++shared_.counts[op][static_cast<size_t>(std::min(code, kMaxErrno - 1))];
  if (!done && std::find(allowed.begin(), allowed.end(), code) == allowed.end()) {
    report(op, path + ": " + strerrorname_np(code));
  }
  return done;
}

Fd Worker::open_file(Op op, const std::string& path, int flags, Errnos allowed, mode_t mode) {
  Fd fd(open(path.c_str(), flags | O_CLOEXEC, mode));
  outcome(op, fd.valid(), allowed, path);
  return fd;
}

void Worker::step() {
  static constexpr std::pair<Step, unsigned> kSteps[] = {
      {&Worker::save, 12},          {&Worker::publish, 6},
      {&Worker::hold, 14},          {&Worker::check_held, 10},
      {&Worker::store, 6},          {&Worker::shrink, 3},
      {&Worker::grow, 3},           {&Worker::seal, 2},
      {&Worker::too_large, 1},      {&Worker::too_sparse, 1},
      {&Worker::link_whole, 3},     {&Worker::unlink_any, 6},
      {&Worker::rename_locked, 4},  {&Worker::rename_free, 5},
      {&Worker::make_directory, 3}, {&Worker::remove_directory, 2},
      {&Worker::list_directory, 2}, {&Worker::symbolic_link, 2},
      {&Worker::write_free, 8},     {&Worker::read_free, 6},
      {&Worker::truncate_free, 4},  {&Worker::allocate_free, 4},
      {&Worker::copy_free, 3},      {&Worker::attributes, 3},
      {&Worker::xattrs, 3},         {&Worker::lifetime, 1},
      {&Worker::control, 3},        {&Worker::lock_file, 2}};
  static constexpr unsigned kAll = [] {
    unsigned sum = 0;
    for (const auto& [step, weight] : kSteps) {
      sum += weight;
    }
    return sum;
  }();
  unsigned left = pick(kAll);
  for (const auto& [step, weight] : kSteps) {
    if (left < weight) {
      (this->*step)();
      return;
    }
    left -= weight;
  }
}

}  // namespace stress
