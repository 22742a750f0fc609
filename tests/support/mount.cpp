#include "mount.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace test_support {
namespace {

constexpr const char* kSize = "256M";
constexpr int kCommandTimeoutMs = 60'000;

/// Runs a command to its end and returns its exit status, or -1 when it did not end in time.
int run(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  pid_t pid = 0;
  if (const int error = posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ)) {
    throw std::system_error(error, std::generic_category(), words[0]);
  }
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  pollfd ended{.fd = pidfd, .events = POLLIN, .revents = 0};
  const bool in_time = poll(&ended, 1, kCommandTimeoutMs) == 1;
  close(pidfd);
  if (!in_time) {
    kill(pid, SIGKILL);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return in_time && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string binary() {
  const char* override = std::getenv("ARRAYFS_BIN");
  return override != nullptr ? override : ARRAYFS_BIN;
}

std::string fresh_directory(const std::filesystem::path& parent, const std::string& prefix) {
  std::string path = parent / (prefix + "-XXXXXX");
  if (mkdtemp(path.data()) == nullptr || chmod(path.c_str(), 0755) != 0) {
    throw std::system_error(errno, std::generic_category(), path);
  }
  return path;
}

}  // namespace

const char* name(Plane plane) {
  switch (plane) {
    case Plane::kTmpfs:
      return "tmpfs";
    case Plane::kCached:
      return "cached";
    case Plane::kPassthrough:
      return "passthrough";
  }
  return "";
}

bool have_fuse() {
  return access("/dev/fuse", F_OK) == 0;
}

Mount::Mount(Plane plane) : plane_(plane) {
  const std::filesystem::path temporary = std::filesystem::temp_directory_path();
  const std::string prefix = temporary.filename().string();
  const bool root = geteuid() == 0;
  // An ordinary user may not mount tmpfs; /dev/shm is one.
  path_ = fresh_directory(plane == Plane::kTmpfs && !root ? "/dev/shm" : temporary, prefix);
  // Small pages on both sides: whether a huge page is to be had depends on the machine's day, and
  // holes show it.
  if (plane == Plane::kTmpfs) {
    const std::string options = std::string("huge=never,mode=0755,size=") + kSize;
    if (root &&
        mount("tmpfs", path_.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
      throw std::system_error(errno, std::generic_category(), path_);
    }
    mounted_ = root;
    return;
  }
  const int status =
      run({binary(), "mount", path_, "--name", std::filesystem::path(path_).filename(), "--io",
           name(plane), "--size", kSize, "--huge", "never"});
  if (status != 0) {
    rmdir(path_.c_str());
    throw std::runtime_error("arrayfs mount " + path_ + ": exit " + std::to_string(status));
  }
  mounted_ = true;
}

Mount::~Mount() {
  if (mounted_) {
    const bool done = plane_ == Plane::kTmpfs ? umount2(path_.c_str(), 0) == 0
                                              : run({binary(), "umount", path_, "--discard"}) == 0;
    if (!done) {
      std::fprintf(stderr, "cannot unmount %s, detaching it\n", path_.c_str());
      abort();
    }
  }
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

void Mount::abort() {
  if (umount2(path_.c_str(), MNT_FORCE | MNT_DETACH) != 0) {
    run({"fusermount3", "-u", "-z", path_});
  }
  mounted_ = false;
  rmdir(path_.c_str());
}

}  // namespace test_support
