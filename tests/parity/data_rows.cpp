// Rows on reading, writing and sizes.

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "parity.hpp"

namespace parity {
namespace {

constexpr off_t kPage = 4096;
constexpr off_t kMebibyte = 1 << 20;
constexpr uid_t kUser = 1234;

ROW(ReadAndWrite) {
  std::array<char, 64> bytes{};
  const int fd = CALL(open("f", O_RDWR | O_CREAT, 0644));
  CALL(read(fd, bytes.data(), bytes.size()));
  CALL(write(fd, "0123456789", 10));
  CALL(write(fd, "", 0));
  CALL(lseek(fd, 0, SEEK_CUR));
  CALL(read(fd, bytes.data(), bytes.size()));
  CALL(lseek(fd, 4, SEEK_SET));
  CALL(read(fd, bytes.data(), 3));
  note(bytes.data());
  CALL(read(fd, bytes.data(), bytes.size()));
  CALL(read(fd, bytes.data(), 0));
  void* nowhere = mmap(nullptr, kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CALL(read(fd, nowhere, 1));
  CALL(write(fd, nowhere, 1));
  CALL(read(-1, bytes.data(), 1));
  show_content("f");
}

ROW(PositionedReadAndWrite) {
  std::array<char, 16> bytes{};
  const int fd = CALL(open("f", O_RDWR | O_CREAT, 0644));
  CALL(pwrite(fd, "end", 3, kMebibyte));
  show("f");
  CALL(pwrite(fd, "start", 5, 0));
  CALL(pread(fd, bytes.data(), bytes.size(), 0));
  CALL(pread(fd, bytes.data(), bytes.size(), kMebibyte));
  CALL(pread(fd, bytes.data(), bytes.size(), kMebibyte + 3));
  CALL(pread(fd, bytes.data(), bytes.size(), 10 * kMebibyte));
  CALL(pread(fd, bytes.data(), 1, -1));
  CALL(pwrite(fd, "x", 1, -1));
  CALL(lseek(fd, 0, SEEK_CUR));
  show_content("f");
}

ROW(VectoredReadAndWrite) {
  std::array<char, 4> one{'o', 'n', 'e', ' '};
  std::array<char, 4> two{'t', 'w', 'o', '.'};
  std::array<iovec, 2> both{iovec{one.data(), one.size()}, iovec{two.data(), two.size()}};
  const int fd = CALL(open("f", O_RDWR | O_CREAT, 0644));
  CALL(writev(fd, both.data(), 2));
  CALL(pwritev(fd, both.data(), 2, 100));
  CALL(preadv(fd, both.data(), 2, 2));
  const std::vector<iovec> too_many(IOV_MAX + 1);
  CALL(writev(fd, too_many.data(), IOV_MAX + 1));
  CALL(pwritev2(fd, both.data(), 2, 0, RWF_APPEND));
  CALL(pwritev2(fd, both.data(), 2, -1, RWF_DSYNC));
  show_content("f");
}

ROW(FlagsOfSingleCalls) {
  std::array<char, 4> bytes{'m', 'o', 'r', 'e'};
  const iovec piece{bytes.data(), bytes.size()};
  make_file("f", "twelve bytes");
  const int fd = CALL(open("f", O_RDWR));
  CALL(pwritev2(fd, &piece, 1, 0, RWF_APPEND));
  CALL(pwritev2(fd, &piece, 1, -1, RWF_APPEND));
  CALL(lseek(fd, 0, SEEK_CUR));
  CALL(pwritev2(fd, &piece, 1, 2, RWF_SYNC));
  CALL(pwritev2(fd, &piece, 1, 2, RWF_HIPRI));
  CALL(pwritev2(fd, &piece, 1, 2, 1 << 30));
  show_content("f");
  CALL(preadv2(fd, &piece, 1, 0, 0));
  CALL(preadv2(fd, &piece, 1, 100, RWF_NOWAIT));
  CALL(preadv2(fd, &piece, 1, 0, RWF_HIPRI));
  CALL(preadv2(fd, &piece, 1, 0, 1 << 30));
}

ROW(ForgetCachedPages) {
  make_file("f", pattern(100'000));
  const int fd = CALL(open("f", O_RDWR));
  CALL(pwrite(fd, "changed", 7, 50'000));
  CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
  CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_NOREUSE));
  CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM));
  CALL(posix_fadvise(fd, -1, 0, POSIX_FADV_NORMAL));
  CALL(posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL));
  show_content("f");
  CALL(readahead(fd, 0, 100'000));
}

ROW(LargeWrites) {
  const std::string bytes = pattern(5'000'001);
  const int fd = CALL(open("f", O_RDWR | O_CREAT, 0644));
  CALL(write(fd, bytes.data(), bytes.size()));
  CALL(pwrite(fd, bytes.data(), bytes.size(), 3));
  show("f");
  show_content("f");
}

ROW(SendfileAndSplice) {
  make_file("from", pattern(300'000));
  const int from = CALL(open("from", O_RDONLY));
  const int to = CALL(open("to", O_RDWR | O_CREAT, 0644));
  off_t offset = 1000;
  CALL(sendfile(to, from, &offset, 200'000));
  note("offset " + std::to_string(offset));
  show_content("to");
  std::array<int, 2> ends{};
  CALL(pipe(ends.data()));
  loff_t where = 7;
  CALL(splice(from, &where, ends[1], nullptr, kPage, 0));
  loff_t there = 500'000;
  CALL(splice(ends[0], nullptr, to, &there, kPage, 0));
  show_content("to");
}

ROW(Truncate) {
  make_file("f", "0123456789");
  CALL(truncate("f", 4));
  show_content("f");
  CALL(truncate("f", 8));
  show_content("f");
  const int fd = CALL(open("f", O_RDWR));
  CALL(ftruncate(fd, kMebibyte + 1));
  show(fd);
  CALL(ftruncate(fd, 0));
  show("f");
  CALL(ftruncate(fd, 0));
  CALL(ftruncate(fd, -1));
  CALL(truncate("f", -1));
  CALL(truncate("missing", 0));
  CALL(truncate("f/x", 0));
  CALL(truncate("", 0));
  CALL(ftruncate(-1, 0));
}

ROW(TruncateZeroesTheTail) {
  make_file("f", pattern(10'000));
  CALL(truncate("f", 5000));
  CALL(truncate("f", 10'000));
  show_content("f");
  CALL(truncate("f", kPage));
  CALL(truncate("f", 2 * kPage));
  show_content("f");
}

ROW(TruncateMovesNoOffset) {
  make_file("f", "0123456789");
  const int fd = CALL(open("f", O_RDWR));
  CALL(lseek(fd, 8, SEEK_SET));
  CALL(ftruncate(fd, 2));
  CALL(lseek(fd, 0, SEEK_CUR));
  char byte = 0;
  CALL(read(fd, &byte, 1));
  CALL(write(fd, "x", 1));
  show_content("f");
}

ROW(TruncateAsAnotherUser) {
  make_file("f", "0123456789");
  as_user(kUser, kUser, [] { CALL(truncate("f", 0)); });
  CALL(chmod("f", 0666));
  as_user(kUser, kUser, [] { CALL(truncate("f", 3)); });
  show("f");
}

ROW(FileSizeLimit) {
  struct rlimit limit {
    1000, 1000
  };
  make_file("f", pattern(900));
  const int fd = CALL(open("f", O_RDWR));
  std::signal(SIGXFSZ, SIG_IGN);
  CALL(setrlimit(RLIMIT_FSIZE, &limit));
  CALL(pwrite(fd, pattern(200).data(), 200, 900));
  CALL(pwrite(fd, "x", 1, 1000));
  CALL(ftruncate(fd, 2000));
  CALL(fallocate(fd, 0, 0, 2000));
  struct stat status {};
  fstat(fd, &status);
  // The transcript is a pipe: the limit does not reach it.
  note("size " + std::to_string(status.st_size));
}

ROW(LargestOffsets) {
  constexpr off_t kLargest = std::numeric_limits<off_t>::max();
  make_file("f", "x");
  const int fd = CALL(open("f", O_RDWR));
  char byte = 0;
  CALL(lseek(fd, kLargest, SEEK_SET));
  CALL(lseek(fd, 1, SEEK_CUR));
  CALL(lseek(fd, -2, SEEK_END));
  CALL(lseek(fd, 0, 77));
  CALL(pread(fd, &byte, 1, kLargest));
  CALL(pwrite(fd, &byte, 1, kLargest));
  show("f");
}

ROW(Allocate) {
  const int fd = CALL(open("f", O_RDWR | O_CREAT, 0644));
  CALL(fallocate(fd, 0, 0, kMebibyte));
  show("f");
  CALL(fallocate(fd, 0, 0, kPage));
  show("f");
  CALL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 * kMebibyte));
  show("f");
  CALL(fallocate(fd, 0, kMebibyte - 1, 100));
  show("f");
  CALL(posix_fallocate(fd, 0, 2 * kMebibyte));
  show("f");
  struct stat status {};
  fstat(fd, &status);
  note(status.st_blocks * 512 >= 2 * kMebibyte ? "the pages are there" : "the pages are not there");
  CALL(pwrite(fd, "bytes", 5, 10));
  CALL(fallocate(fd, 0, 0, kMebibyte));
  show_content("f");
}

ROW(AllocateBadArguments) {
  make_file("f", "bytes");
  const int fd = CALL(open("f", O_RDWR));
  const int reader = CALL(open("f", O_RDONLY));
  CALL(fallocate(fd, 0, -1, 10));
  CALL(fallocate(fd, 0, 0, 0));
  CALL(fallocate(fd, 0, 0, -1));
  CALL(fallocate(fd, 0, std::numeric_limits<off_t>::max(), 1));
  CALL(fallocate(reader, 0, 0, 10));
  CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
  CALL(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, kPage));
  CALL(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, kPage));
  CALL(fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, kPage));
  CALL(fallocate(fd, 1 << 20, 0, 10));
  CALL(mkfifo("p", 0600));
  const int fifo = CALL(open("p", O_RDWR | O_NONBLOCK));
  CALL(fallocate(fifo, 0, 0, 10));
  show_content("f");
}

ROW(AllocateBeyondCapacity) {
  make_file("f", "bytes");
  const int fd = CALL(open("f", O_RDWR));
  CALL(fallocate(fd, 0, 0, off_t{1} << 40));
  CALL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, off_t{1} << 40));
  show_content("f");
  make_file("g", "more");
  show_content("g");
}

ROW(PunchHole) {
  make_file("f", pattern(8 * kPage));
  const int fd = CALL(open("f", O_RDWR));
  CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * kPage, 3 * kPage));
  show_content("f");
  struct stat status {};
  fstat(fd, &status);
  note("blocks " + std::to_string(status.st_blocks));
  CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 200));
  show_content("f");
  CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 7 * kPage, 100 * kPage));
  show_content("f");
  show("f");
}

ROW(ZeroRange) {
  make_file("f", pattern(8 * kPage));
  const int fd = CALL(open("f", O_RDWR));
  CALL(fallocate(fd, FALLOC_FL_ZERO_RANGE, kPage, kPage));
  CALL(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, kPage, kPage));
  show_content("f");
}

ROW(SeekDataAndHoles) {
  const int fd = CALL(open("f", O_RDWR | O_CREAT, 0644));
  const std::string page = pattern(kPage);
  CALL(pwrite(fd, page.data(), kPage, 4 * kPage));
  CALL(pwrite(fd, page.data(), kPage, 100 * kPage));
  CALL(lseek(fd, 0, SEEK_DATA));
  CALL(lseek(fd, 0, SEEK_HOLE));
  CALL(lseek(fd, 4 * kPage + 5, SEEK_DATA));
  CALL(lseek(fd, 4 * kPage, SEEK_HOLE));
  CALL(lseek(fd, 5 * kPage, SEEK_DATA));
  CALL(lseek(fd, 100 * kPage, SEEK_HOLE));
  CALL(lseek(fd, 101 * kPage, SEEK_DATA));
  CALL(lseek(fd, 101 * kPage, SEEK_HOLE));
  CALL(lseek(fd, 101 * kPage - 1, SEEK_HOLE));
  CALL(lseek(fd, 1000 * kPage, SEEK_DATA));
  CALL(lseek(fd, -1, SEEK_DATA));
  CALL(lseek(fd, -1, SEEK_HOLE));
  CALL(lseek(fd, 0, SEEK_CUR));
  make_file("empty");
  const int empty = CALL(open("empty", O_RDONLY));
  CALL(lseek(empty, 0, SEEK_DATA));
  CALL(lseek(empty, 0, SEEK_HOLE));
}

ROW(SparseFile) {
  const int fd = CALL(open("f", O_RDWR | O_CREAT, 0644));
  CALL(ftruncate(fd, 8 * kMebibyte));
  show("f");
  show_content("f");
  CALL(pwrite(fd, "x", 1, 5 * kMebibyte));
  show_content("f");
  CALL(lseek(fd, 0, SEEK_DATA));
}

ROW(CopyFileRange) {
  make_file("from", pattern(100'000));
  const int from = CALL(open("from", O_RDONLY));
  const int to = CALL(open("to", O_RDWR | O_CREAT, 0644));
  CALL(copy_file_range(from, nullptr, to, nullptr, 50'000, 0));
  CALL(lseek(from, 0, SEEK_CUR));
  CALL(lseek(to, 0, SEEK_CUR));
  show_content("to");
  loff_t in = 90'000;
  loff_t out = 200'000;
  CALL(copy_file_range(from, &in, to, &out, 50'000, 0));
  note("offsets " + std::to_string(in) + " " + std::to_string(out));
  show_content("to");
  CALL(copy_file_range(from, &in, to, &out, 50'000, 0));
  CALL(copy_file_range(from, nullptr, to, nullptr, 0, 0));
}

ROW(CopyFileRangeBadArguments) {
  make_file("f", pattern(10'000));
  const int fd = CALL(open("f", O_RDWR));
  const int reader = CALL(open("f", O_RDONLY));
  const int appender = CALL(open("f", O_WRONLY | O_APPEND));
  const int directory = CALL(open(".", O_RDONLY));
  loff_t in = 0;
  loff_t out = 100;
  CALL(copy_file_range(fd, &in, fd, &out, 1000, 0));
  CALL(copy_file_range(fd, &in, reader, &out, 10, 0));
  CALL(copy_file_range(appender, &in, fd, &out, 10, 0));
  CALL(copy_file_range(fd, &in, appender, &out, 10, 0));
  CALL(copy_file_range(fd, &in, directory, &out, 10, 0));
  CALL(copy_file_range(directory, &in, fd, &out, 10, 0));
  CALL(copy_file_range(fd, &in, fd, &out, 10, 1));
  in = 0;
  out = 5000;
  CALL(copy_file_range(fd, &in, fd, &out, 1000, 0));
  show_content("f");
}

ROW(CopyFileRangeFromElsewhere) {
  const int from = CALL(open("/proc/self/exe", O_RDONLY));
  const int to = CALL(open("to", O_RDWR | O_CREAT, 0644));
  CALL(copy_file_range(from, nullptr, to, nullptr, 10'000, 0));
  show("to");
}

// libfuse has no operation for it before 3.17; programs fall back to a name that they unlink.
ROW_DIFFERS(Temporary, R"(open(".", O_RDWR | O_TMPFILE, 0640) = -1 EOPNOTSUPP
)") {
  const int fd = CALL(open(".", O_RDWR | O_TMPFILE, 0640));
  if (fd < 0) {
    return;
  }
  CALL(write(fd, "bytes", 5));
  show(fd);
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  CALL(linkat(AT_FDCWD, path.c_str(), AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
  show_content("f");
  show_list(".");
}

ROW(AdviseAndReadahead) {
  make_file("f", pattern(100'000));
  const int fd = CALL(open("f", O_RDWR));
  CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
  CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
  CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
  CALL(posix_fadvise(fd, 0, 0, 77));
  show_content("f");
}

ROW(WritesAreSeenAtOnce) {
  make_file("f", "first");
  const int writer = CALL(open("f", O_RDWR));
  const int reader = CALL(open("f", O_RDONLY));
  std::array<char, 16> bytes{};
  CALL(pwrite(writer, "FIRST and second", 16, 0));
  in_child([] {
    show("f");
    show_content("f");
  });
  CALL(pread(reader, bytes.data(), 15, 0));
  note(bytes.data());
  in_child([] {
    const int fd = CALL(open("f", O_WRONLY | O_APPEND));
    CALL(write(fd, "!", 1));
  });
  show(reader);
  show_content("f");
  in_child([] { CALL(truncate("f", 3)); });
  show(writer);
  CALL(pread(reader, bytes.data(), 15, 0));
}

}  // namespace
}  // namespace parity
