// C++: mmap, and a std::span over the elements.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

// The elements of a float64 array, mapped for as long as the process lives.
std::span<double> map_array(const char* path) {
  const auto failed = [path] { return std::system_error(errno, std::system_category(), path); };
  const int fd = open(path, O_RDWR);
  struct stat st {};
  if (fd < 0 || fstat(fd, &st) != 0) throw failed();
  const auto size = static_cast<std::size_t>(st.st_size);
  void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) throw failed();
  close(fd);  // the mapping needs no descriptor

  auto* bytes = static_cast<std::uint8_t*>(mapped);
  if (size < 128 || std::string_view(static_cast<char*>(mapped), 7) != "\x93NUMPY\x01") {
    throw std::runtime_error("no .npy file of version 1");
  }
  // Bytes 8 and 9 say how long the header is that begins at byte 10.
  const std::size_t offset = 10U + bytes[8] + 256U * bytes[9];
  return {reinterpret_cast<double*>(bytes + offset), (size - offset) / sizeof(double)};
}

int main(int argc, char** argv) try {
  if (argc != 4) throw std::invalid_argument("usage: client PATH INDEX VALUE");
  const std::span<double> array = map_array(argv[1]);
  std::cout << std::setprecision(17) << std::accumulate(array.begin(), array.end(), 0.0) << "\n";
  array[std::stoul(argv[2])] = std::stod(argv[3]);
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
