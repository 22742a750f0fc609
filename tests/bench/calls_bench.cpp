// System calls on small files: the mount, the minimal server, and tmpfs.
//
// `waits` counts how often the caller gave its core away, which it does once for each answer of a
// server that it waits for.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <vector>

#include "peers.hpp"

namespace shm::bench {
namespace {

using Place = std::string (*)(const std::string&);

constexpr std::int64_t kBatch = 64;

std::int64_t waits_so_far() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nvcsw;
}

void check(int result, const std::string& path) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), path);
}

void make_file(const std::string& path) {
  static constexpr std::array<char, 4096> kContent{};
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  check(fd, path);
  check(static_cast<int>(write(fd, kContent.data(), kContent.size())), path);
  check(close(fd), path);
}

void open_and_close(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  check(fd, path);
  close(fd);
}

void stat_kept(const std::string& path) {
  struct stat attributes {};
  check(stat(path.c_str(), &attributes), path);
}

// Past what the kernel keeps: a server is asked.
void stat_asked(const std::string& path) {
  struct statx attributes {};
  check(statx(AT_FDCWD, path.c_str(), AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &attributes), path);
}

void of_one_file(benchmark::State& state, Place place, void (*call)(const std::string&)) {
  const std::string path = place("called.dat");
  make_file(path);
  call(path);
  const std::int64_t waits = waits_so_far();
  for ([[maybe_unused]] auto _ : state) call(path);
  state.counters["waits"] = benchmark::Counter(static_cast<double>(waits_so_far() - waits),
                                               benchmark::Counter::kAvgIterations);
  unlink(path.c_str());
}

void rename_one(benchmark::State& state, Place place) {
  const std::string names[] = {place("renamed-0.dat"), place("renamed-1.dat")};
  make_file(names[0]);
  int at = 0;
  for ([[maybe_unused]] auto _ : state) {
    check(rename(names[at].c_str(), names[1 - at].c_str()), names[at]);
    at = 1 - at;
  }
  unlink(names[at].c_str());
}

std::vector<std::string> batch_of_paths(Place place, const std::string& name) {
  std::vector<std::string> paths;
  paths.reserve(kBatch);
  for (int i = 0; i < kBatch; ++i) paths.push_back(place(name + std::to_string(i) + ".dat"));
  return paths;
}

void for_each(const std::vector<std::string>& paths, void (*call)(const std::string&)) {
  for (const std::string& path : paths) call(path);
}

void remove_file(const std::string& path) {
  check(unlink(path.c_str()), path);
}

void create(benchmark::State& state, Place place) {
  const auto paths = batch_of_paths(place, "created-");
  while (state.KeepRunningBatch(kBatch)) {
    for_each(paths, make_file);
    state.PauseTiming();
    for_each(paths, remove_file);
    state.ResumeTiming();
  }
}

void remove(benchmark::State& state, Place place) {
  const auto paths = batch_of_paths(place, "removed-");
  while (state.KeepRunningBatch(kBatch)) {
    state.PauseTiming();
    for_each(paths, make_file);
    state.ResumeTiming();
    for_each(paths, remove_file);
  }
}

// Written aside and renamed over the one before it, as np.save() into a mount of readers should be.
void publish(benchmark::State& state, Place place) {
  const std::string path = place("published.dat");
  const std::string aside = place("published.aside");
  make_file(path);
  for ([[maybe_unused]] auto _ : state) {
    make_file(aside);
    check(rename(aside.c_str(), path.c_str()), aside);
  }
  unlink(path.c_str());
}

// The measure's name, the function, and what it takes besides the place.
#define MEASURE_EVERYWHERE(name, function, ...)                              \
  BENCHMARK_CAPTURE(function, mount, on_mount __VA_OPT__(, ) __VA_ARGS__)    \
      ->Name("files/" name "/arrayfs")                                       \
      ->UseRealTime();                                                       \
  BENCHMARK_CAPTURE(function, server, on_minimal __VA_OPT__(, ) __VA_ARGS__) \
      ->Name("files/" name "/minimal server")                                \
      ->UseRealTime();                                                       \
  BENCHMARK_CAPTURE(function, tmpfs, on_tmpfs __VA_OPT__(, ) __VA_ARGS__)    \
      ->Name("files/" name "/tmpfs")                                         \
      ->UseRealTime()

MEASURE_EVERYWHERE("open + close", of_one_file, open_and_close);
MEASURE_EVERYWHERE("stat, kept by the kernel", of_one_file, stat_kept);
MEASURE_EVERYWHERE("stat, asked for", of_one_file, stat_asked);
MEASURE_EVERYWHERE("create + write + close", create);
MEASURE_EVERYWHERE("create aside + rename over", publish);
MEASURE_EVERYWHERE("rename", rename_one);
MEASURE_EVERYWHERE("unlink", remove);

}  // namespace
}  // namespace shm::bench
