// Boost.Interprocess: its file mapping instead of mmap.
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <span>
#include <string>

namespace ipc = boost::interprocess;

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const ipc::file_mapping file(argv[1], ipc::read_write);
  const ipc::mapped_region region(file, ipc::read_write);

  // Bytes 8 and 9 say how long the header is that begins at byte 10.
  auto* bytes = static_cast<std::uint8_t*>(region.get_address());
  const std::size_t offset = 10U + bytes[8] + 256U * bytes[9];
  const std::span array(reinterpret_cast<double*>(bytes + offset),
                        (region.get_size() - offset) / sizeof(double));

  std::cout << std::setprecision(17) << std::accumulate(array.begin(), array.end(), 0.0) << "\n";
  array[std::stoul(argv[2])] = std::stod(argv[3]);
  return 0;
}
