// State memory as a server may leave it that died in the middle of a change, or wrote where it
// should not have: a successor refuses it, or mends it and works with it.
//
// Each run makes a real state with nodes, opens and a request at hand, overwrites words of it as
// the input says, and takes it over. Descriptors older than the run are the process's own: what the
// memory says of them is left alone.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "fuzz_input.hpp"
#include "inode_table.hpp"
#include "kernel_protocol.hpp"
#include "mount_config.hpp"
#include "second_lookups.hpp"

namespace arrayfs {
namespace {

using fuzz::require;
using shm::posix::Fd;

constexpr std::uint32_t kSlots = 24;
constexpr int kFiles = 6;
constexpr unsigned kRunFds = 64;

// A directory with some files in it, which are gone when the process is.
class Files {
 public:
  Files() {
    char path[] = "/dev/shm/arrayfs-fuzz-XXXXXX";
    require(mkdtemp(path) != nullptr);
    root_ = Fd(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    path_ = path;
    for (int i = 0; i < kFiles; ++i) {
      require(Fd(openat(root_.get(), name(i).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)).valid());
    }
  }
  ~Files() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  [[nodiscard]] int root() const { return root_.get(); }
  [[nodiscard]] static std::string name(int i) {
    return std::string(1, static_cast<char>('a' + i));
  }

  void intern(InodeTable& table, int i) const {
    Fd fd(openat(root(), name(i).c_str(), O_PATH | O_CLOEXEC));
    struct stat st {};
    require(fd.valid() && fstat(fd.get(), &st) == 0);
    static_cast<void>(table.intern(std::move(fd), st));
  }

 private:
  std::string path_;
  Fd root_;
};

// A server at work, its life ended before that of its table: the descriptors stay.
struct Server {
  explicit Server(StateMemory taken, int root)
      : memory(std::move(taken)), journal(memory), kept(memory, journal) {
    static_cast<void>(journal.recover());
    auto made = InodeTable::create(memory, journal, kept, root, [](std::int32_t) {});
    if (made) {
      table = std::make_unique<InodeTable>(std::move(*made));
    }
  }
  StateMemory memory;
  Journal journal;
  KeptFds kept;
  std::unique_ptr<InodeTable> table;  ///< null: the state was refused
};

void work(Server& server, const Files& files, fuzz::Input& input) {
  InodeTable& table = *server.table;
  const auto count = input.take<std::uint8_t>() % 16;
  for (int i = 0; i < count; ++i) {
    const auto what = input.take<std::uint8_t>();
    const NodeId node = what >> 4;
    switch (what % 10) {
      case 0:
      case 1:
        files.intern(table, static_cast<int>(node % kFiles));
        break;
      case 2:
        table.opened(node, node % 2 != 0);
        break;
      case 3:
        table.released(node, node % 2 != 0);
        break;
      case 4:
        table.forget(node, 1);
        break;
      case 5:
        table.looked_up_for_view(node);
        break;
      case 6:
        static_cast<void>(server.kept.keep(
            Fd(openat(files.root(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), FdUse::kDirectory));
        break;
      case 7:
        server.journal.begin(node + 1);
        break;
      case 8:
        server.journal.intend({node, node + 1});
        break;
      default:
        server.journal.end();
        break;
    }
  }
}

// Overwrites 64-bit words; what it says of this process's own descriptors stays.
void damage(const StateMemory& memory, unsigned first_fd, fuzz::Input& input) {
  State& state = memory.state();
  auto* const start = reinterpret_cast<std::byte*>(&state);
  struct Region {
    std::size_t at;
    std::size_t bytes;
  };
  const Region regions[] = {
      {0, offsetof(State, config) + 64},
      {offsetof(State, supervision), offsetof(State, init) - offsetof(State, supervision) + 64},
      {offsetof(State, started_at), offsetof(State, journal) - offsetof(State, started_at)},
      {offsetof(State, journal), 32 * sizeof(JournalEntry)},
      {offsetof(State, fd_stamp), 8},
      {offsetof(State, fds) + first_fd * sizeof(FdRecord), kRunFds * sizeof(FdRecord)},
      {offsetof(State, request), 128},
      {sizeof(State), (kSlots + 1) * sizeof(Inode)},
  };
  while (!input.empty()) {
    const auto what = input.take<std::uint8_t>();
    const Region& region = regions[what % std::size(regions)];
    const std::size_t at = region.at + input.take<std::uint16_t>() * 4UL % (region.bytes - 7);
    if (what < 0x80) {
      const auto value = input.take<std::uint64_t>();
      std::memcpy(start + at, &value, sizeof value);
    } else {
      const auto value = input.take<std::uint16_t>();  // small numbers, one half of a word
      const auto word = static_cast<std::uint32_t>(static_cast<std::int16_t>(value));
      std::memcpy(start + at, &word, sizeof word);
    }
  }
}

void take_over(Server& server, const Files& files, bool comes_again) {
  State& state = server.memory.state();
  InodeTable& table = *server.table;
  server.journal.resolve(comes_again, server.kept);
  table.settle({state.intent.source_ino, state.intent.target_ino});
  static_cast<void>(config_from_json(std::string_view(state.config, state.config_bytes)));
  const auto message = KernelProtocol::message_in(state.request);
  static_cast<void>(KernelProtocol::header_of(message));
  table.each_nameless([](const Inode&) {});

  SecondLookups lookups(state);
  for (const pid_t thread : {0, 1, getpid()}) {
    static_cast<void>(lookups.find(thread));
    static_cast<void>(lookups.kept_for_another(1, thread));
  }
  struct stat st {};
  lookups.renamed(1, "a");
  lookups.expect(1, st, "a");
  lookups.done(1);

  server.journal.begin(77);
  for (NodeId node = 0; node <= kSlots + 1; ++node) {
    static_cast<void>(table.fd(node));
    table.opened(node, true);
    table.looked_up_for_view(node);
    table.forget_view(node, 1);
  }
  for (int i = 0; i < kFiles; ++i) {
    files.intern(table, i);
  }
  for (NodeId node = 0; node <= kSlots + 1; ++node) {
    table.released(node, true);
    table.forget(node, UINT64_MAX);
  }
  require(table.find(kRootNode).has_value());
  std::uint64_t nodes = 0;
  for (NodeId node = 1; node <= kSlots; ++node) {
    nodes += table.find(node) ? 1U : 0U;
  }
  require(nodes == state.nodes);
  server.journal.end();
}

void play(const std::uint8_t* data, std::size_t size) {
  static const Files files;
  fuzz::Input input(data, size);
  const Fd first(fcntl(files.root(), F_DUPFD_CLOEXEC, 3));
  auto memory = StateMemory::create(kSlots);
  require(memory.has_value());
  Fd again(fcntl(memory->fd(), F_DUPFD_CLOEXEC, 3));
  const auto first_fd = static_cast<unsigned>(again.get()) + 1;

  auto before = std::make_unique<Server>(std::move(*memory), files.root());
  require(before->table != nullptr);
  const bool comes_again = (input.take<std::uint8_t>() & 1) != 0;
  work(*before, files, input);
  damage(before->memory, first_fd, input);

  if (auto adopted = StateMemory::adopt(std::move(again))) {
    Server after(std::move(*adopted), files.root());
    if (after.table) {
      take_over(after, files, comes_again);
    }
  }
  before->memory.state().used_slots = 0;  // what it had open is not its own any more
  before.reset();
  close_range(first_fd, first_fd + 4 * kRunFds, 0);
}

}  // namespace

}  // namespace arrayfs

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  arrayfs::play(data, size);
  return 0;
}
