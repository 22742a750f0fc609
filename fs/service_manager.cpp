#include "service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "kept_fds.hpp"

namespace arrayfs {

using shm::Result;

Result<ServiceManager> ServiceManager::connect(State& state) {
  ServiceManager manager;
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) {
    return manager;
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length < 2 || length >= sizeof address.sun_path || (*path != '/' && *path != '@')) {
    return shm::fail(EINVAL, std::string("NOTIFY_SOCKET=") + path);
  }
  std::memcpy(address.sun_path, path, length);
  if (*path == '@') {
    address.sun_path[0] = '\0';  // in the abstract name space
  }
  shm::posix::Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (!socket.valid() ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    return shm::posix::fail_errno(std::string("NOTIFY_SOCKET=") + path);
  }
  manager.socket_ = std::move(socket);
  manager.keep(state, true);
  return manager;
}

void ServiceManager::keep(State& state, bool kept) const {
  if (socket_.valid()) {
    kept ? KeptFds::keep_mount(state, socket_.get()) : KeptFds::let_go(state, socket_.get());
  }
}

void ServiceManager::tell(std::string_view message) const {
  if (socket_.valid()) {
    send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

}  // namespace arrayfs
