#include "fuse_ops.hpp"

#include "session.hpp"

namespace arrayfs {
namespace {

void op_init(void* userdata, fuse_conn_info* connection) {
  const auto want = [&](unsigned capability) {
    connection->want |= connection->capable & capability;
  };
  want(FUSE_CAP_POSIX_ACL);
  want(FUSE_CAP_DONT_MASK);  // a default ACL takes the place of the umask, which only the store
                             // knows
  if (!static_cast<Session*>(userdata)->shows_links()) {
    want(FUSE_CAP_CACHE_SYMLINKS);  // links to the store follow renames, others never change
  }
  want(FUSE_CAP_EXPLICIT_INVAL_DATA);
  want(FUSE_CAP_SPLICE_MOVE);
  constexpr unsigned kUnwanted = FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE |
                                 FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_SPLICE_READ;
  connection->want &= ~kUnwanted;
  connection->time_gran = 1;
}

}  // namespace

const fuse_lowlevel_ops& fuse_operations() {
  static const fuse_lowlevel_ops operations = [] {
    fuse_lowlevel_ops ops{};
    ops.init = op_init;
    add_name_operations(ops);
    add_attribute_operations(ops);
    add_file_operations(ops);
    return ops;
  }();
  return operations;
}

}  // namespace arrayfs
