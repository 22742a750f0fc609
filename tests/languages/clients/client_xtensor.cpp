// xtensor: an adaptor over the mapped elements, with NumPy's operations.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <string>
#include <xtensor/xadapt.hpp>
#include <xtensor/xmath.hpp>

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int fd = open(argv[1], O_RDWR);
  struct stat st {};
  if (fd < 0 || fstat(fd, &st) != 0) return 1;
  const auto size = static_cast<std::size_t>(st.st_size);
  void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) return 1;
  close(fd);

  // Bytes 8 and 9 say how long the header is that begins at byte 10.
  auto* bytes = static_cast<std::uint8_t*>(mapped);
  const std::size_t offset = 10U + bytes[8] + 256U * bytes[9];
  const std::array<std::size_t, 1> shape = {(size - offset) / sizeof(double)};
  auto array =
      xt::adapt(reinterpret_cast<double*>(bytes + offset), shape[0], xt::no_ownership(), shape);

  std::cout << std::setprecision(17) << xt::sum(array)() << "\n";
  array(std::stoul(argv[2])) = std::stod(argv[3]);
  return 0;
}
