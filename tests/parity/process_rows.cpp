// Rows on what processes do together: FIFOs and sockets, groups, names by descriptor.

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "parity.hpp"

namespace parity {
namespace {

constexpr uid_t kUser = 1234;
constexpr uid_t kOtherUser = 1235;
constexpr gid_t kGroup = 1240;
constexpr gid_t kNoGroup = 1250;

sockaddr_un address_of(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string(path).copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

ROW(FifoBetweenProcesses) {
  CALL(mkfifo("p", 0644));
  // Each open waits for the other.
  const pid_t writer = fork();
  if (writer == 0) {
    const int fd = open("p", O_WRONLY);
    _exit(fd >= 0 && write(fd, "through the fifo", 16) == 16 ? 0 : 1);
  }
  const int fd = CALL(open("p", O_RDONLY));
  std::array<char, 32> bytes{};
  CALL(read(fd, bytes.data(), bytes.size()));
  note(bytes.data());
  CALL(read(fd, bytes.data(), bytes.size()));
  int status = 0;
  waitpid(writer, &status, 0);
  note("the writer's status " + std::to_string(status));
}

ROW(FifoWithoutReaders) {
  CALL(mkfifo("p", 0644));
  const int both = CALL(open("p", O_RDWR | O_NONBLOCK));
  const int writer = CALL(open("p", O_WRONLY | O_NONBLOCK));
  CALL(write(writer, "bytes", 5));
  CALL(close(both));
  in_child([writer] { CALL(write(writer, "more", 4)); });
}

ROW(SocketBetweenProcesses) {
  CALL(chmod(".", 0755));
  const sockaddr_un address = address_of("s");
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  const int server = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
  CALL(bind(server, name, sizeof address));
  CALL(listen(server, 4));
  in_child([&] {
    const int client = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
    CALL(connect(client, name, sizeof address));
    CALL(write(client, "hello", 5));
  });
  const int accepted = CALL(accept(server, nullptr, nullptr));
  std::array<char, 8> bytes{};
  CALL(read(accepted, bytes.data(), bytes.size()));
  note(bytes.data());
  // Connecting needs the right to write.
  as_user(kUser, kGroup, [&] {
    const int client = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
    CALL(connect(client, name, sizeof address));
  });
  CALL(chmod("s", 0777));
  as_user(kUser, kGroup, [&] {
    const int client = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
    CALL(connect(client, name, sizeof address));
  });
  CALL(rename("s", "t"));
  const int client = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
  CALL(connect(client, name, sizeof address));
  const sockaddr_un moved = address_of("t");
  CALL(connect(client, reinterpret_cast<const sockaddr*>(&moved), sizeof moved));
}

ROW(SendfileToASocket) {
  make_file("f", pattern(100'000));
  std::array<int, 2> ends{};
  CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()));
  const int fd = CALL(open("f", O_RDONLY));
  off_t offset = 50'000;
  CALL(sendfile(ends[0], fd, &offset, 4096));
  std::string got(4096, '\0');
  CALL(recv(ends[1], got.data(), got.size(), MSG_WAITALL));
  note(got == pattern(100'000).substr(50'000, 4096) ? "the file's bytes" : "other bytes");
}

ROW(SupplementaryGroups) {
  make_file("f", "bytes");
  CALL(chmod("f", 0060));
  CALL(chown("f", 0, kGroup));
  CALL(mkdir("d", 0070));
  CALL(chmod("d", 0070));
  CALL(chown("d", 0, kGroup));
  as_user_in_groups(kUser, kNoGroup, {kNoGroup + 1, kGroup}, [] {
    CALL(open("f", O_RDWR));
    CALL(mkdir("d/sub", 0755));
    show("d/sub");
    make_file("d/f");
    show("d/f");
    // One's own file may be given to a group that one is in.
    CALL(chown("d/f", static_cast<uid_t>(-1), kGroup));
    CALL(chmod("d/f", 02755));
    CALL(chown("d/f", static_cast<uid_t>(-1), kGroup + 1));
    show("d/f");
  });
  as_user_in_groups(kUser, kNoGroup, {kNoGroup + 1}, [] {
    CALL(open("f", O_RDWR));
    CALL(mkdir("d/sub2", 0755));
  });
}

ROW(StickyDirectoryAndRename) {
  CALL(mkdir("tmp", 0777));
  CALL(chmod("tmp", 01777));
  CALL(mkdir("free", 0777));
  CALL(chmod("free", 0777));
  as_user(kUser, kGroup, [] {
    make_file("tmp/mine", "mine");
    CALL(mkdir("tmp/my_directory", 0777));
    make_file("free/mine", "mine");
  });
  as_user(kOtherUser, kGroup, [] {
    make_file("tmp/yours", "yours");
    CALL(rename("tmp/mine", "free/taken"));
    CALL(rename("tmp/my_directory", "free/taken"));
    CALL(rename("tmp/yours", "tmp/mine"));
    CALL(rename("free/mine", "tmp/brought"));
    CALL(renameat2(AT_FDCWD, "tmp/yours", AT_FDCWD, "tmp/mine", RENAME_EXCHANGE));
    CALL(rename("tmp/yours", "free/mine2"));
    CALL(link("tmp/mine", "free/linked"));
  });
  show_list("tmp");
  show_list("free");
}

ROW(RenameDirectoryOverDirectory) {
  CALL(mkdir("full", 0755));
  make_file("full/f");
  CALL(mkdir("other", 0755));
  make_file("other/g");
  CALL(mkdir("empty", 0755));
  CALL(rename("full", "other"));
  CALL(renameat2(AT_FDCWD, "full", AT_FDCWD, "other", RENAME_NOREPLACE));
  CALL(renameat2(AT_FDCWD, "full", AT_FDCWD, "other", RENAME_EXCHANGE));
  show_list("full");
  show_list("other");
  CALL(renameat2(AT_FDCWD, "full", AT_FDCWD, "other/f", RENAME_EXCHANGE));
  CALL(renameat2(AT_FDCWD, "full", AT_FDCWD, "full/g", RENAME_EXCHANGE));
  show_list(".");
  CALL(rename("other", "empty"));
  show_list("empty");
}

ROW(LinkByDescriptor) {
  make_file("f", "bytes");
  const int fd = CALL(open("f", O_RDONLY));
  const int path_only = CALL(open("f", O_PATH));
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  CALL(linkat(AT_FDCWD, path.c_str(), AT_FDCWD, "by_proc", AT_SYMLINK_FOLLOW));
  CALL(linkat(fd, "", AT_FDCWD, "by_descriptor", AT_EMPTY_PATH));
  CALL(linkat(path_only, "", AT_FDCWD, "by_path", AT_EMPTY_PATH));
  CALL(linkat(AT_FDCWD, path.c_str(), AT_FDCWD, "without_following", 0));
  show("f");
  CALL(unlink("f"));
  show_content("by_proc");
  CALL(unlink("by_proc"));
  CALL(unlink("by_descriptor"));
  CALL(unlink("by_path"));
  show(fd);
  // What has no name any more does not get one again.
  CALL(linkat(AT_FDCWD, path.c_str(), AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
}

ROW(CreateThroughDanglingSymlinks) {
  CALL(mkdir("d", 0755));
  CALL(symlink("d/target", "dangling"));
  const int fd = CALL(open("dangling", O_RDWR | O_CREAT, 0640));
  CALL(write(fd, "bytes", 5));
  show("d/target");
  CALL(symlink("missing/target", "nowhere"));
  CALL(open("nowhere", O_RDWR | O_CREAT, 0644));
  CALL(symlink("d/", "to_directory"));
  CALL(open("to_directory", O_RDWR | O_CREAT, 0644));
  CALL(open("to_directory", O_RDONLY));
  CALL(symlink("d/other", "dangling2"));
  CALL(open("dangling2", O_RDWR | O_CREAT | O_NOFOLLOW, 0644));
  CALL(mkdir("dangling2", 0755));
  CALL(mkfifo("dangling2", 0644));
  CALL(truncate("dangling2", 0));
  show_list(".");
}

ROW(ModesByDescriptorAndDirectory) {
  make_file("f");
  CALL(symlink("f", "l"));
  CALL(mkdir("d", 0755));
  make_file("d/f");
  const int directory = CALL(open("d", O_RDONLY | O_DIRECTORY));
  const int file = CALL(open("f", O_RDONLY));
  CALL(fchmodat(directory, "f", 0600, 0));
  show("d/f");
  CALL(fchmodat(directory, "missing", 0600, 0));
  CALL(fchmodat(file, "f", 0600, 0));
  CALL(fchmodat(AT_FDCWD, "l", 0640, 0));
  show("f");
  CALL(fchownat(directory, "", kUser, kGroup, AT_EMPTY_PATH));
  show("d");
  CALL(fchownat(AT_FDCWD, "l", kUser, kGroup, AT_SYMLINK_NOFOLLOW));
  show("l");
  show("f");
  CALL(faccessat(directory, "f", R_OK, 0));
  CALL(faccessat(directory, "f", X_OK, AT_EACCESS));
  CALL(faccessat(file, "", R_OK, AT_EMPTY_PATH));
  CALL(faccessat(file, "f", R_OK, 0));
  CALL(faccessat(-1, "f", R_OK, 0));
  // Real against effective ids.
  CALL(chmod("f", 0600));
  CALL(chown("f", 0, 0));
  in_child([] {
    CALL(setresuid(kUser, 0, 0));
    CALL(faccessat(AT_FDCWD, "f", R_OK, 0));
    CALL(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
  });
}

}  // namespace
}  // namespace parity
