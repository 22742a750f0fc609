// Rows on mappings.

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "parity.hpp"

namespace parity {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kSize = 16 * kPage;

/// Maps and writes down whether that worked; the address itself differs from run to run.
char* map(int fd, std::size_t size, int protection, int flags, off_t offset = 0) {
  errno = 0;
  void* address = mmap(nullptr, size, protection, flags, fd, offset);
  note_result("mmap", address == MAP_FAILED ? -1 : 0, errno);
  return static_cast<char*>(address);
}

ROW(MapShared) {
  make_file("f", pattern(kSize));
  const int fd = CALL(open("f", O_RDWR));
  char* bytes = map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
  note(pattern(kSize) == std::string(bytes, kSize) ? "the file's bytes" : "other bytes");
  std::string_view("stored").copy(bytes + 5000, 6);
  char got[7] = {};
  CALL(pread(fd, got, 6, 5000));
  note(got);
  CALL(pwrite(fd, "written", 7, 9000));
  note(std::string(bytes + 9000, 7));
  CALL(msync(bytes, kSize, MS_SYNC));
  CALL(msync(bytes, kSize, MS_ASYNC));
  CALL(munmap(bytes, kSize));
  show_content("f");
}

ROW(MapSharedInTwoProcesses) {
  make_file("f", pattern(kSize));
  const int fd = CALL(open("f", O_RDWR));
  char* bytes = map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
  bytes[0] = 'A';
  in_child([] {
    const int other = CALL(open("f", O_RDWR));
    char* view = map(other, kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
    note(std::string(view, 1));
    view[1] = 'B';
    // Seen by the other process without unmapping or closing.
    in_child([] { show_content("f"); });
  });
  note(std::string(bytes, 2));
}

ROW(MapPrivate) {
  make_file("f", pattern(kSize));
  const int fd = CALL(open("f", O_RDONLY));
  char* bytes = map(fd, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  bytes[0] = 'x';
  show_content("f");
}

ROW(MapErrors) {
  make_file("f", pattern(kSize));
  const int reader = CALL(open("f", O_RDONLY));
  const int writer = CALL(open("f", O_WRONLY));
  const int fd = CALL(open("f", O_RDWR));
  const int path = CALL(open("f", O_PATH));
  const int directory = CALL(open(".", O_RDONLY));
  map(reader, kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
  map(reader, kSize, PROT_READ, MAP_SHARED);
  map(writer, kSize, PROT_READ, MAP_SHARED);
  map(writer, kSize, PROT_WRITE, MAP_SHARED);
  map(fd, 0, PROT_READ, MAP_SHARED);
  map(fd, kSize, PROT_READ, MAP_SHARED, 1);
  map(fd, kSize, PROT_READ, 0);
  map(path, kSize, PROT_READ, MAP_SHARED);
  map(directory, kSize, PROT_READ, MAP_SHARED);
  map(-1, kSize, PROT_READ, MAP_SHARED);
}

ROW(MapBeyondTheEnd) {
  make_file("f", pattern(100));
  const int fd = CALL(open("f", O_RDWR));
  char* bytes = map(fd, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED);
  note("after the end " + std::to_string(bytes[100]));
  bytes[200] = 'x';
  show("f");
  show_content("f");
  in_child([bytes] { note(std::to_string(bytes[kPage])); });
  CALL(ftruncate(fd, 2 * kPage));
  in_child([bytes] { note("now " + std::to_string(bytes[kPage])); });
}

ROW(MapAndShrink) {
  make_file("f", pattern(kSize));
  const int fd = CALL(open("f", O_RDWR));
  char* bytes = map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
  note(std::string(bytes + kSize - 1, 1));
  CALL(ftruncate(fd, kPage));
  note(std::string(bytes, 10));
  in_child([bytes] { note(std::to_string(bytes[2 * kPage])); });
}

ROW(MapOutlivesDescriptorAndName) {
  make_file("f", pattern(kSize));
  const int fd = CALL(open("f", O_RDWR));
  char* bytes = map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
  CALL(close(fd));
  bytes[0] = 'a';
  show_content("f");
  CALL(unlink("f"));
  bytes[1] = 'b';
  note(std::string(bytes, 2));
  make_file("f", "another file");
  bytes[2] = 'c';
  show_content("f");
  note(std::string(bytes, 3));
}

ROW(MapOutlivesRename) {
  make_file("f", pattern(kSize));
  make_file("g", "short");
  const int fd = CALL(open("f", O_RDWR));
  char* bytes = map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
  CALL(rename("g", "f"));
  bytes[kSize - 1] = 'z';
  note(std::string(bytes + kSize - 1, 1));
  show_content("f");
}

ROW(MapOfASparseFile) {
  const int fd = CALL(open("f", O_RDWR | O_CREAT, 0644));
  CALL(ftruncate(fd, kSize));
  char* bytes = map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
  note("hole " + std::to_string(bytes[kSize / 2]));
  bytes[kSize / 2] = 'x';
  show_content("f");
  CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kSize));
  note("punched " + std::to_string(bytes[kSize / 2]));
}

ROW(MapStoreAndTimes) {
  make_file("f", pattern(kSize));
  const int fd = CALL(open("f", O_RDWR));
  show_times_moved("f", "mc", [fd] {
    char* bytes = map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
    bytes[0] = 'x';
    CALL(msync(bytes, kSize, MS_SYNC));
    CALL(munmap(bytes, kSize));
  });
}

ROW(MapFlags) {
  make_file("f", pattern(kSize));
  const int fd = CALL(open("f", O_RDWR));
  const char* populated = map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE);
  note(pattern(kSize) == std::string(populated, kSize) ? "the file's bytes" : "other bytes");
  map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE);
  map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC);
  map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_SYNC);
  map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_LOCKED);
  map(fd, kSize, PROT_READ | PROT_EXEC, MAP_PRIVATE);
  map(fd, kSize, PROT_READ, MAP_SHARED | MAP_NORESERVE);
}

ROW(Msync) {
  make_file("f", pattern(kSize));
  const int fd = CALL(open("f", O_RDWR));
  char* bytes = map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
  bytes[0] = 'x';
  CALL(msync(bytes, kPage, MS_SYNC | MS_INVALIDATE));
  CALL(msync(bytes, kPage, MS_SYNC | MS_ASYNC));
  CALL(msync(bytes + 1, kPage, MS_SYNC));
  CALL(msync(bytes, kPage, 8));
  CALL(msync(bytes, 0, MS_SYNC));
  CALL(munmap(bytes + kPage, kPage));
  CALL(msync(bytes, kSize, MS_SYNC));
  show_content("f");
}

ROW(Mlock) {
  make_file("f", pattern(kSize));
  const int fd = CALL(open("f", O_RDWR));
  char* bytes = map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
  CALL(mlock(bytes, kSize));
  CALL(madvise(bytes, kSize, MADV_DONTNEED));
  CALL(munlock(bytes, kSize));
  CALL(mlock2(bytes, kSize, MLOCK_ONFAULT));
  CALL(munlock(bytes, kSize));
  CALL(madvise(bytes, kSize, MADV_DONTNEED));
  note(pattern(kSize) == std::string(bytes, kSize) ? "the file's bytes" : "other bytes");
}

ROW(Remap) {
  make_file("f", pattern(kSize));
  const int fd = CALL(open("f", O_RDWR));
  char* bytes = map(fd, kPage, PROT_READ | PROT_WRITE, MAP_SHARED);
  bytes = static_cast<char*>(mremap(bytes, kPage, kSize, MREMAP_MAYMOVE));
  note(pattern(kSize) == std::string(bytes, kSize) ? "the file's bytes" : "other bytes");
  bytes[kSize - 1] = 'x';
  // A second view of the same pages.
  char* second = static_cast<char*>(mremap(bytes, 0, kSize, MREMAP_MAYMOVE));
  second[0] = 'y';
  note(std::string(bytes, 1));
  CALL(munmap(second, kSize));
  bytes = static_cast<char*>(mremap(bytes, kSize, kPage, 0));
  CALL(munmap(bytes, kPage));
  show_content("f");
}

ROW(Madvise) {
  make_file("f", pattern(kSize));
  const int fd = CALL(open("f", O_RDWR));
  char* bytes = map(fd, kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
  CALL(madvise(bytes, kSize, MADV_WILLNEED));
  CALL(madvise(bytes, kSize, MADV_DONTNEED));
  CALL(madvise(bytes, kSize, MADV_POPULATE_READ));
  CALL(madvise(bytes, kSize, MADV_POPULATE_WRITE));
  CALL(mprotect(bytes, kSize, PROT_READ));
  CALL(mlock(bytes, kPage));
  note(pattern(kSize) == std::string(bytes, kSize) ? "the file's bytes" : "other bytes");
  CALL(madvise(bytes, kSize, MADV_REMOVE));
}

}  // namespace
}  // namespace parity
