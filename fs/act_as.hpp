// Makes files with the ids and the umask of who asked for them.
#pragma once

#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_system.hpp"

namespace arrayfs {

// New files belong to who asked for them: while it lives, this thread makes files with the
// caller's ids and umask, so that they never exist with others. Capabilities are kept
// (SECBIT_NO_SETUID_FIXUP): the kernel has checked the caller's permissions already, with groups
// and ACLs that this thread does not have.
class ActAs {
 public:
  explicit ActAs(const Caller& caller)
      : switched_(geteuid() == 0 && (caller.uid != 0 || caller.gid != 0)) {
    umask(caller.umask);
    if (switched_) {
      setfsgid(caller.gid);
      setfsuid(caller.uid);
    }
  }
  ActAs(const ActAs&) = delete;
  ActAs& operator=(const ActAs&) = delete;
  ~ActAs() {
    if (switched_) {
      setfsuid(0);
      setfsgid(0);
    }
    umask(0);
  }

 private:
  bool switched_;
};

}  // namespace arrayfs
