#include "fuse_live.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <shm/array.hpp>
#include <vector>

#include "act_as.hpp"
#include "drafts.hpp"
#include "fuse_reply.hpp"
#include "log.hpp"
#include "recipe.hpp"
#include "text.hpp"

namespace arrayfs {
namespace {

using shm::Result;
using shm::posix::Fd;

bool is_writable(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY;
}

NodeId awaited(NodeId node) {
  return ControlTree::role(node) == Role::kFollow ? Waiting::kEverything : ControlTree::about(node);
}

void as_live(fuse_file_info& info) {
  info.direct_io = 1;
  info.nonseekable = 1;
  info.noflush = 1;
}

// What is written to a draft, made into an array beside the session's thread.
struct Making {
  Recipe recipe;
  Caller caller;
  Fd directory;
  std::string name;
  bool again;  ///< an earlier server may have made it

  [[nodiscard]] Result<void> run() const {
    const std::string path = "/proc/self/fd/" + std::to_string(directory.get()) + "/" + name;
    shm::CreateOptions options;
    options.order = recipe.order;
    options.fill = recipe.fill;
    const auto made = [&] {
      const ActAs as(caller);
      return shm::Array::create(path, recipe.dtype, recipe.shape, options);
    }();
    if (made || !again || made.error().code != EEXIST) {
      return made.map([](const shm::Array&) {});
    }
    const auto there = shm::Array::open(path);
    const bool same = there && there->layout().shape == recipe.shape &&
                      there->layout().dtype.descr() == recipe.dtype.descr();
    return same ? Result<void>{} : shm::fail(EEXIST, name);
  }
};

Result<Making> prepare(fuse_req_t request, Draft& draft, std::string_view line) {
  auto recipe = parse_recipe(line);
  if (!recipe) {
    return tl::unexpected(recipe.error());
  }
  FileSystem& files = files_of(request);
  auto directory = files.directory_fd(draft.parent);
  if (!directory) {
    return tl::unexpected(directory.error());
  }
  const auto header = shm::npy_header(recipe->dtype, recipe->shape, recipe->order);
  if (!header) {
    return tl::unexpected(header.error());
  }
  const shm::Layout layout{recipe->dtype, recipe->shape, recipe->order, header->size()};
  if (!files.admit(layout.data_offset + layout.nbytes())) {
    return shm::fail(ENOSPC, draft.name);
  }
  const bool again = draft.begun != 0;
  draft.begun = 1;
  return Making{std::move(*recipe),
                {draft.uid, draft.gid, caller_of(request).pid, draft.umask},
                std::move(*directory),
                draft.name,
                again};
}

// Says why, too: in the log, and to who reads what he has written to.
void refuse_draft(fuse_req_t request, std::uint64_t handle, Draft& draft, const shm::Error& why) {
  const std::string reason =
      fmt::format("{}: {}", printable(draft.name), printable(shm::to_string(why)));
  const pid_t pid = caller_of(request).pid;
  log_line(spdlog::level::info, fmt::format("new array {}, by process {}", reason, pid),
           {.pid = pid, .code = why.code});
  draft.begun = 0;
  session_of(request).views().put(
      handle, std::make_shared<OpenView>(std::make_unique<TextStream>(reason + '\n')));
  refuse(request, why);
}

void make_array(fuse_req_t request, std::uint64_t handle, std::string_view line) {
  Draft* draft = Drafts(session_of(request).state()).find(handle);
  if (draft == nullptr) {
    fuse_reply_err(request, EBADF);
    return;
  }
  auto making = prepare(request, *draft, line);
  if (!making) {
    return refuse_draft(request, handle, *draft, making.error());
  }
  Session* const session = &session_of(request);
  answer_later(request, [request, session, handle, parent = draft->parent, size = line.size(),
                         making = std::move(*making)]() mutable {
    const auto made = making.run();
    session->call([=, name = making.name, pid = making.caller.pid] {
      if (!made) {
        Draft* known = Drafts(session->state()).find(handle);
        return known != nullptr ? refuse_draft(request, handle, *known, made.error())
                                : refuse(request, made.error());
      }
      session->views().remove(handle);
      session->forget_listing(parent, [=] {
        session->files().note_made(parent, name.c_str(), pid);
        fuse_reply_write(request, size);
      });
    });
  });
}

// Of a draft that was opened for both.
void read_reason(fuse_req_t request, std::uint64_t handle, std::size_t size, off_t offset) {
  std::vector<char> text(size);
  const auto reason = session_of(request).views().find(handle);
  const auto got = reason ? reason->read(static_cast<std::uint64_t>(offset), text) : 0;
  fuse_reply_buf(request, text.data(), got.value_or(0));
}

}  // namespace

void open_live(fuse_req_t request, NodeId node, fuse_file_info info) {
  if (ControlTree::role(node) == Role::kMake) {
    fuse_reply_err(request, EEXIST);
    return;
  }
  answer(
      request,
      [&]() -> Result<std::uint64_t> {
        if (ControlTree::role(node) == Role::kFollow && is_writable(info.flags)) {
          return shm::fail(EACCES);
        }
        return session_of(request).waiting().open(awaited(node));
      },
      [&](std::uint64_t handle) {
        info.fh = handle;
        as_live(info);
        if (fuse_reply_open(request, &info) == -ENOENT) {
          session_of(request).waiting().close(awaited(node), handle);
        }
      });
}

void create_live(fuse_req_t request, NodeId parent, const char* name, fuse_file_info info) {
  Session& session = session_of(request);
  const bool again = (session.protocol().unique() & kResentBit) != 0;
  answer(
      request,
      [&]() -> Result<std::pair<Entry, std::uint64_t>> {
        if (!is_writable(info.flags)) {
          return shm::fail(EACCES);
        }
        return Drafts(session.state())
            .begin(ControlTree::about(parent), name, caller_of(request), again)
            .and_then([&](const Draft* draft) {
              return session.control().enter_draft(parent, draft->handle).map([&](const Entry& at) {
                return std::pair(at, draft->handle);
              });
            });
      },
      [&](const std::pair<Entry, std::uint64_t>& made) {
        info.fh = made.second;
        as_live(info);
        const fuse_entry_param param = entry_param(session, made.first);
        if (fuse_reply_create(request, &param, &info) == -ENOENT) {
          Drafts(session.state()).end(made.second);
        }
      });
}

void read_live(fuse_req_t request, NodeId node, std::uint64_t handle, std::size_t size,
               off_t offset) {
  if (ControlTree::role(node) == Role::kMake) {
    read_reason(request, handle, size, offset);
    return;
  }
  session_of(request).waiting().read(request, awaited(node), handle, size,
                                     static_cast<std::uint64_t>(offset));
}

void write_live(fuse_req_t request, NodeId node, std::uint64_t handle, std::string_view text) {
  if (ControlTree::role(node) == Role::kMake) {
    make_array(request, handle, text);
    return;
  }
  // Whatever is written to `wait/PATH` says that the array has changed.
  files_of(request).note(EventKind::kNotified, awaited(node), caller_of(request).pid);
  fuse_reply_write(request, text.size());
}

void poll_live(fuse_req_t request, NodeId node, std::uint64_t handle, bool tell_later) {
  if (ControlTree::role(node) == Role::kMake) {
    fuse_reply_poll(request, POLLOUT | POLLWRNORM);
    return;
  }
  session_of(request).waiting().poll(request, awaited(node), handle, tell_later);
}

void release_live(fuse_req_t request, NodeId node, std::uint64_t handle) {
  if (ControlTree::role(node) == Role::kMake) {
    session_of(request).views().remove(handle);
    Drafts(session_of(request).state()).end(handle);
  } else {
    session_of(request).waiting().close(awaited(node), handle);
  }
}

}  // namespace arrayfs
