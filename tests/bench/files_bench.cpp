// Making an array and mapping one: the mount against the tmpfs below it.
#include <unistd.h>

#include <shm/array.hpp>

#include "peers.hpp"

namespace shm::bench {
namespace {

using Place = std::string (*)(const std::string&);

void create(benchmark::State& state, Place place) {
  const std::string path = place("created.npy");
  const Dtype dtype = *Dtype::parse("float32");
  const Shape shape = {static_cast<std::uint64_t>(state.range(0)) / 4};
  for ([[maybe_unused]] auto _ : state) {
    must(Array::create(path, dtype, shape));
    unlink(path.c_str());
  }
}

void open_and_map(benchmark::State& state, Place place) {
  const std::string path = place("opened.npy");
  must(Array::create(path, *Dtype::parse("float32"), {1024}));
  for ([[maybe_unused]] auto _ : state) {
    const Array array = must(Array::open(path, Access::kReadWrite));
    benchmark::DoNotOptimize(array.bytes().data());
  }
  unlink(path.c_str());
}

// The whole of an array that is already mapped and touched: what a program does all day.
void sum_mapped(benchmark::State& state, Place place) {
  const std::string path = place("summed.npy");
  const auto bytes = static_cast<std::uint64_t>(state.range(0));
  Array array = must(Array::create(path, *Dtype::parse("uint64"), {bytes / 8}));
  fill(array.mutable_bytes(), 1);
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(read_all(array.bytes()));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
  unlink(path.c_str());
}

BENCHMARK_CAPTURE(create, mount, on_mount)->Arg(4096)->Arg(1 << 20)->UseRealTime();
BENCHMARK_CAPTURE(create, tmpfs, on_tmpfs)->Arg(4096)->Arg(1 << 20)->UseRealTime();
BENCHMARK_CAPTURE(open_and_map, mount, on_mount)->UseRealTime();
BENCHMARK_CAPTURE(open_and_map, tmpfs, on_tmpfs)->UseRealTime();
BENCHMARK_CAPTURE(sum_mapped, mount, on_mount)->Arg(64 << 20)->UseRealTime();
BENCHMARK_CAPTURE(sum_mapped, tmpfs, on_tmpfs)->Arg(64 << 20)->UseRealTime();

}  // namespace
}  // namespace shm::bench
