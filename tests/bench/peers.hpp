// What the benchmarks share: where they work, how an item is filled and read, and a producer.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <shm/error.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "children.hpp"

namespace shm::bench {

/// A file of the directory that an environment variable names; see places.py.
inline std::string in_directory(const char* variable, const std::string& name) {
  const char* directory = std::getenv(variable);
  if (directory == nullptr) throw std::runtime_error(std::string(variable) + ": run bench.py");
  return std::string(directory) + "/" + name;
}
inline std::string on_tmpfs(const std::string& name) {
  return in_directory("BENCH_TMPFS", name);
}
inline std::string on_mount(const std::string& name) {
  return in_directory("BENCH_MOUNT", name);
}
/// Of the server in minimal_server.cpp.
inline std::string on_minimal(const std::string& name) {
  return in_directory("BENCH_MINIMAL", name);
}

template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(to_string(result.error()));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// What a producer does with an item, and a consumer: each touches every byte once.
inline void fill(std::span<std::byte> item, std::uint64_t number) {
  std::memset(item.data(), static_cast<int>(number & 0xffU), item.size());
}
inline std::uint64_t read_all(std::span<const std::byte> item) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at + sizeof sum <= item.size(); at += sizeof sum) {
    std::uint64_t word = 0;
    std::memcpy(&word, item.data() + at, sizeof word);
    sum += word;
  }
  return sum;
}

/// Small items, pages, images of 224x224x3.
inline void item_sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(64)->Arg(4096)->Arg(std::int64_t{224} * 224 * 3)->UseRealTime();
}

inline constexpr std::size_t kSlots = 16;

/// Taking a mutex that nobody else wants.
template <typename Mutex>
void mutex_alone(benchmark::State& state) {
  Mutex mutex;
  for ([[maybe_unused]] auto _ : state) mutex.lock_and_unlock();
}

/// While another process takes it all the time.
template <typename Mutex>
void mutex_of_two(benchmark::State& state) {
  Mutex mutex;
  const Child other([&]() -> int {
    for (;;) mutex.lock_and_unlock();
  });
  for ([[maybe_unused]] auto _ : state) mutex.lock_and_unlock();
}

/// Items of a size through a queue, filled by another process and read by this one.
template <typename Queue>
void stream(benchmark::State& state) {
  Queue queue(static_cast<std::size_t>(state.range(0)));
  const Child producer([&]() -> int {
    for (std::uint64_t number = 0;; ++number) queue.put(number);
  });
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(queue.get());
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

}  // namespace shm::bench
