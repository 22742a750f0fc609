// Fills a ring of images in place: image N has the bytes N % 251. Starts at argv[2], ends before
// argv[3]; writes the number of each image to stdout as a line when it is published.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <shm/ring.hpp>

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto ring = shm::Ring::open(argv[1]);
  if (!ring) {
    std::fprintf(stderr, "%s\n", shm::to_string(ring.error()).c_str());
    return 1;
  }
  for (int image = std::atoi(argv[2]); image < std::atoi(argv[3]); ++image) {
    auto slot = ring->reserve();
    if (!slot) return 1;
    std::ranges::fill(slot->bytes(), static_cast<std::byte>(image % 251));
    // The number, where the consumer finds it: in the first four bytes.
    std::memcpy(slot->bytes().data(), &image, sizeof image);
    if (!slot->finish()) return 1;
    std::printf("%d\n", image);
    std::fflush(stdout);
  }
  return 0;
}
