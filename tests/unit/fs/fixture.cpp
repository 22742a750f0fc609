#include "fixture.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>

namespace arrayfs {
namespace {

namespace stdfs = std::filesystem;
using shm::posix::Fd;

// Stores of this process.
std::string name_prefix() {
  return "fs-tests-" + std::to_string(getpid()) + "-";
}

class NothingStaysMounted final : public testing::Environment {
 public:
  void SetUp() override { spdlog::set_level(spdlog::level::off); }
  void TearDown() override {
    const auto mounts = shm::posix::read_file("/proc/self/mounts", 4U << 20);
    ASSERT_TRUE(ok(mounts));
    EXPECT_EQ(mounts->find(name_prefix()), std::string::npos) << *mounts;
  }
};

[[maybe_unused]] const testing::Environment* const kNothingStaysMounted =
    testing::AddGlobalTestEnvironment(new NothingStaysMounted);

}  // namespace

MountConfig unique_config(std::uint64_t capacity_bytes) {
  static std::atomic<int> count{0};
  MountConfig config;
  config.mountpoint = "/nothing/is/mounted/here";
  config.name = name_prefix() + std::to_string(++count);
  config.capacity_bytes = capacity_bytes;
  return config;
}

TestStore::TestStore(MountConfig config) : config_(std::move(config)) {
  reopen();
}

TestStore::~TestStore() {
  close();
  EXPECT_TRUE(ok(Store::discard(config_)));
}

void TestStore::write(const std::string& name, std::string_view bytes, mode_t mode) const {
  const auto fd =
      must(shm::posix::open_at(get().root_fd(), name, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  must(shm::posix::pwrite_full(fd.get(), std::as_bytes(std::span(bytes)), 0));
  EXPECT_EQ(fchmod(fd.get(), mode), 0);
}

std::string TestStore::read(const std::string& name) const {
  const Fd fd = open(name, O_RDONLY);
  std::string bytes(static_cast<size_t>(must(shm::posix::stat_fd(fd.get())).st_size), '\0');
  must(shm::posix::pread_full(fd.get(), std::as_writable_bytes(std::span(bytes)), 0));
  return bytes;
}

bool TestStore::exists(const std::string& name) const {
  return shm::posix::stat_at(get().root_fd(), name, AT_SYMLINK_NOFOLLOW).has_value();
}

Fd TestStore::open(const std::string& name, int flags) const {
  return must(shm::posix::open_at(get().root_fd(), name, flags, 0600));
}

struct stat TestStore::stat(const std::string& name) const {
  return must(shm::posix::stat_at(get().root_fd(), name, AT_SYMLINK_NOFOLLOW));
}

std::string TestStore::device() const {
  const dev_t device = must(shm::posix::stat_fd(get().root_fd())).st_dev;
  char text[32];
  snprintf(text, sizeof text, "%02x:%02x", major(device), minor(device));
  return text;
}

std::string npy_bytes(const std::string& dtype, const shm::Shape& shape, std::string_view data,
                      shm::Order order) {
  const shm::Dtype type = must(shm::Dtype::parse(dtype));
  std::string bytes = must(shm::npy_header(type, shape, order));
  const std::uint64_t nbytes = shm::Layout{type, shape, order, bytes.size()}.nbytes();
  bytes += data;
  bytes.append(nbytes - data.size(), '\0');
  return bytes;
}

void make_sparse_array(int dir_fd, const std::string& name, const std::string& dtype,
                       const shm::Shape& shape) {
  const shm::Dtype type = must(shm::Dtype::parse(dtype));
  const std::string header = must(shm::npy_header(type, shape, shm::Order::kC));
  const Fd fd = must(shm::posix::open_at(dir_fd, name, O_RDWR | O_CREAT | O_EXCL, 0644));
  must(shm::posix::pwrite_full(fd.get(), std::as_bytes(std::span(header)), 0));
  const shm::Layout layout{type, shape, shm::Order::kC, header.size()};
  if (ftruncate(fd.get(), static_cast<off_t>(header.size() + layout.nbytes())) != 0) {
    throw std::runtime_error("ftruncate");
  }
}

ScratchDirectory::ScratchDirectory() : path_(testing::TempDir() + "arrayfs-fs-XXXXXX") {
  if (mkdtemp(path_.data()) == nullptr) {
    throw std::runtime_error("mkdtemp " + path_);
  }
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  stdfs::remove_all(path_, ignored);
}

IdleProcess::IdleProcess() : pid_(fork()) {
  if (pid_ == 0) {
    for (;;) {
      pause();
    }
  }
}

void IdleProcess::end() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
}

size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : stdfs::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count - 1;  // that of the listing itself
}

bool is_root() {
  return geteuid() == 0;
}

}  // namespace arrayfs
