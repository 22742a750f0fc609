// One mount being served: the parts of the daemon, put together, and its loop.
//
// serve() mounts, answers requests on the calling thread until the mount is gone or a signal asks
// to stop, and takes everything down again; serve_on() does the same on a device that somebody else
// has mounted. The store stays.
#pragma once

#include <fuse_lowlevel.h>

#include <functional>
#include <optional>
#include <shm/error.hpp>

#include "control_tree.hpp"
#include "executor.hpp"
#include "file_system.hpp"
#include "kernel_protocol.hpp"
#include "mailbox.hpp"
#include "mount_config.hpp"
#include "reaper.hpp"
#include "state_memory.hpp"
#include "store.hpp"

namespace arrayfs {

class Session {
 public:
  Session(const MountConfig& config, Store store);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// Mounts and serves; `ready` is called once, when the mount can be used.
  /// Errors: why the mount could not be made, in one line; nothing stays mounted.
  [[nodiscard]] shm::Result<void> serve(const std::function<void()>& ready);

  /// Serves what arrives on `device`: /dev/fuse of a mount that is there already, whose first
  /// request is INIT, or a socket that keeps the bounds of messages. Its end of file counts as the
  /// mount's end. Unmounting is the business of who mounted.
  /// Errors: as serve().
  [[nodiscard]] shm::Result<void> serve_on(shm::posix::Fd device,
                                           const std::function<void()>& ready);

  // For the operation table.
  [[nodiscard]] FileSystem& files() { return *files_; }
  [[nodiscard]] ControlTree& control() { return *control_; }
  [[nodiscard]] Executor& executor() { return *executor_; }
  [[nodiscard]] KernelProtocol& protocol() { return protocol_; }
  /// Runs `task` on the session's thread, soon. From any thread but that one.
  void call(Mailbox::Task task) { mailbox_->post(std::move(task)); }
  [[nodiscard]] bool show_control() const { return config_.show_control; }
  [[nodiscard]] bool shows_links() const { return config_.io == Io::kLink; }
  [[nodiscard]] MountStatus status();
  /// Tells the kernel that what it knows of a name is over.
  void forget_name(NodeId parent, const std::string& name);

 private:
  [[nodiscard]] shm::Result<void> start_fuse();
  [[nodiscard]] const char* plane() const;
  [[nodiscard]] shm::Result<void> mount();
  [[nodiscard]] shm::Result<void> serve_mounted(const std::function<void()>& ready);
  [[nodiscard]] shm::Result<void> negotiate();
  [[nodiscard]] shm::Result<void> choose_plane();
  [[nodiscard]] shm::Result<void> start_serving(std::optional<Backing> backing);
  [[nodiscard]] shm::Result<void> loop();
  [[nodiscard]] int next_request(fuse_buf& buffer);
  void forget_attributes(NodeId node);

  const MountConfig& config_;
  Store store_;
  KernelProtocol protocol_;
  std::optional<StateMemory> memory_;
  std::optional<FileSystem> files_;
  std::optional<ControlTree> control_;
  std::optional<Executor> executor_;
  std::optional<Executor>
      notifier_;  ///< waits for directory locks, whose holders may need executor_
  std::optional<Mailbox> mailbox_;
  std::optional<Reaper> reaper_;
  fuse_session* session_ = nullptr;
  std::string plane_reason_;
};

}  // namespace arrayfs
