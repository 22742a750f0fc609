// One server of a mount: the parts of the daemon, put together, and its loop.
//
// serve() answers requests on the calling thread until the mount is gone or a signal asks to stop.
// What must outlive this process is in the state memory and in the table of descriptors, which it
// shares with the servers before and after it; a successor goes on where its predecessor died.
#pragma once

#include <fuse_lowlevel.h>

#include <functional>
#include <optional>
#include <shm/error.hpp>
#include <span>
#include <vector>

#include "control_tree.hpp"
#include "executor.hpp"
#include "file_system.hpp"
#include "kernel_protocol.hpp"
#include "mailbox.hpp"
#include "mount_config.hpp"
#include "open_views.hpp"
#include "reaper.hpp"
#include "state_memory.hpp"
#include "store.hpp"
#include "waiting.hpp"

namespace arrayfs {

class Session {
 public:
  /// The references must outlive the session.
  Session(const MountConfig& config, const Store& store, StateMemory& memory);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// Mounts at the place of `config`; returns /dev/fuse of that mount.
  /// Errors: why the mount could not be made, in one line; nothing stays mounted.
  [[nodiscard]] static shm::Result<shm::posix::Fd> mount(const MountConfig& config);

  /// Serves what arrives on `device`: /dev/fuse of a mount, or a socket that keeps the bounds of
  /// messages. The first server calls `ready` when the mount can be used. Returns when the mount is
  /// gone. Errors: what made serving impossible, in one line.
  [[nodiscard]] shm::Result<void> serve(int device, const std::function<void()>& ready);

  // For the operation table.
  [[nodiscard]] FileSystem& files() { return *files_; }
  [[nodiscard]] ControlTree& control() { return *control_; }
  [[nodiscard]] Executor& executor() { return *executor_; }
  /// For views that take as long as their arrays are large.
  [[nodiscard]] Executor& slow_executor() { return *slow_executor_; }
  [[nodiscard]] KernelProtocol& protocol() { return protocol_; }
  [[nodiscard]] State& state() { return state_; }
  /// Runs `task` on the session's thread, soon. From any thread but that one.
  void call(Mailbox::Task task) { mailbox_->post(std::move(task)); }
  /// The same for a task that goes on with the request of this number.
  void call_for(std::uint64_t unique, Mailbox::Task task);
  /// The views that programs have open.
  [[nodiscard]] OpenViews& views() { return views_; }
  [[nodiscard]] Waiting& waiting() { return *waiting_; }
  [[nodiscard]] bool show_control() const { return config_.show_control; }
  [[nodiscard]] bool shows_links() const { return config_.io == Io::kLink; }
  [[nodiscard]] MountStatus status();
  /// Tells the kernel that what it knows of a name is over.
  void forget_name(NodeId parent, const std::string& name);
  /// The same of the names in a directory and of its times, which then were changed by this
  /// process; `after` runs on the session's thread when the kernel knows.
  void forget_listing(NodeId directory, const Mailbox::Task& after = {});
  /// Whether the kernel may keep what is in a directory: nobody else changes it.
  [[nodiscard]] bool keeps_listings() const { return store_.is_private() && !shows_links(); }

 private:
  [[nodiscard]] const char* plane() const;
  [[nodiscard]] shm::Result<void> attach(int device);
  [[nodiscard]] shm::Result<void> negotiate();
  [[nodiscard]] shm::Result<void> choose_plane();
  [[nodiscard]] shm::Result<void> start_serving(std::optional<Backing> backing);
  [[nodiscard]] shm::Result<void> loop();
  [[nodiscard]] int next_request();
  /// `done` says that a successor need not do it again.
  void process(std::span<std::byte> request, const std::function<void()>& done);
  // In succession.cpp.
  [[nodiscard]] shm::Result<void> take_over();
  void process_again(std::span<std::byte> request, const std::function<void()>& done);
  [[nodiscard]] std::vector<std::vector<std::byte>> read_again();
  void forget_attributes(NodeId node);
  void expired(const Reaper::Removal& removal);

  const MountConfig& config_;
  const Store& store_;
  StateMemory& memory_;
  State& state_;
  KernelProtocol protocol_;
  std::optional<FileSystem> files_;
  std::optional<ControlTree> control_;
  std::optional<Waiting> waiting_;
  std::optional<Executor> executor_;
  std::optional<Executor> slow_executor_;
  std::optional<Executor>
      notifier_;  ///< waits for directory locks, whose holders may need executor_
  std::optional<Mailbox> mailbox_;
  std::optional<Reaper> reaper_;
  OpenViews views_;
  fuse_session* session_ = nullptr;
  int device_ = -1;          ///< borrowed
  bool takes_over_ = false;  ///< a server before this one has served the mount
  std::string plane_reason_;
};

}  // namespace arrayfs
