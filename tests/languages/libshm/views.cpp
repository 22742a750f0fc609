// libshm from C++: typed views of an array that other processes see, under its lock.
#include <shm/shm.h>

#include <iostream>
#include <numeric>
#include <shm/array.hpp>
#include <shm/ring.hpp>
#include <shm/sync.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto array =
      shm::Array::create(argv[1], *shm::Dtype::parse("float64"), {3, 4}, {.replace = true});
  if (!array) {
    std::cerr << shm::to_string(array.error()) << "\n";
    return 1;
  }
  auto sync = shm::Sync::open(argv[1]);
  if (!sync) return 1;
  {
    const auto held = sync->lock_exclusive();
    if (!held || held->owner_died()) return 1;
    const auto view = *array->view<double>();
    view(2, 3) = 5;
    const auto all = *view.elements();
    std::cout << std::accumulate(all.begin(), all.end(), 0.0) << " of " << view.size() << "\n";
    if (view.find(3, 0) != nullptr) return 1;
  }
  if (auto grown = array->resize(5); !grown) return 1;
  std::cout << array->layout().shape_text() << " libshm " << shm_version() << "\n";
  return 0;
}
