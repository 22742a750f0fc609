// Rows on flock, record locks and leases.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "parity.hpp"

namespace parity {
namespace {

struct flock range(short type, off_t start, off_t length) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

/// Writes down who is in the way of a lock; whether it is another process, not which.
void show_conflict(int fd, int command, short type, off_t start, off_t length) {
  struct flock lock = range(type, start, length);
  CALL(fcntl(fd, command, &lock));
  note("type " + std::to_string(lock.l_type) + " from " + std::to_string(lock.l_start) +
       " length " + std::to_string(lock.l_len) + (lock.l_pid == getppid() ? " of the parent" : ""));
}

ROW(FlockExcludes) {
  make_file("f");
  const int first = CALL(open("f", O_RDWR));
  const int second = CALL(open("f", O_RDWR));
  CALL(flock(first, LOCK_EX | LOCK_NB));
  CALL(flock(second, LOCK_EX | LOCK_NB));
  CALL(flock(second, LOCK_SH | LOCK_NB));
  in_child([] {
    const int other = CALL(open("f", O_RDONLY));
    CALL(flock(other, LOCK_SH | LOCK_NB));
  });
  CALL(flock(first, LOCK_SH | LOCK_NB));
  CALL(flock(second, LOCK_SH | LOCK_NB));
  CALL(flock(second, LOCK_EX | LOCK_NB));
  CALL(close(first));
  CALL(flock(second, LOCK_EX | LOCK_NB));
  CALL(flock(second, LOCK_UN));
  CALL(flock(second, 77));
}

ROW(FlockOfADirectory) {
  CALL(mkdir("d", 0755));
  const int first = CALL(open("d", O_RDONLY));
  const int second = CALL(open("d", O_RDONLY));
  CALL(flock(first, LOCK_EX | LOCK_NB));
  CALL(flock(second, LOCK_EX | LOCK_NB));
}

ROW(FlockIsShared) {
  make_file("f");
  const int fd = CALL(open("f", O_RDWR));
  const int copy = CALL(dup(fd));
  CALL(flock(fd, LOCK_EX | LOCK_NB));
  CALL(flock(copy, LOCK_EX | LOCK_NB));
  in_child([fd] { CALL(flock(fd, LOCK_EX | LOCK_NB)); });
  CALL(close(fd));
  in_child([] {
    const int other = CALL(open("f", O_RDWR));
    CALL(flock(other, LOCK_EX | LOCK_NB));
  });
}

ROW(RecordLocks) {
  make_file("f", pattern(100));
  static int fd = CALL(open("f", O_RDWR));
  struct flock lock = range(F_WRLCK, 10, 20);
  CALL(fcntl(fd, F_SETLK, &lock));
  lock = range(F_RDLCK, 50, 10);
  CALL(fcntl(fd, F_SETLK, &lock));
  in_child([] {
    show_conflict(fd, F_GETLK, F_RDLCK, 0, 0);
    show_conflict(fd, F_GETLK, F_RDLCK, 50, 10);
    show_conflict(fd, F_GETLK, F_WRLCK, 55, 1);
    struct flock wanted = range(F_WRLCK, 0, 10);
    CALL(fcntl(fd, F_SETLK, &wanted));
    wanted = range(F_WRLCK, 15, 1);
    CALL(fcntl(fd, F_SETLK, &wanted));
    wanted = range(F_RDLCK, 55, 1);
    CALL(fcntl(fd, F_SETLK, &wanted));
  });
  lock = range(F_UNLCK, 15, 5);
  CALL(fcntl(fd, F_SETLK, &lock));
  in_child([] {
    struct flock wanted = range(F_WRLCK, 15, 5);
    CALL(fcntl(fd, F_SETLK, &wanted));
    show_conflict(fd, F_GETLK, F_WRLCK, 12, 100);
  });
  // Closing any descriptor of the file drops the process's locks.
  CALL(close(CALL(open("f", O_RDONLY))));
  in_child([] { show_conflict(fd, F_GETLK, F_WRLCK, 0, 0); });
}

ROW(RecordLockErrors) {
  make_file("f");
  const int reader = CALL(open("f", O_RDONLY));
  const int writer = CALL(open("f", O_WRONLY));
  struct flock lock = range(F_WRLCK, 0, 0);
  CALL(fcntl(reader, F_SETLK, &lock));
  lock = range(F_RDLCK, 0, 0);
  CALL(fcntl(writer, F_SETLK, &lock));
  lock = range(F_RDLCK, -1, 0);
  CALL(fcntl(reader, F_SETLK, &lock));
  lock = range(77, 0, 0);
  CALL(fcntl(reader, F_SETLK, &lock));
  const int path = CALL(open("f", O_PATH));
  lock = range(F_RDLCK, 0, 0);
  CALL(fcntl(path, F_SETLK, &lock));
}

ROW(RecordLocksEndWithTheProcess) {
  make_file("f");
  static int fd = CALL(open("f", O_RDWR));
  in_child([] {
    struct flock lock = range(F_WRLCK, 0, 0);
    CALL(fcntl(fd, F_SETLK, &lock));
  });
  struct flock lock = range(F_WRLCK, 0, 0);
  CALL(fcntl(fd, F_SETLK, &lock));
}

ROW(OpenFileDescriptionLocks) {
  make_file("f", pattern(100));
  const int first = CALL(open("f", O_RDWR));
  const int second = CALL(open("f", O_RDWR));
  struct flock lock = range(F_WRLCK, 0, 50);
  CALL(fcntl(first, F_OFD_SETLK, &lock));
  CALL(fcntl(second, F_OFD_SETLK, &lock));
  lock = range(F_WRLCK, 50, 50);
  CALL(fcntl(second, F_OFD_SETLK, &lock));
  show_conflict(second, F_OFD_GETLK, F_RDLCK, 0, 0);
  in_child([second] {
    struct flock mine = range(F_WRLCK, 60, 1);
    CALL(fcntl(second, F_OFD_SETLK, &mine));
    CALL(fcntl(second, F_SETLK, &mine));
  });
  CALL(close(first));
  lock = range(F_WRLCK, 0, 0);
  CALL(fcntl(second, F_OFD_SETLK, &lock));
}

ROW(LocksOfAnUnlinkedFile) {
  make_file("f");
  const int first = CALL(open("f", O_RDWR));
  const int second = CALL(open("f", O_RDWR));
  CALL(unlink("f"));
  CALL(flock(first, LOCK_EX | LOCK_NB));
  CALL(flock(second, LOCK_EX | LOCK_NB));
  struct flock lock = range(F_WRLCK, 0, 0);
  CALL(fcntl(first, F_OFD_SETLK, &lock));
  CALL(fcntl(second, F_OFD_SETLK, &lock));
}

}  // namespace
}  // namespace parity
