// What is told to the service manager that started the daemon, by the protocol of sd_notify(3).
//
// One socket, connected at the start: the supervisor opens and allocates nothing while it runs, and
// its servers, which share its table of descriptors, use the same one. An object without a socket
// says nothing. Any process, any thread.
#pragma once

#include <shm/posix.hpp>
#include <string_view>

#include "state_memory.hpp"

namespace arrayfs {

class ServiceManager {
 public:
  ServiceManager() = default;
  /// Connects to $NOTIFY_SOCKET, if there is one, and keeps the socket for servers to come.
  /// Errors: EINVAL, those of connect(2).
  [[nodiscard]] static shm::Result<ServiceManager> connect(State& state);

  /// Says that the mount can be used.
  void ready() const { tell("READY=1"); }
  /// Says that the daemon lives; to be called more often than every few seconds.
  void alive() const { tell("WATCHDOG=1"); }
  void stopping() const { tell("STOPPING=1"); }
  /// Whether the socket is kept for servers; a program that takes over connects by itself.
  void keep(State& state, bool kept) const;

 private:
  void tell(std::string_view message) const;

  shm::posix::Fd socket_;
};

}  // namespace arrayfs
