// Rows on inotify: what a watcher is told of system calls.

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>

#include "parity.hpp"

namespace parity {
namespace {

/// Writes down the events that are there. Calls have told of themselves when they return.
void show_events(int watcher) {
  constexpr std::array kNames{"access",        "modify", "attrib",      "close_write",
                              "close_nowrite", "open",   "moved_from",  "moved_to",
                              "create",        "delete", "delete_self", "move_self"};
  alignas(inotify_event) std::array<char, 8192> bytes{};
  const ssize_t size = read(watcher, bytes.data(), bytes.size());
  if (size < 0) {
    note("  no events");
    return;
  }
  for (ssize_t at = 0; at < size;) {
    inotify_event event{};
    std::memcpy(&event, bytes.data() + at, sizeof event);
    std::string line = "  watch " + std::to_string(event.wd) + ":";
    for (std::size_t bit = 0; bit < kNames.size(); ++bit) {
      line += (event.mask & (1U << bit)) != 0 ? std::string(" ") + kNames[bit] : "";
    }
    line += (event.mask & IN_ISDIR) != 0 ? " directory" : "";
    line += (event.mask & IN_IGNORED) != 0 ? " ignored" : "";
    line += (event.mask & IN_UNMOUNT) != 0 ? " unmount" : "";
    line += event.cookie != 0 ? " with a cookie" : "";
    note(line + (event.len != 0 ? std::string(" ") + (bytes.data() + at + sizeof event) : ""));
    at += static_cast<ssize_t>(sizeof event + event.len);
  }
}

ROW(WatchADirectory) {
  CALL(mkdir("d", 0755));
  CALL(mkdir("e", 0755));
  const int watcher = CALL(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  CALL(inotify_add_watch(watcher, "d", IN_ALL_EVENTS));
  const int fd = CALL(open("d/f", O_RDWR | O_CREAT, 0644));
  show_events(watcher);
  CALL(write(fd, "bytes", 5));
  show_events(watcher);
  char byte = 0;
  CALL(pread(fd, &byte, 1, 0));
  show_events(watcher);
  CALL(ftruncate(fd, 2));
  show_events(watcher);
  CALL(fchmod(fd, 0600));
  show_events(watcher);
  CALL(close(fd));
  show_events(watcher);
  CALL(mkdir("d/sub", 0755));
  CALL(symlink("f", "d/l"));
  CALL(mkfifo("d/p", 0600));
  CALL(link("d/f", "d/g"));
  show_events(watcher);
  CALL(rename("d/f", "d/h"));
  show_events(watcher);
  CALL(rename("d/h", "e/h"));
  show_events(watcher);
  CALL(rename("e/h", "d/g2"));
  show_events(watcher);
  CALL(unlink("d/g"));
  CALL(rmdir("d/sub"));
  show_events(watcher);
  CALL(rename("d", "d2"));
  show_events(watcher);
}

ROW(WatchAFile) {
  make_file("f", "bytes");
  make_file("other");
  const int watcher = CALL(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  CALL(inotify_add_watch(watcher, "f", IN_ALL_EVENTS));
  show_events(watcher);
  const int fd = CALL(open("f", O_RDWR));
  CALL(pwrite(fd, "x", 1, 0));
  CALL(fallocate(fd, 0, 0, 100));
  show_events(watcher);
  CALL(truncate("f", 3));
  show_events(watcher);
  CALL(chown("f", 1, 1));
  show_events(watcher);
  CALL(link("f", "g"));
  show_events(watcher);
  CALL(close(CALL(open("f", O_RDONLY))));
  show_events(watcher);
  CALL(rename("f", "h"));
  show_events(watcher);
  CALL(rename("other", "h"));
  show_events(watcher);
  CALL(close(fd));
  show_events(watcher);
  CALL(unlink("g"));
  show_events(watcher);
}

ROW(WatchStoresThroughAMapping) {
  make_file("f", pattern(8192));
  const int fd = CALL(open("f", O_RDWR));
  auto* bytes = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  const int watcher = CALL(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  CALL(inotify_add_watch(watcher, "f", IN_ALL_EVENTS));
  bytes[0] = 'x';
  CALL(msync(bytes, 8192, MS_SYNC));
  CALL(munmap(bytes, 8192));
  show_events(watcher);
  CALL(close(fd));
  show_events(watcher);
}

ROW(WatchWhatAnotherProcessDoes) {
  CALL(mkdir("d", 0755));
  const int watcher = CALL(inotify_init1(IN_CLOEXEC));
  CALL(inotify_add_watch(watcher, "d", IN_CLOSE_WRITE | IN_MOVED_TO));
  in_child([] {
    make_file("d/aside", "bytes");
    CALL(rename("d/aside", "d/f"));
  });
  pollfd readable{.fd = watcher, .events = POLLIN, .revents = 0};
  CALL(poll(&readable, 1, -1));
  show_events(watcher);
}

}  // namespace
}  // namespace parity
