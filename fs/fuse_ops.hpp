// The operation table: decodes requests, calls the domain, replies (fuse_reply.hpp).
#pragma once

#include <fuse_lowlevel.h>

namespace arrayfs {

/// The operations of a session whose userdata is a Session.
[[nodiscard]] const fuse_lowlevel_ops& fuse_operations();

// Its parts, a file each.
void add_name_operations(fuse_lowlevel_ops& ops);
void add_attribute_operations(fuse_lowlevel_ops& ops);
void add_file_operations(fuse_lowlevel_ops& ops);

}  // namespace arrayfs
