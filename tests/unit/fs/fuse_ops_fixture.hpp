// What the tests of the operation table share: a session without a mount, driven by requests as the
// kernel writes them, and files and directories made by such requests.
//
// The plane is cached: a socket is no device that backing files could be registered with.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "raw_kernel.hpp"

namespace arrayfs {

inline constexpr std::uint64_t kNoHandle = 1'000'000;  ///< no test opens so many

class FuseOps : public testing::Test {
 protected:
  struct Opened {
    std::uint64_t node = 0;
    std::uint64_t handle = 0;
  };

  /// A file with `bytes`, open for reading and writing.
  Opened create(std::string_view name, std::string_view bytes = {});
  /// The node of a file with `bytes` that is not open.
  std::uint64_t create_closed(std::string_view name, std::string_view bytes = {});
  std::uint64_t make_directory(std::uint64_t parent, std::string_view name);
  std::uint64_t open_directory(std::uint64_t node);
  /// The entries of a directory by name, with their node ids (0: none) when `plus`; `size` bytes a
  /// request.
  std::map<std::string, std::uint64_t> list(std::uint64_t node, bool plus, std::uint32_t size);

  fuse_attr attr(std::uint64_t node) { return kernel_.getattr(node).as<fuse_attr_out>().attr; }
  Reply set_size(std::uint64_t node, std::uint64_t size);
  Reply set_mode(std::uint64_t node, std::uint32_t mode);

  RawKernel kernel_;
};

}  // namespace arrayfs
