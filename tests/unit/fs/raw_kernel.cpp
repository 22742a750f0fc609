#include "raw_kernel.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <vector>

#include "session.hpp"

namespace arrayfs {
namespace {

constexpr std::uint32_t kMaxInodes = 1U << 20;
constexpr int kSocketBytes = 8 << 20;  // replies of a megabyte are one message

// What READ, READDIR and READDIRPLUS ask for.
fuse_read_in range(std::uint64_t handle, std::uint64_t offset, std::uint32_t size) {
  fuse_read_in in{};
  in.fh = handle;
  in.offset = offset;
  in.size = size;
  return in;
}

}  // namespace

RawKernel::RawKernel(const MountConfig& config, std::uint64_t offer) : config_(config) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    throw std::runtime_error("socketpair");
  }
  socket_ = shm::posix::Fd(ends[0]);
  for (const int end : ends) {
    setsockopt(end, SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBytes, sizeof kSocketBytes);
  }
  server_ = std::thread([this, device = ends[1]] {
    auto store = Store::open(config_);
    if (!store) {
      served_ = tl::unexpected(store.error());
      ::close(device);
      return;
    }
    const shm::posix::Fd own(device);
    auto memory = must(StateMemory::create(kMaxInodes));
    Session session(config_, *store, memory);
    served_ = session.serve(device, [] {});
  });
  fuse_init_in init{};
  init.major = FUSE_KERNEL_VERSION;
  init.minor = 44;
  init.max_readahead = 131072;
  init.flags = static_cast<std::uint32_t>(offer);
  init.flags2 = static_cast<std::uint32_t>(offer >> 32);
  negotiated_ = call(FUSE_INIT, 0, wire(init)).as<fuse_init_out>();
}

RawKernel::~RawKernel() {
  static_cast<void>(finish());
  EXPECT_TRUE(ok(Store::discard(config_)));
}

shm::Result<void> RawKernel::finish() {
  socket_.reset();
  if (server_.joinable()) {
    server_.join();
  }
  return served_;
}

fuse_in_header RawKernel::header(std::uint32_t opcode, std::uint64_t node, size_t body_size,
                                 std::uint64_t unique, Requester who) {
  fuse_in_header header{};
  header.len = static_cast<std::uint32_t>(sizeof header + body_size);
  header.opcode = opcode;
  header.unique = unique;
  header.nodeid = node;
  header.uid = who.uid;
  header.gid = who.gid;
  header.pid = static_cast<std::uint32_t>(getpid());
  return header;
}

void RawKernel::send_raw(std::string_view bytes) const {
  if (::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("the session has hung up");
  }
}

std::uint64_t RawKernel::send(std::uint32_t opcode, std::uint64_t node, std::string_view body,
                              Requester who) {
  last_unique_ += 2;
  send_raw(wire(header(opcode, node, body.size(), last_unique_, who)).append(body));
  return last_unique_;
}

void RawKernel::receive() {
  std::vector<char> buffer(4U << 20);
  const ssize_t got = recv(socket_.get(), buffer.data(), buffer.size(), 0);
  fuse_out_header header{};
  if (got < static_cast<ssize_t>(sizeof header)) {
    throw std::runtime_error("the session has hung up");
  }
  std::memcpy(&header, buffer.data(), sizeof header);
  EXPECT_EQ(header.len, static_cast<std::uint32_t>(got));
  std::string body(buffer.data() + sizeof header, static_cast<size_t>(got) - sizeof header);
  if (header.unique == 0) {
    notifications_.emplace(header.error, std::move(body));
  } else {
    early_[header.unique] = {-header.error, std::move(body)};
  }
}

Reply RawKernel::wait_for(std::uint64_t unique) {
  while (!early_.contains(unique)) {
    receive();
  }
  return std::move(early_.extract(unique).mapped());
}

std::string RawKernel::wait_for_notification(int code) {
  while (!notifications_.contains(code)) {
    receive();
  }
  return notifications_.find(code)->second;
}

Reply RawKernel::call(std::uint32_t opcode, std::uint64_t node, std::string_view body,
                      Requester who) {
  return wait_for(send(opcode, node, body, who));
}

std::uint64_t RawKernel::walk(const std::string& path) {
  std::uint64_t node = kRoot;
  std::istringstream names(path);
  for (std::string name; std::getline(names, name, '/');) {
    const Reply found = lookup(node, name);
    EXPECT_EQ(found.error, 0) << path;
    node = found.as<fuse_entry_out>().nodeid;
  }
  return node;
}

void RawKernel::forget(std::uint64_t node, std::uint64_t count) {
  send(FUSE_FORGET, node, wire(fuse_forget_in{count}));
}

Reply RawKernel::rename(std::uint64_t parent, std::string_view name, std::uint64_t new_parent,
                        std::string_view new_name, std::uint32_t flags) {
  return call(FUSE_RENAME2, parent, wire(fuse_rename2_in{new_parent, flags, 0}, name, new_name));
}

Reply RawKernel::readdir(std::uint64_t node, std::uint64_t handle, std::uint32_t size,
                         std::uint64_t offset) {
  return call(FUSE_READDIR, node, wire(range(handle, offset, size)));
}

Reply RawKernel::readdirplus(std::uint64_t node, std::uint64_t handle, std::uint32_t size,
                             std::uint64_t offset) {
  return call(FUSE_READDIRPLUS, node, wire(range(handle, offset, size)));
}

Reply RawKernel::releasedir(std::uint64_t node, std::uint64_t handle) {
  fuse_release_in in{};
  in.fh = handle;
  return call(FUSE_RELEASEDIR, node, wire(in));
}

Reply RawKernel::setxattr(std::uint64_t node, std::string_view name, std::string_view value,
                          std::uint32_t flags) {
  // The short form of the request: FUSE_SETXATTR_EXT is not negotiated.
  struct {
    std::uint32_t size;
    std::uint32_t flags;
  } in{static_cast<std::uint32_t>(value.size()), flags};
  return call(FUSE_SETXATTR, node, wire(in, name).append(value));
}

Reply RawKernel::create(std::uint64_t parent, std::string_view name, int flags, std::uint32_t mode,
                        Requester who) {
  fuse_create_in in{};
  in.flags = static_cast<std::uint32_t>(flags | O_CREAT);
  in.mode = S_IFREG | mode;
  return call(FUSE_CREATE, parent, wire(in, name), who);
}

Reply RawKernel::open(std::uint64_t node, int flags) {
  fuse_open_in in{};
  in.flags = static_cast<std::uint32_t>(flags);
  return call(FUSE_OPEN, node, wire(in));
}

Reply RawKernel::write(std::uint64_t node, std::uint64_t handle, std::uint64_t offset,
                       std::string_view bytes, Requester who) {
  fuse_write_in in{};
  in.fh = handle;
  in.offset = offset;
  in.size = static_cast<std::uint32_t>(bytes.size());
  return call(FUSE_WRITE, node, wire(in).append(bytes), who);
}

Reply RawKernel::read(std::uint64_t node, std::uint64_t handle, std::uint64_t offset,
                      std::uint32_t size) {
  return call(FUSE_READ, node, wire(range(handle, offset, size)));
}

Reply RawKernel::release(std::uint64_t node, std::uint64_t handle, int flags) {
  fuse_release_in in{};
  in.fh = handle;
  in.flags = static_cast<std::uint32_t>(flags);
  return call(FUSE_RELEASE, node, wire(in));
}

std::string RawKernel::view(const std::string& path) {
  const std::uint64_t node = walk(path);
  const auto opened = open(node, O_RDONLY).as<fuse_open_out>();
  std::string text;
  for (;;) {
    const Reply part = read(node, opened.fh, text.size(), 65536);
    EXPECT_EQ(part.error, 0);
    if (part.body.empty()) {
      break;
    }
    text += part.body;
  }
  EXPECT_EQ(release(node, opened.fh, O_RDONLY).error, 0);
  return text;
}

std::uint64_t RawKernel::status(const std::string& key) {
  const std::string text = view(".arrayfs/status");
  const size_t at = text.find("\n" + key + ": ");
  EXPECT_NE(at, std::string::npos) << key << " in\n" << text;
  return at == std::string::npos ? 0 : std::stoull(text.substr(at + key.size() + 3));
}

}  // namespace arrayfs
