// The operations on files of the control tree that are more than shown: those that wait, and those
// that make arrays.
#pragma once

#include <fuse_lowlevel.h>

#include "control_tree.hpp"

namespace arrayfs {

/// Each answers the request, whose node has such a role (ControlTree::role).
void open_live(fuse_req_t request, NodeId node, fuse_file_info info);
void create_live(fuse_req_t request, NodeId parent, const char* name, fuse_file_info info);
void read_live(fuse_req_t request, NodeId node, std::uint64_t handle, std::size_t size,
               off_t offset);
void write_live(fuse_req_t request, NodeId node, std::uint64_t handle, std::string_view text);
void poll_live(fuse_req_t request, NodeId node, std::uint64_t handle, bool tell_later);
void release_live(fuse_req_t request, NodeId node, std::uint64_t handle);

}  // namespace arrayfs
