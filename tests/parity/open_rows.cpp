// Rows on opening, creating and access.

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "parity.hpp"

namespace parity {
namespace {

constexpr uid_t kUser = 1234;
constexpr gid_t kGroup = 1234;

ROW(OpenMissing) {
  CALL(open("f", O_RDONLY));
  CALL(open("f", O_RDWR));
  CALL(open("f", O_WRONLY | O_TRUNC));
  CALL(open("missing/f", O_RDWR | O_CREAT, 0644));
  CALL(open("", O_RDONLY));
  show_list(".");
}

ROW(OpenCreate) {
  CALL(open("f", O_RDWR | O_CREAT, 0640));
  show("f");
  CALL(open("f", O_RDWR | O_CREAT, 0777));
  show("f");
  CALL(open("readonly", O_RDONLY | O_CREAT, 0400));
  show("readonly");
  CALL(open("none", O_RDWR | O_CREAT, 0));
  show("none");
  CALL(open("special", O_RDWR | O_CREAT, 07777));
  show("special");
  CALL(creat("creat", 0600));
  show("creat");
}

ROW(OpenCreateExclusive) {
  CALL(open("f", O_RDWR | O_CREAT | O_EXCL, 0644));
  CALL(open("f", O_RDWR | O_CREAT | O_EXCL, 0644));
  CALL(mkdir("d", 0755));
  CALL(open("d", O_RDWR | O_CREAT | O_EXCL, 0644));
  CALL(symlink("f", "to_file"));
  CALL(open("to_file", O_RDWR | O_CREAT | O_EXCL, 0644));
  CALL(symlink("nowhere", "dangling"));
  CALL(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644));
  show_list(".");
}

ROW(OpenUmask) {
  for (const mode_t mask : {0, 027, 077, 0777}) {
    note("umask " + std::to_string(mask));
    umask(mask);
    CALL(open("f", O_RDWR | O_CREAT, 0666));
    CALL(mkdir("d", 0777));
    CALL(mkfifo("p", 0666));
    show("f");
    show("d");
    show("p");
    CALL(unlink("f"));
    CALL(rmdir("d"));
    CALL(unlink("p"));
  }
}

ROW(OpenTruncate) {
  make_file("f", "twelve bytes");
  const int reader = CALL(open("f", O_RDONLY));
  CALL(open("f", O_WRONLY | O_TRUNC));
  show("f");
  show(reader);
  make_file("g", "twelve bytes");
  CALL(open("g", O_RDONLY | O_TRUNC));
  show("g");
  make_file("h", "twelve bytes");
  CALL(open("h", O_RDWR | O_CREAT | O_TRUNC, 0600));
  show("h");
  make_file("readonly", "twelve bytes");
  CALL(chmod("readonly", 0400));
  as_user(kUser, kGroup, [] { CALL(open("readonly", O_WRONLY | O_TRUNC)); });
  show("readonly");
}

ROW(OpenAppend) {
  make_file("f", "one ");
  const int first = CALL(open("f", O_WRONLY | O_APPEND));
  const int second = CALL(open("f", O_RDWR | O_APPEND));
  CALL(write(first, "two ", 4));
  CALL(write(second, "three ", 6));
  CALL(write(first, "four", 4));
  CALL(lseek(second, 0, SEEK_CUR));
  CALL(lseek(second, 0, SEEK_SET));
  CALL(write(second, "!", 1));
  // Linux appends on pwrite, too.
  CALL(pwrite(second, "?", 1, 0));
  show_content("f");
}

// The kernel opened the backing file with O_APPEND, and that cannot be taken back from it.
ROW_DIFFERS_IN_PASSTHROUGH(OpenAppendTakenBack, R"(open("f", O_WRONLY | O_APPEND) = 3
fcntl(fd, F_SETFL, 0) = 0
pwrite(fd, "ONE", 3, 0) = 3
f: 10 bytes "one twoONE"
)") {
  make_file("f", "one two");
  const int fd = CALL(open("f", O_WRONLY | O_APPEND));
  CALL(fcntl(fd, F_SETFL, 0));
  CALL(pwrite(fd, "ONE", 3, 0));
  show_content("f");
}

ROW(OpenAppendSetLater) {
  make_file("f", "one two");
  const int fd = CALL(open("f", O_WRONLY));
  CALL(fcntl(fd, F_SETFL, O_APPEND));
  CALL(pwrite(fd, " three", 6, 0));
  CALL(write(fd, " four", 5));
  show_content("f");
}

ROW(OpenDirectory) {
  CALL(mkdir("d", 0755));
  make_file("f");
  CALL(open("d", O_RDONLY));
  CALL(open("d", O_WRONLY));
  CALL(open("d", O_RDWR));
  CALL(open("d", O_RDONLY | O_CREAT, 0644));
  CALL(open("d", O_RDONLY | O_TRUNC));
  CALL(open("d", O_RDONLY | O_DIRECTORY));
  CALL(open("f", O_RDONLY | O_DIRECTORY));
  CALL(open("missing", O_RDONLY | O_DIRECTORY));
  CALL(open("new", O_RDONLY | O_DIRECTORY | O_CREAT, 0755));
  show_list(".");
}

ROW(OpenTrailingSlash) {
  make_file("f");
  CALL(mkdir("d", 0755));
  CALL(symlink("f", "to_file"));
  CALL(open("f/", O_RDONLY));
  CALL(open("f/.", O_RDONLY));
  CALL(open("f/x", O_RDONLY));
  CALL(open("to_file/", O_RDONLY));
  CALL(open("new/", O_RDWR | O_CREAT, 0644));
  CALL(open("d/", O_RDONLY));
  CALL(open("d/..", O_RDONLY));
  CALL(open("d/../d/../f", O_RDONLY));
}

ROW(OpenPathOnly) {
  make_file("f", "bytes");
  char byte = 0;
  const int fd = CALL(open("f", O_PATH));
  CALL(read(fd, &byte, 1));
  CALL(write(fd, &byte, 1));
  CALL(ftruncate(fd, 0));
  CALL(fchmod(fd, 0600));
  show(fd);
  const std::string again = "/proc/self/fd/" + std::to_string(fd);
  CALL(open(again.c_str(), O_RDWR));
  CALL(open("missing", O_PATH));
}

ROW(OpenNoFollow) {
  make_file("f");
  CALL(symlink("f", "l"));
  CALL(open("l", O_RDONLY | O_NOFOLLOW));
  CALL(open("f", O_RDONLY | O_NOFOLLOW));
  CALL(open("l", O_PATH | O_NOFOLLOW));
  CALL(open("l", O_RDONLY | O_DIRECTORY));
}

ROW(OpenThroughSymlinks) {
  make_file("f", "target");
  CALL(mkdir("d", 0755));
  CALL(symlink("../f", "d/up"));
  CALL(symlink("d", "to_d"));
  show_content("to_d/up");
  CALL(symlink("created", "dangling"));
  CALL(open("dangling", O_RDONLY));
  CALL(open("dangling", O_RDWR | O_CREAT, 0644));
  show("created");
  CALL(symlink("a", "b"));
  CALL(symlink("b", "a"));
  CALL(open("a", O_RDONLY));
  CALL(open("a", O_RDWR | O_CREAT, 0644));
  CALL(open("a", O_PATH | O_NOFOLLOW));
  CALL(symlink("self/x", "self"));
  CALL(open("self", O_RDONLY));
}

ROW(OpenForTheWrongDirection) {
  make_file("f", "bytes");
  char byte = 0;
  const int reader = CALL(open("f", O_RDONLY));
  const int writer = CALL(open("f", O_WRONLY));
  CALL(write(reader, "x", 1));
  CALL(pwrite(reader, "x", 1, 0));
  CALL(ftruncate(reader, 0));
  CALL(read(writer, &byte, 1));
  CALL(pread(writer, &byte, 1, 0));
  CALL(write(writer, "x", 1));
  show_content("f");
}

ROW(OpenDirect) {
  constexpr std::size_t kBlock = 4096;
  char* block = static_cast<char*>(std::aligned_alloc(kBlock, 2 * kBlock));
  pattern(2 * kBlock).copy(block, 2 * kBlock);
  const int fd = CALL(open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
  CALL(pwrite(fd, block, 2 * kBlock, 0));
  CALL(pread(fd, block, kBlock, kBlock));
  CALL(pread(fd, block, kBlock, 2 * kBlock));
  show_content("f");
  std::free(block);
}

ROW(OpenNoAtime) {
  make_file("f", "bytes");
  CALL(chmod("f", 0666));
  CALL(open("f", O_RDONLY | O_NOATIME));
  as_user(kUser, kGroup, [] { CALL(open("f", O_RDONLY | O_NOATIME)); });
}

ROW(OpenSynchronous) {
  const int fd = CALL(open("f", O_RDWR | O_CREAT | O_SYNC, 0644));
  CALL(write(fd, "bytes", 5));
  CALL(fsync(fd));
  CALL(fdatasync(fd));
  CALL(syncfs(fd));
  CALL(sync_file_range(fd, 0, 5, SYNC_FILE_RANGE_WRITE));
  const int directory = CALL(open(".", O_RDONLY));
  CALL(fsync(directory));
  CALL(fdatasync(directory));
}

ROW(OpenFifo) {
  CALL(mkfifo("p", 0644));
  show("p");
  CALL(open("p", O_WRONLY | O_NONBLOCK));
  const int reader = CALL(open("p", O_RDONLY | O_NONBLOCK));
  const int writer = CALL(open("p", O_WRONLY | O_NONBLOCK));
  char bytes[8] = {};
  CALL(read(reader, bytes, sizeof bytes));
  CALL(write(writer, "through", 7));
  CALL(read(reader, bytes, sizeof bytes));
  note(bytes);
  CALL(close(writer));
  CALL(read(reader, bytes, sizeof bytes));
  CALL(lseek(reader, 0, SEEK_SET));
  CALL(ftruncate(reader, 0));
  CALL(truncate("p", 0));
  CALL(mkfifo("p", 0644));
}

ROW(OpenSocket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string("s").copy(address.sun_path, 1);
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  const int server = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
  CALL(bind(server, name, sizeof address));
  show("s");
  CALL(listen(server, 1));
  const int client = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
  CALL(connect(client, name, sizeof address));
  const int accepted = CALL(accept(server, nullptr, nullptr));
  char byte = 0;
  CALL(write(client, "x", 1));
  CALL(read(accepted, &byte, 1));
  CALL(open("s", O_RDWR));
  const int second = CALL(socket(AF_UNIX, SOCK_STREAM, 0));
  CALL(bind(second, name, sizeof address));
  CALL(unlink("s"));
  CALL(connect(second, name, sizeof address));
}

ROW(MakeNodes) {
  CALL(mknod("regular", S_IFREG | 0640, 0));
  CALL(mknod("typeless", 0600, 0));
  CALL(mknod("fifo", S_IFIFO | 0600, 0));
  CALL(mknod("socket", S_IFSOCK | 0600, 0));
  CALL(mknod("device", S_IFCHR | 0600, makedev(1, 3)));
  CALL(mknod("directory", S_IFDIR | 0700, 0));
  CALL(mknod("regular", S_IFREG | 0640, 0));
  for (const char* path : {"regular", "typeless", "fifo", "socket", "device", "directory"}) {
    show(path);
  }
  CALL(open("device", O_RDONLY));
  CALL(chmod(".", 0777));
  as_user(kUser, kGroup, [] {
    CALL(mknod("device2", S_IFCHR | 0600, makedev(1, 3)));
    CALL(mknod("fifo2", S_IFIFO | 0600, 0));
    show("fifo2");
  });
}

ROW(IoctlOfATerminal) {
  make_file("f");
  const int fd = CALL(open("f", O_RDWR));
  char bytes[64];
  CALL(ioctl(fd, TCGETS, bytes));
  CALL(isatty(fd) - 1);
}

ROW(Access) {
  make_file("f");
  CALL(mkdir("d", 0700));
  CALL(access("f", F_OK));
  CALL(access("f", R_OK | W_OK));
  CALL(access("f", X_OK));
  CALL(access("missing", F_OK));
  CALL(access("f/x", F_OK));
  CALL(access("d", R_OK | W_OK | X_OK));
  CALL(symlink("missing", "dangling"));
  CALL(access("dangling", F_OK));
  CALL(faccessat(AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
  as_user(kUser, kGroup, [] {
    CALL(access("f", R_OK));
    CALL(access("f", W_OK));
    CALL(access("d", R_OK));
    CALL(access("d/x", F_OK));
  });
}

ROW(OpenAsAnotherUser) {
  CALL(chmod(".", 0755));
  make_file("public", "bytes");
  make_file("private", "bytes");
  make_file("group", "bytes");
  CALL(chmod("private", 0600));
  CALL(chmod("group", 0660));
  CALL(chown("group", static_cast<uid_t>(-1), kGroup));
  CALL(mkdir("closed", 0700));
  make_file("closed/f");
  CALL(mkdir("no_search", 0744));
  make_file("no_search/f");
  CALL(mkdir("no_read", 0711));
  make_file("no_read/f");
  as_user(kUser, kGroup, [] {
    CALL(open("public", O_RDONLY));
    CALL(open("public", O_RDWR));
    CALL(open("private", O_RDONLY));
    CALL(open("group", O_RDWR));
    CALL(open("new", O_RDWR | O_CREAT, 0644));
    CALL(open("closed/f", O_RDONLY));
    CALL(open("no_search/f", O_RDONLY));
    CALL(open("no_search", O_RDONLY));
    CALL(open("no_read/f", O_RDONLY));
    CALL(open("no_read", O_RDONLY));
    CALL(mkdir("d", 0755));
    CALL(unlink("public"));
    CALL(rename("public", "p"));
    CALL(link("public", "p"));
    CALL(symlink("public", "p"));
  });
}

ROW(CreateAsAnotherUser) {
  CALL(chmod(".", 0777));
  as_user(kUser, kGroup, [] {
    make_file("f", "bytes");
    CALL(mkdir("d", 0755));
    CALL(symlink("f", "l"));
    CALL(mkfifo("p", 0644));
    for (const char* path : {"f", "d", "l", "p"}) {
      show(path);
    }
    CALL(open("mine", O_RDWR | O_CREAT, 0444));
    CALL(open("mine", O_RDWR));
  });
}

ROW(DescriptorSurvivesChmod) {
  CALL(chmod(".", 0777));
  as_user(kUser, kGroup, [] {
    make_file("f", "bytes");
    const int fd = CALL(open("f", O_RDWR));
    CALL(fchmod(fd, 0));
    CALL(write(fd, "BYTES", 5));
    char bytes[6] = {};
    CALL(pread(fd, bytes, 5, 0));
    note(bytes);
    CALL(open("f", O_RDONLY));
  });
}

}  // namespace
}  // namespace parity
