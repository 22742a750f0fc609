// The process that stays: it holds the device and the state memory and replaces servers that end.
//
// All servers share its table of descriptors, so that nothing is closed when one of them dies. It
// does little and knows nothing of files: it waits for signals, looks once a second whether the
// server is stuck, allocates nothing once it runs, and has no descriptor inside the mount.
// One object, in a process of one thread.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>

#include "service_manager.hpp"
#include "state_memory.hpp"

namespace arrayfs {

class Supervisor {
 public:
  /// The references must outlive this object.
  Supervisor(StateMemory& memory, const ServiceManager& manager)
      : memory_(memory), state_(memory.state()), manager_(manager) {}

  /// What ended the mount, or its beginning.
  enum class End {
    kUnmounted,  ///< the server saw the mount go
    kStopped,    ///< a signal asked for it
    kFailed      ///< the server never came to serve, or cannot be replaced
  };

  /// Starts servers, each of which is a process that calls `serve` and ends with what it returns: 0
  /// when the mount is gone. Asked to stop, it lets another process call `unmount`, which may need
  /// the server to write back what is cached. Returns when there is nothing more to serve.
  [[nodiscard]] End run(const std::function<int()>& serve, const std::function<void()>& unmount);

  /// Signals that run() waits for, blocked before the first server is started.
  static constexpr int kUpgradeSignal = 12;  // SIGUSR2, from `arrayfs upgrade`

 private:
  void start(const std::function<int()>& serve);
  [[nodiscard]] bool ended(int& status) const;
  [[nodiscard]] bool is_stuck() const;
  [[nodiscard]] bool is_dying(int& status) const;
  [[nodiscard]] bool is_connected() const;
  void replace(const std::function<int()>& serve, const char* reason, bool failed);
  /// The same after the end that `status`, as from waitpid(2), tells.
  void replace_ended(const std::function<int()>& serve, int status);
  void upgrade(pid_t asker, const std::function<int()>& serve);
  void pass_on_log_level(const siginfo_t& info);
  void kill_server();
  void begin_to_stop(const std::function<void()>& unmount);
  [[nodiscard]] bool unmounted() const;

  StateMemory& memory_;
  State& state_;
  const ServiceManager& manager_;
  std::int64_t started_ms_ = 0;
  pid_t unmounter_ = 0;  ///< the process that unmounts; 0: nobody asked to stop
};

}  // namespace arrayfs
