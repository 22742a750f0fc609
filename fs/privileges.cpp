#include "privileges.hpp"

#include <cap-ng.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <shm/posix.hpp>

namespace arrayfs {
namespace {

// Each with what it is for.
constexpr unsigned kNeeded[] = {
    CAP_SYS_ADMIN,        // passthrough, unmounting, trusted xattrs
    CAP_DAC_READ_SEARCH,  // files by handle
    CAP_DAC_OVERRIDE,     // files of everybody: the kernel has checked who asks
    CAP_CHOWN,            // chown on somebody's behalf
    CAP_FOWNER,           // chmod, times and xattrs of files of others
    CAP_FSETID,           // setgid bits that the caller may set
    CAP_SETUID,           // files that are made belong to who asked
    CAP_SETGID,           // likewise
    CAP_LEASE,            // a lease shows that nobody can write, or uses a file at all
    CAP_MKNOD,            // mknod on root's behalf
    CAP_SETFCAP,          // security.capability on root's behalf
    CAP_SYS_PTRACE,       // who has an array open or mapped
};

}  // namespace

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit highest{1U << 20, 1U << 20};  // fs.nr_open unless an administrator changed it
  const rlimit allowed{limit.rlim_max, limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &highest) != 0) {
    setrlimit(RLIMIT_NOFILE, &allowed);
  }
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

shm::Result<void> drop_privileges() {
  if (geteuid() != 0) {
    return {};
  }
  raise_descriptor_limit();
  // Needs a capability that goes: see act_as.hpp.
  if ((prctl(PR_GET_SECUREBITS) & SECBIT_NO_SETUID_FIXUP) == 0 &&
      prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) != 0) {
    return shm::posix::fail_errno("securebits");
  }
  bool held[CAP_LAST_CAP + 1] = {};
  capng_get_caps_process();
  for (const unsigned capability : kNeeded) {
    held[capability] = capng_have_capability(CAPNG_EFFECTIVE, capability) != 0;
  }
  const bool bounded = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
  capng_clear(CAPNG_SELECT_ALL);
  for (const unsigned capability : kNeeded) {
    if (held[capability]) {
      constexpr auto kSets =
          static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET);
      capng_update(CAPNG_ADD, kSets, capability);
    }
  }
  if (capng_apply(bounded ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) != 0) {
    return shm::fail(errno != 0 ? errno : EPERM, "capabilities");
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return shm::posix::fail_errno("no_new_privs");
  }
  return {};
}

}  // namespace arrayfs
