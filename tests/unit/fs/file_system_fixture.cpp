#include "file_system_fixture.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <utility>

namespace arrayfs {

INSTANTIATE_TEST_SUITE_P(Planes, FileSystemTest,
                         testing::Values(Plane::kCached, Plane::kPassthrough),
                         [](const auto& plane) {
                           return plane.param == Plane::kCached ? "Cached" : "Passthrough";
                         });

FileSystemTest::FileSystemTest() : memory_(new_memory()) {
  files_.emplace(make());
}

StateMemory FileSystemTest::new_memory() {
  return must(StateMemory::create(1U << 16));
}

FileSystem FileSystemTest::make() {
  ServeOptions options;
  if (is_passthrough()) {
    options.backing = count_backing();
  }
  options.device = store_.device();
  options.lifetime_set = [this](const shm::posix::Fd&) { ++lifetimes_set_; };
  return must(FileSystem::create(store_.get(), memory_, std::move(options)));
}

Backing FileSystemTest::count_backing() {
  return {[this](int fd) -> shm::Result<std::int32_t> {
            if (refuse_backing_ || fd < 0) {
              return shm::fail(EPERM);
            }
            registered_.insert(++last_id_);
            return last_id_;
          },
          [this](std::int32_t id) { registered_.erase(id); }};
}

void FileSystemTest::restart_without_state() {
  files_.reset();
  memory_ = new_memory();
  files_.emplace(make());
}

Caller FileSystemTest::another_process() {
  Caller other = self();
  ++other.pid;
  return other;
}

Caller FileSystemTest::another_user() {
  Caller other = self();
  other.uid = 4711;
  return other;
}

NodeId FileSystemTest::enter(const std::string& name, std::string_view bytes) {
  store_.write(name, bytes);
  return must(files().lookup(kRootNode, name.c_str())).node;
}

NodeId FileSystemTest::enter_array(const std::string& name) {
  return enter(name, npy_bytes("<f8", {64}, std::string(512, 'd')));
}

shm::posix::Mapping FileSystemTest::map(const std::string& name, int prot) const {
  const int flags = prot == PROT_READ ? O_RDONLY : O_RDWR;
  return must(shm::posix::Mapping::map(store_.open(name, flags).get(), 0, 640, prot, MAP_SHARED));
}

void FileSystemTest::open_and_close(NodeId node, int flags) {
  const OpenFile file = must(open(node, flags));
  files().release(node, file.handle, flags);
}

NodeId FileSystemTest::look_again(const std::string& name) {
  must(files().prepare_second_lookup(kRootNode, name.c_str(), self()));
  return must(files().lookup(kRootNode, name.c_str())).node;
}

shm::Result<struct stat> FileSystemTest::resize(NodeId node, std::uint64_t size,
                                                std::optional<std::uint64_t> handle) {
  AttrChange change;
  change.size = size;
  return files().set_attributes(node, change, handle);
}

}  // namespace arrayfs
