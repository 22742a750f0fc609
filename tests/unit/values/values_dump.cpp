// Prints the text of arrays for compare_with_numpy.py.
//
// Standard input: a job a line, seven fields separated by tabs: path, dtype (empty: the file's
// own), slice, threshold, edge items, line width, precision. Standard output, for each job: `ok
// BYTES`, newline, the text, newline; or `error ERRNO REASON`, newline.
#include <cerrno>
#include <iostream>
#include <shm/array.hpp>
#include <string>
#include <vector>

#include "values/array_text.hpp"
#include "values/slice.hpp"

namespace {

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields(1);
  for (const char character : line) {
    if (character == '\t') {
      fields.emplace_back();
    } else {
      fields.back() += character;
    }
  }
  return fields;
}

shm::Result<std::string> text_of(const std::vector<std::string>& job) {
  if (job.size() != 7) {
    return shm::fail(EINVAL, "a job has seven fields");
  }
  const auto array = shm::Array::open(job[0]);
  if (!array) {
    return tl::unexpected(array.error());
  }
  shm::Layout layout = array->layout();
  if (!job[1].empty()) {
    const auto dtype = shm::Dtype::parse(job[1]);
    if (!dtype) {
      return tl::unexpected(dtype.error());
    }
    layout.dtype = *dtype;
  }
  arrayfs::TextOptions options;
  options.threshold = std::stoull(job[3]);
  options.edge_items = std::stoull(job[4]);
  options.line_width = std::stoll(job[5]);
  options.precision = std::stoi(job[6]);
  const auto whole = arrayfs::view_of(layout, array->bytes());
  const auto part = whole ? arrayfs::slice(*whole, job[2]) : whole;
  return part ? arrayfs::array_text(*part, options) : tl::unexpected(part.error());
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto text = text_of(split(line));
    if (text) {
      std::cout << "ok " << text->size() << '\n' << *text << '\n';
    } else {
      std::cout << "error " << text.error().code << ' ' << text.error().context << '\n';
    }
  }
  return 0;
}
