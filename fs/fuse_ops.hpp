// The operation table: decodes requests, calls the domain, replies.
//
// The only place that turns Results and exceptions into FUSE replies.
#pragma once

#include <fuse_lowlevel.h>

namespace arrayfs {

/// The operations of a session whose userdata is a Session.
[[nodiscard]] const fuse_lowlevel_ops& fuse_operations();

}  // namespace arrayfs
