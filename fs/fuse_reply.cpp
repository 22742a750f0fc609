#include "fuse_reply.hpp"

#include <fmt/format.h>

#include <cstring>

#include "log.hpp"

namespace arrayfs {

Session& session_of(fuse_req_t request) {
  return *static_cast<Session*>(fuse_req_userdata(request));
}
FileSystem& files_of(fuse_req_t request) {
  return session_of(request).files();
}
ControlTree& control_of(fuse_req_t request) {
  return session_of(request).control();
}

Caller caller_of(fuse_req_t request) {
  const fuse_ctx& context = *fuse_req_ctx(request);
  return {context.uid, context.gid, context.pid, context.umask};
}

void refuse(fuse_req_t request, const shm::Error& error) {
  if (!error.context.empty() && spdlog::should_log(spdlog::level::debug)) {
    const pid_t pid = caller_of(request).pid;
    log_line(spdlog::level::debug,
             fmt::format("refused to process {}: {}", pid, shm::to_string(error)),
             {.pid = pid, .code = error.code});
  }
  fuse_reply_err(request, error.code);
}

double attr_timeout(Session& session, NodeId node) {
  if (ControlTree::owns(node)) {
    const double for_open = ControlTree::is_sized_late(node) ? 0 : kViewTimeout;
    return ControlTree::is_fixed(node) ? kFixedTimeout : for_open;
  }
  if (session.files().links()) {
    return 0;
  }
  const auto inode = session.files().find(node);
  const bool quiet = inode && (*inode)->writers() == 0 && session.files().store().is_private();
  return quiet ? kTimeout : kTimeoutUnderWriters;
}

fuse_entry_param entry_param(Session& session, const Entry& entry) {
  fuse_entry_param param{};
  param.ino = entry.node;
  param.generation = entry.generation;
  param.attr = entry.attr;
  // On the link plane a file becomes an array without the daemon's doing: nothing is kept. The page
  // of an array may be another one next time.
  const bool fleeting = session.files().links() || session.files().is_sync_page(entry.node);
  if (ControlTree::owns(entry.node)) {
    param.entry_timeout = ControlTree::is_fixed(entry.node) ? kFixedTimeout : 0;
  } else {
    param.entry_timeout = fleeting ? 0 : kTimeout;
  }
  param.attr_timeout = attr_timeout(session, entry.node);
  return param;
}

void forget(Session& session, NodeId node, std::uint64_t count) {
  if (ControlTree::owns(node)) {
    session.control().forget(node, count);
  } else {
    session.files().forget(node, count);
  }
}

bool reply_entry(fuse_req_t request, const Entry& entry) {
  Session& session = session_of(request);
  const fuse_entry_param param = entry_param(session, entry);
  const bool taken = fuse_reply_entry(request, &param) != -ENOENT;
  if (!taken) {
    forget(session, entry.node, 1);
  }
  return taken;
}

void reply_attr(fuse_req_t request, NodeId node, const struct stat& st) {
  fuse_reply_attr(request, &st, attr_timeout(session_of(request), node));
}

bool is_control_root(NodeId parent, const char* name) {
  return parent == kRootNode && std::strcmp(name, ControlTree::kName) == 0;
}

bool is_path(const char* name) {
  return std::strchr(name, '/') != nullptr;
}

bool refuse_name(fuse_req_t request, NodeId parent, const char* name) {
  if (ControlTree::owns(parent) || is_control_root(parent, name)) {
    fuse_reply_err(request, EPERM);
    return true;
  }
  if (is_path(name)) {
    fuse_reply_err(request, EINVAL);
    return true;
  }
  return false;
}

}  // namespace arrayfs
