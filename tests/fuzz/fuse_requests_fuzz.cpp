// Raw FUSE requests to a session that serves a store of its own: every one is answered, none
// crashes or blocks it.
//
// The input is a sequence of messages. libfuse trusts the kernel in what the kernel itself checks:
// that a message holds the struct of its operation, that names end, and that lengths inside it fit.
// The messages are made so; all else is the input's. Names hold no slash here, so that a mistake in
// the code under test stays within the store.
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <shm/npy.hpp>
#include <string>
#include <thread>
#include <vector>

#include "fuzz_input.hpp"
#include "session.hpp"

namespace arrayfs {
namespace {

namespace stdfs = std::filesystem;
using fuzz::require;
using shm::posix::Fd;

constexpr std::uint64_t kStoreBytes = 1U << 20;
constexpr int kSocketBytes = 8 << 20;
constexpr int kPatienceMs = 20'000;
constexpr int kInterruptMs = 50;
constexpr int kMaxMessages = 48;
constexpr int kRunsOfASession = 500;
constexpr std::size_t kLeastBody = 128;  // more than the struct of any operation

template <typename... Parts>
std::string wire(const Parts&... parts) {
  std::string bytes;
  (bytes.append(reinterpret_cast<const char*>(&parts), sizeof parts), ...);
  return bytes;
}

template <typename Number>
void put(std::string& body, std::size_t at, Number value) {
  std::memcpy(body.data() + at, &value, sizeof value);
}
template <typename Number>
Number get(const std::string& body, std::size_t at) {
  Number value{};
  require(at + sizeof value <= body.size());
  std::memcpy(&value, body.data() + at, sizeof value);
  return value;
}

// As root the store is a tmpfs in /run/arrayfs: in a namespace of its own it goes with the process.
void hide_mounts() {
  if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0) {
    require(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
            mount("tmpfs", "/run", "tmpfs", 0, nullptr) == 0);
  }
}

MountConfig make_config() {
  MountConfig config;
  config.mountpoint = "/nothing/is/mounted/here";
  config.name = "fuzz-" + std::to_string(getpid());
  config.capacity_bytes = kStoreBytes;
  config.huge = "never";
  return config;
}

class Server {
 public:
  Server() : config_(make_config()) {
    int ends[2];
    require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    for (const int end : ends) {
      setsockopt(end, SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBytes, sizeof kSocketBytes);
    }
    socket_ = Fd(ends[0]);
    thread_ = std::thread([this, device = ends[1]] {
      const Fd own(device);
      auto store = Store::open(config_);
      auto memory = StateMemory::create(1U << 16);
      require(store && memory);
      Session session(config_, *store, *memory);
      static_cast<void>(session.serve(device, [] {}));
    });
    fuse_init_in init{};
    init.major = FUSE_KERNEL_VERSION;
    init.minor = FUSE_KERNEL_MINOR_VERSION;
    init.max_readahead = 131072;
    init.flags = FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
                 FUSE_DONT_MASK | FUSE_DO_READDIRPLUS | FUSE_POSIX_ACL | FUSE_MAX_PAGES |
                 FUSE_CACHE_SYMLINKS | FUSE_EXPLICIT_INVAL_DATA | FUSE_HANDLE_KILLPRIV_V2;
    send(FUSE_INIT, 0, wire(init));
    settle();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    socket_.reset();
    thread_.join();
    clear();
    static_cast<void>(Store::discard(config_));
  }

  // What the kernel would know.
  struct Handle {
    std::uint64_t node;
    std::uint64_t handle;
    std::uint32_t flags;
    bool directory;
  };
  std::vector<std::uint64_t> nodes;
  std::vector<Handle> handles;

  [[nodiscard]] std::string arrays() const { return Store::directory(config_) + "/arrays"; }

  void send(std::uint32_t opcode, std::uint64_t node, const std::string& body,
            std::uint32_t user = 0) {
    fuse_in_header header{};
    header.len = static_cast<std::uint32_t>(sizeof header + body.size());
    header.opcode = opcode;
    // As the kernel numbers them: an interrupt may be answered with EAGAIN, or not at all.
    header.unique = (last_unique_ += 2) | (opcode == FUSE_INTERRUPT ? 1 : 0);
    header.nodeid = node;
    header.uid = user;
    header.gid = user;
    header.pid = static_cast<std::uint32_t>(getpid());
    const std::string message = wire(header) + body;
    require(::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(message.size()));
    if (opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT) {
      asked_[header.unique] = {opcode, node, body};
    }
  }

  /// Waits until everything is answered; what waits for something to happen is interrupted.
  void settle() {
    int silent_ms = 0;
    while (!asked_.empty()) {
      pollfd readable{socket_.get(), POLLIN, 0};
      if (poll(&readable, 1, kInterruptMs) == 0) {
        silent_ms += kInterruptMs;
        require(silent_ms < kPatienceMs);
        interrupt_all();
        continue;
      }
      silent_ms = 0;
      const ssize_t got = recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
      require(got >= static_cast<ssize_t>(sizeof(fuse_out_header)));
      const std::string reply(buffer_.data(), static_cast<std::size_t>(got));
      const auto header = get<fuse_out_header>(reply, 0);
      require(header.len == reply.size());
      if (header.unique != 0 && (header.unique & 1) == 0) {
        take_reply(header, reply.substr(sizeof header));
      }
    }
  }

  /// Lets go of everything, as the kernel does in the end, and empties the store.
  void end_run() {
    for (const Handle& open : handles) {
      fuse_release_in in{};
      in.fh = open.handle;
      in.flags = open.flags;
      send(open.directory ? FUSE_RELEASEDIR : FUSE_RELEASE, open.node, wire(in));
    }
    handles.clear();
    for (const std::uint64_t node : nodes) {
      send(FUSE_FORGET, node, wire(fuse_forget_in{1}));
    }
    nodes.clear();
    send(FUSE_STATFS, FUSE_ROOT_ID, {});
    settle();
    clear();
  }

 private:
  struct Asked {
    std::uint32_t opcode;
    std::uint64_t node;
    std::string body;
  };

  void interrupt_all() {
    for (const auto& [unique, asked] : asked_) {
      send(FUSE_INTERRUPT, asked.node, wire(fuse_interrupt_in{unique}));
    }
  }

  void take_reply(const fuse_out_header& header, const std::string& body) {
    const auto at = asked_.find(header.unique);
    require(at != asked_.end() && header.error <= 0 && header.error > -1000);
    const Asked asked = std::move(at->second);
    asked_.erase(at);
    if (header.error != 0) {
      return;
    }
    switch (asked.opcode) {
      case FUSE_CREATE: {
        const auto entry = get<fuse_entry_out>(body, 0);
        nodes.push_back(entry.nodeid);
        handles.push_back({entry.nodeid, get<fuse_open_out>(body, sizeof entry).fh,
                           get<fuse_create_in>(asked.body, 0).flags, false});
        break;
      }
      case FUSE_LOOKUP:
      case FUSE_MKNOD:
      case FUSE_MKDIR:
      case FUSE_SYMLINK:
      case FUSE_LINK:
        nodes.push_back(get<fuse_entry_out>(body, 0).nodeid);
        break;
      case FUSE_OPEN:
      case FUSE_OPENDIR:
        handles.push_back({asked.node, get<fuse_open_out>(body, 0).fh,
                           get<fuse_open_in>(asked.body, 0).flags, asked.opcode == FUSE_OPENDIR});
        break;
      default:
        break;
    }
  }

  void clear() const {
    std::error_code ignored;
    for (const auto& entry : stdfs::directory_iterator(arrays(), ignored)) {
      stdfs::remove_all(entry.path(), ignored);
    }
  }

  MountConfig config_;
  Fd socket_;
  std::thread thread_;
  std::uint64_t last_unique_ = 0;
  std::map<std::uint64_t, Asked> asked_;
  std::vector<char> buffer_ = std::vector<char>(4U << 20);
};

void write_file(const std::string& path, const std::string& bytes) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  require(fd.valid() &&
          write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
}

// What every run finds: arrays, a raw file, a directory, a link; and the control tree.
void populate(Server& server) {
  static const std::string array = [] {
    const auto header = shm::npy_header(*shm::Dtype::parse("<f4"), {3, 4}, shm::Order::kC);
    return *header + std::string(48, '?');
  }();
  static const std::string structured = [] {
    const auto dtype = shm::Dtype::parse("[('a','<i4'),('b','S3'),('c','<M8[s]',(2,))]");
    return *shm::npy_header(*dtype, {2}, shm::Order::kC) + std::string(46, '\1');
  }();
  const std::string arrays = server.arrays();
  write_file(arrays + "/a.npy", array);
  write_file(arrays + "/r", "raw");
  mkdir((arrays + "/d").c_str(), 0777);
  write_file(arrays + "/d/s.npy", structured);
  require(symlink("a.npy", (arrays + "/l").c_str()) == 0);
  for (const char* name : {"a.npy", "d", "r", "l", ".arrayfs"}) {
    server.send(FUSE_LOOKUP, FUSE_ROOT_ID, std::string(name) + std::string(kLeastBody, '\0'));
    server.settle();
  }
}

// Where the struct of an operation begins with a handle, or has it further on.
std::size_t handle_at(std::uint32_t opcode) {
  switch (opcode) {
    case FUSE_GETATTR:
    case FUSE_SETATTR:
      return 8;
    default:
      return 0;
  }
}

bool has_handle(std::uint32_t opcode) {
  constexpr std::uint32_t kWithHandle[] = {
      FUSE_GETATTR,  FUSE_SETATTR, FUSE_READ,      FUSE_WRITE,       FUSE_RELEASE,
      FUSE_FSYNC,    FUSE_FLUSH,   FUSE_READDIR,   FUSE_READDIRPLUS, FUSE_RELEASEDIR,
      FUSE_FSYNCDIR, FUSE_IOCTL,   FUSE_FALLOCATE, FUSE_LSEEK,       FUSE_COPY_FILE_RANGE,
      FUSE_GETLK,    FUSE_SETLK,   FUSE_POLL};
  return std::ranges::count(kWithHandle, opcode) != 0;
}

// Whether a message of this number is one that the kernel sends to a session under way.
bool is_sent(std::uint32_t opcode) {
  return opcode != FUSE_INIT && opcode != FUSE_DESTROY && opcode != FUSE_NOTIFY_REPLY &&
         opcode != FUSE_SETLKW;
}

// Lengths inside a message, as the kernel makes them fit.
void fit(std::uint32_t opcode, std::string& body, std::size_t given_bytes) {
  const std::size_t trailing = given_bytes;
  if (opcode == FUSE_SETXATTR) {
    const std::size_t name = body.find('\0', FUSE_COMPAT_SETXATTR_IN_SIZE);
    const std::size_t room = body.size() - std::min(body.size(), name + 1);
    put(body, 0,
        static_cast<std::uint32_t>(std::min<std::size_t>(get<std::uint32_t>(body, 0), room)));
  } else if (opcode == FUSE_BATCH_FORGET) {
    const std::size_t room = (body.size() - sizeof(fuse_batch_forget_in)) / sizeof(fuse_forget_one);
    put(body, 0,
        static_cast<std::uint32_t>(std::min<std::size_t>(get<std::uint32_t>(body, 0), room)));
  } else if (opcode == FUSE_WRITE) {
    const std::size_t data =
        trailing > sizeof(fuse_write_in) ? trailing - sizeof(fuse_write_in) : std::size_t{0};
    body.resize(sizeof(fuse_write_in) + data);
    put(body, offsetof(fuse_write_in, size), static_cast<std::uint32_t>(data));
  }
}

void send_one(Server& server, fuzz::Input& input) {
  const std::uint32_t opcode = input.take<std::uint8_t>() % 54;
  const auto where = input.take<std::uint8_t>();
  const auto user = input.take<std::uint8_t>();
  std::string body(input.take_bytes(input.take<std::uint16_t>() % 1024));
  if (!is_sent(opcode)) {
    return;
  }
  const std::size_t given_bytes = body.size();
  std::ranges::replace(body, '/', '_');
  body.append(std::max(kLeastBody, given_bytes + 4) - given_bytes, '\0');

  // Nodes and handles that the session gave, if there are, else numbers that it never gave.
  const auto known_node = [&](std::uint64_t number) {
    return number < server.nodes.size() ? server.nodes[number] : number;
  };
  std::uint64_t node = where == 0xFF ? FUSE_ROOT_ID : known_node(where);
  if (has_handle(opcode)) {
    const auto number = get<std::uint64_t>(body, handle_at(opcode));
    if (number < server.handles.size()) {
      const Server::Handle& open = server.handles[number];
      put(body, handle_at(opcode), open.handle);
      node = where < 0xF0 ? open.node : node;
    }
  }
  switch (opcode) {
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_LINK:
      if (const auto other = get<std::uint64_t>(body, 0); other != FUSE_ROOT_ID) {
        put(body, 0, known_node(other));
      }
      break;
    case FUSE_COPY_FILE_RANGE:
      put(body, 16, known_node(get<std::uint64_t>(body, 16)));
      if (const auto to = get<std::uint64_t>(body, 24); to < server.handles.size()) {
        put(body, 16, server.handles[to].node);
        put(body, 24, server.handles[to].handle);
      }
      break;
    default:
      break;
  }
  fit(opcode, body, given_bytes);
  server.send(opcode, node, body, user < 0xC0 ? 0 : 1000U + user);
  if ((user & 1) == 0) {
    server.settle();  // else the next one is sent before the answer
  }
}

void play(const std::uint8_t* data, std::size_t size) {
  static const bool prepared = [] {
    spdlog::set_level(spdlog::level::off);
    hide_mounts();
    return true;
  }();
  static_cast<void>(prepared);
  static std::unique_ptr<Server> serving;  // ends before the log, which is older
  static int runs = 0;
  if (runs++ % kRunsOfASession == 0) {
    serving.reset();
    serving = std::make_unique<Server>();
  }
  Server& server = *serving;
  populate(server);
  fuzz::Input input(data, size);
  for (int i = 0; i < kMaxMessages && !input.empty(); ++i) {
    send_one(server, input);
  }
  server.settle();
  server.end_run();
}

}  // namespace
}  // namespace arrayfs

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  arrayfs::play(data, size);
  return 0;
}
