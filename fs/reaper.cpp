#include "reaper.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>
#include <filesystem>

#include "log.hpp"
#include "sync_pages.hpp"
#include "text.hpp"

namespace arrayfs {
namespace {

using shm::posix::Fd;

std::string proc_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}
std::string proc_path(const Fd& fd) {
  return proc_path(fd.get());
}

// Where a file is for those who use the mount.
std::string below_root(const Store& store, const std::string& path) {
  std::error_code error;
  const std::string root = std::filesystem::read_symlink(proc_path(store.root_fd()), error);
  return path.starts_with(root + "/") ? path.substr(root.size() + 1) : path;
}

Lifetime lifetime_of(const Fd& path_fd, const std::string& prefix) {
  const Fd fd(open(proc_path(path_fd).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  return fd.valid() ? read_lifetime(fd.get(), prefix) : Lifetime{};
}

}  // namespace

Reaper::Reaper(const Store& store, Removed removed)
    : store_(store),
      removed_(std::move(removed)),
      wake_(eventfd(0, EFD_CLOEXEC)),
      links_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Reaper::~Reaper() {
  stopping_ = true;
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

void Reaper::watch(Fd path_fd) {
  {
    const std::lock_guard lock(mutex_);
    arrived_.push_back(std::move(path_fd));
  }
  eventfd_write(wake_.get(), 1);
}

void Reaper::run() {
  adopt_store();
  while (!stopping_) {
    reap();
    if (wait_for_event() < 0 && errno != EINTR) {
      const int code = errno;
      log_line(spdlog::level::err,
               fmt::format("lifetimes are no longer watched: {}", std::strerror(code)),
               {.code = code});
      return;
    }
    std::vector<Fd> arrived;
    {
      const std::lock_guard lock(mutex_);
      arrived.swap(arrived_);
    }
    for (Fd& fd : arrived) {
      take_in(std::move(fd));
    }
  }
}

void Reaper::adopt_store() {
  namespace stdfs = std::filesystem;
  std::error_code error;
  const stdfs::path root = "/proc/self/fd/" + std::to_string(store_.root_fd()) + "/.";
  constexpr auto kSkip = stdfs::directory_options::skip_permission_denied;
  for (stdfs::recursive_directory_iterator at(root, kSkip, error), end;
       !error && at != end && !stopping_; at.increment(error)) {
    std::error_code gone;
    if (at->symlink_status(gone).type() == stdfs::file_type::regular) {
      take_in(Fd(open(at->path().c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)));
    }
  }
}

void Reaper::take_in(Fd path_fd) {
  struct stat st {};
  if (!path_fd.valid() || fstat(path_fd.get(), &st) != 0) {
    return;
  }
  Watched file{std::move(path_fd), {}, {}};
  file.lifetime = lifetime_of(file.path_fd, store_.xattr_prefix());
  if (!file.lifetime.limited()) {
    forget(st.st_ino);
    return;
  }
  if (file.lifetime.owner) {
    file.owner = Fd(static_cast<int>(syscall(SYS_pidfd_open, file.lifetime.owner->pid, 0)));
  }
  file.link_watch = inotify_add_watch(links_.get(), proc_path(file.path_fd).c_str(), IN_ATTRIB);
  const auto at = watched_.insert_or_assign(st.st_ino, std::move(file)).first;
  // Its name may have gone before the watch was there.
  if (fstat(at->second.path_fd.get(), &st) != 0 || st.st_nlink == 0) {
    forget(at->first);
  }
}

void Reaper::forget(std::uint64_t ino) {
  if (const auto at = watched_.find(ino); at != watched_.end()) {
    inotify_rm_watch(links_.get(), at->second.link_watch);
    watched_.erase(at);
  }
}

// A removed file would keep its memory for as long as it is watched.
void Reaper::let_go_of_nameless() {
  alignas(inotify_event) char events[4096];
  while (read(links_.get(), events, sizeof events) > 0) {
  }
  std::vector<std::uint64_t> nameless;
  for (const auto& [ino, file] : watched_) {
    struct stat st {};
    if (fstat(file.path_fd.get(), &st) == 0 && st.st_nlink == 0) {
      nameless.push_back(ino);
    }
  }
  for (const std::uint64_t ino : nameless) {
    forget(ino);
  }
}

int Reaper::wait_for_event() {
  std::vector<pollfd> events{{wake_.get(), POLLIN, 0}, {links_.get(), POLLIN, 0}};
  std::int64_t next = INT64_MAX;
  for (const auto& [ino, file] : watched_) {
    if (file.owner.valid()) {
      events.push_back({file.owner.get(), POLLIN, 0});
    }
    next = std::min(next, file.lifetime.expires_at.value_or(INT64_MAX));
  }
  int timeout_ms = -1;
  if (next != INT64_MAX) {
    const std::int64_t left_ms = std::max<std::int64_t>(0, next - time(nullptr)) * 1000;
    timeout_ms = static_cast<int>(std::min<std::int64_t>(left_ms, INT_MAX));
    timeout_ms = std::max(timeout_ms, 10);  // the clock's second may not be over yet
  }
  const int ready = poll(events.data(), events.size(), timeout_ms);
  if (ready > 0 && events[0].revents != 0) {
    eventfd_t count = 0;
    eventfd_read(wake_.get(), &count);
  }
  if (ready > 0 && events[1].revents != 0) {
    let_go_of_nameless();
  }
  return ready;
}

void Reaper::reap() {
  const std::int64_t now = time(nullptr);
  for (auto at = watched_.begin(); at != watched_.end();) {
    if (at->second.lifetime.over(now).empty()) {
      ++at;
      continue;
    }
    // The lifetime may have been changed since it was read.
    const Lifetime lifetime = lifetime_of(at->second.path_fd, store_.xattr_prefix());
    if (const std::string reason = lifetime.over(now); !reason.empty()) {
      remove(at->second, reason);
      at = watched_.erase(at);
    } else if (lifetime.limited()) {
      (at++)->second.lifetime = lifetime;
    } else {
      at = watched_.erase(at);
    }
  }
}

void Reaper::remove(const Watched& file, const std::string& reason) {
  // All names that the kernel tells: a file with several is removed under the one it was found by.
  std::string path(PATH_MAX, '\0');
  const ssize_t size = readlink(proc_path(file.path_fd).c_str(), path.data(), path.size());
  if (size <= 0 || static_cast<size_t>(size) == path.size()) {
    return;
  }
  path.resize(static_cast<size_t>(size));
  const size_t slash = path.rfind('/');
  const Fd parent(open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const std::string name = path.substr(slash + 1);
  struct stat st {};
  struct stat named {};
  struct stat directory {};
  const std::string page = sync_page_of(store_, proc_path(file.path_fd));
  if (!parent.valid() || fstat(file.path_fd.get(), &st) != 0 ||
      fstatat(parent.get(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 ||
      named.st_ino != st.st_ino || fstat(parent.get(), &directory) != 0 ||
      unlinkat(parent.get(), name.c_str(), 0) != 0) {
    return;  // removed or renamed meanwhile
  }
  log_line(spdlog::level::info, fmt::format("removed {}: {}", printable(name), reason),
           {.path = below_root(store_, path)});
  const bool last_name = st.st_nlink == 1;
  const std::uint64_t page_ino = last_name ? remove_sync_page(store_, page) : 0;
  removed_({directory.st_ino, name, st.st_ino, last_name, page_ino});
}

}  // namespace arrayfs
