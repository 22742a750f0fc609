// Programs that wait: reads of `wait/PATH` and `events`, and polls of them.
//
// A read that has nothing to tell yet is kept here without its answer; it costs no thread. When the
// server dies the kernel sends it again, and the number of the last event that the reader knows is
// in its file handle or in the state memory: nothing that happens meanwhile is missed. Used by the
// session's thread alone.
#pragma once

#include <fuse_lowlevel.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "event_log.hpp"
#include "file_system.hpp"
#include "kernel_protocol.hpp"

namespace arrayfs {

class Waiting {
 public:
  /// The references must outlive the object. Wakes who polled the server before this one.
  Waiting(FileSystem& files, const KernelProtocol& protocol, State& state);
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting();

  /// What somebody waits for: a change of a file, or, with kEverything, any event that its owner
  /// may see.
  static constexpr NodeId kEverything = 0;

  /// Opens `wait/PATH` of the file `node`, or `events`. Returns the file handle.
  /// Errors: EMFILE when too many read events.
  [[nodiscard]] shm::Result<std::uint64_t> open(NodeId node);
  void close(NodeId node, std::uint64_t handle);
  /// Answers the request, now or when there is something to tell.
  void read(fuse_req_t request, NodeId node, std::uint64_t handle, std::size_t size,
            std::uint64_t offset);
  void poll(fuse_req_t request, NodeId node, std::uint64_t handle, bool tell_later);
  /// Answers who waited for this.
  void happened(const Event& event);

 private:
  /// What is waited for.
  struct Target {
    NodeId node = kEverything;
    std::uint64_t handle = 0;
    std::uint64_t ino = 0;
    std::uint64_t path = 0;  ///< its hash
    std::uint32_t uid = 0;   ///< of who waits

    [[nodiscard]] bool concerned(const Event& event) const {
      return node == kEverything || EventLog::changes(event, ino, path);
    }
  };
  struct Reader {
    fuse_req_t request;
    Target target;
    std::size_t size;
    std::uint64_t offset;
  };
  struct Poller {
    std::uint64_t* kernel_handle;  ///< its place in the state memory
    Target target;
  };

  /// What the reader gets; nullopt: it has to wait.
  [[nodiscard]] std::optional<std::string> answer(const Reader& reader);
  [[nodiscard]] std::optional<std::string> change(const Reader& reader);
  [[nodiscard]] std::optional<std::string> events(const Reader& reader);
  [[nodiscard]] bool is_ready(const Target& target);
  [[nodiscard]] Target target(fuse_req_t request, NodeId node, std::uint64_t handle);
  [[nodiscard]] EventReader* event_reader(std::uint64_t handle);
  void interrupted(fuse_req_t request);

  FileSystem& files_;
  const KernelProtocol& protocol_;
  State& state_;
  EventLog& log_;
  std::vector<Reader> readers_;
  std::vector<Poller> pollers_;
};

}  // namespace arrayfs
