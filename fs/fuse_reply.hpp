// What the operations share: decoding a request, and the one place that turns Results and
// exceptions into replies.
//
// Replies may be sent from any thread; everything else here is for the session's thread.
#pragma once

#include <fuse_lowlevel.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "session.hpp"
#include "suspects.hpp"

namespace arrayfs {

// Names and attributes change through this mount alone, so the kernel may keep them. A writer
// may make the daemon allocate what was a hole, which the kernel does not see.
inline constexpr double kTimeout = 3600;
inline constexpr double kTimeoutUnderWriters = 1;

// Of the control tree the kernel keeps what is always there; the numbers of those nodes are the
// server's, which may be replaced by another version. What is about a file is looked up every time,
// and its attributes are kept for the open that follows.
inline constexpr double kFixedTimeout = 1;
inline constexpr double kViewTimeout = 0.02;

// More than the kernel asks for at once; a size of 4 GiB is no reason to have them.
inline constexpr size_t kMaxReplyBytes = 1U << 20;

[[nodiscard]] Session& session_of(fuse_req_t request);
[[nodiscard]] FileSystem& files_of(fuse_req_t request);
[[nodiscard]] ControlTree& control_of(fuse_req_t request);
[[nodiscard]] Caller caller_of(fuse_req_t request);

[[nodiscard]] bool is_control_root(NodeId parent, const char* name);
/// What the store would take for a path: the kernel sends no such name.
[[nodiscard]] bool is_path(const char* name);
/// Generated names can be neither made, nor removed, nor taken by files.
[[nodiscard]] bool refuse_name(fuse_req_t request, NodeId parent, const char* name);

/// Replies with the errno of `error`; its context goes to the log.
void refuse(fuse_req_t request, const shm::Error& error);

/// How long the kernel may keep the attributes of a node, seconds.
[[nodiscard]] double attr_timeout(Session& session, NodeId node);
[[nodiscard]] fuse_entry_param entry_param(Session& session, const Entry& entry);
/// Takes back `count` lookups of a node of the files or of the control tree.
void forget(Session& session, NodeId node, std::uint64_t count);
/// False: the caller was interrupted and the entry is forgotten again.
bool reply_entry(fuse_req_t request, const Entry& entry);
void reply_attr(fuse_req_t request, NodeId node, const struct stat& st);

// The one place where exceptions, which only libraries throw, become errnos.
template <typename Body>
void guarded(fuse_req_t request, Body&& body) {
  try {
    body();
  } catch (const std::bad_alloc&) {
    fuse_reply_err(request, ENOMEM);
  } catch (const std::exception& error) {
    spdlog::error("unexpected: {}", error.what());
    fuse_reply_err(request, EIO);
  }
}

// Runs `operation` and gives its value to `reply`, or its error to the caller.
template <typename Operation, typename Reply>
void answer(fuse_req_t request, Operation&& operation, Reply&& reply) {
  guarded(request, [&] {
    auto result = operation();
    if (!result) {
      return refuse(request, result.error());
    }
    if constexpr (std::is_void_v<typename decltype(result)::value_type>) {
      reply();
    } else {
      reply(*result);
    }
  });
}

template <typename Operation>
void answer_done(fuse_req_t request, Operation&& operation) {
  answer(request, operation, [&] { fuse_reply_err(request, 0); });
}

template <typename Operation>
[[nodiscard]] Executor::Job job_of(fuse_req_t request, Operation&& operation) {
  State& state = session_of(request).state();
  return Executor::Job([request, &state, unique = state.journal_unique,
                        operation = std::forward<Operation>(operation)]() mutable {
    const AtHand at_hand(state, unique);
    guarded(request, [&] { operation(); });
  });
}

// Runs `operation` on an executor thread; it must own what it uses and reply itself.
template <typename Operation>
void answer_later(fuse_req_t request, Operation&& operation) {
  session_of(request).executor().run(job_of(request, std::forward<Operation>(operation)));
}

// The same for what may take as long as an array is large: it holds up nobody but its like.
template <typename Operation>
void answer_slowly(fuse_req_t request, Operation&& operation) {
  session_of(request).slow_executor().run(job_of(request, std::forward<Operation>(operation)),
                                          caller_of(request).uid);
}

}  // namespace arrayfs
