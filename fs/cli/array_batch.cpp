#include "array_batch.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

namespace arrayfs {
namespace {

namespace stdfs = std::filesystem;
using shm::fail;
using shm::Result;

// A hidden name that nothing has, in the directory of the path.
Result<std::string> aside_of(const std::string& path) {
  return shm::posix::random_bits().map([&](std::uint64_t bits) {
    return path.substr(0, path.rfind('/') + 1) + ".arrayfs-" + std::to_string(bits);
  });
}

// Each of two names gets what the other has, at once.
Result<void> swap_names(const std::string& one, const std::string& other) {
  const bool done = renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0;
  return done ? Result<void>{} : shm::posix::fail_errno(other);
}

bool is_interrupted() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGHUP) == 1 || sigismember(&pending, SIGINT) == 1 ||
         sigismember(&pending, SIGTERM) == 1;
}

// Who asked knows the path, not the name aside.
shm::Error about(const std::string& path, const std::string& aside, const shm::Error& error) {
  const bool named = error.context.starts_with(aside);
  return {error.code, path + (named ? error.context.substr(aside.size()) : ": " + error.context)};
}

}  // namespace

ArrayBatch::ArrayBatch(bool replace) : replace_(replace) {
  sigset_t ending;
  sigemptyset(&ending);
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    sigaddset(&ending, signal);
  }
  pthread_sigmask(SIG_BLOCK, &ending, &signals_before_);
}

ArrayBatch::~ArrayBatch() {
  std::for_each(members_.rbegin(), members_.rend(), take_back);
  std::error_code kept;
  std::for_each(directories_.rbegin(), directories_.rend(),
                [&](const stdfs::path& directory) { stdfs::remove(directory, kept); });
  pthread_sigmask(SIG_SETMASK, &signals_before_, nullptr);
}

Result<void> ArrayBatch::check_name(const std::string& path) const {
  const auto there = shm::posix::stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
  if (there && !replace_) {
    return fail(EEXIST, path);
  }
  return there && S_ISDIR(there->st_mode) ? fail(EISDIR, path) : Result<void>{};
}

Result<void> ArrayBatch::make_parents(const stdfs::path& path) {
  const stdfs::path directory = path.parent_path();
  std::error_code error;
  if (directory.empty() || stdfs::is_directory(directory, error)) {
    return {};
  }
  return make_parents(directory).and_then([&]() -> Result<void> {
    std::error_code failed;
    if (!stdfs::create_directory(directory, failed) && failed) {
      return fail(failed.value(), directory.string());
    }
    directories_.push_back(directory);
    return {};
  });
}

Result<void> ArrayBatch::add(const std::string& path, const shm::Dtype& dtype,
                             const shm::Shape& shape, const shm::CreateOptions& options) {
  if (is_interrupted()) {
    return fail(EINTR, path);
  }
  const auto aside = check_name(path).and_then([&] { return aside_of(path); });
  if (!aside) {
    return tl::unexpected(aside.error());
  }
  return shm::Array::create(*aside, dtype, shape, options)
      .map([&](const shm::Array&) {
        members_.push_back({path, *aside});
      })
      .map_error([&](const shm::Error& error) { return about(path, *aside, error); });
}

// One alone needs no way back: a rename replaces at once.
Result<void> ArrayBatch::publish(Member& member, bool alone) {
  member.replaces =
      replace_ && !alone && shm::posix::stat_at(AT_FDCWD, member.path, AT_SYMLINK_NOFOLLOW);
  auto renamed = member.replaces     ? swap_names(member.aside, member.path)
                 : replace_ && alone ? shm::posix::rename(member.aside, member.path)
                                     : shm::posix::rename_new(member.aside, member.path);
  if (!renamed) {
    return fail(renamed.error().code, member.path);
  }
  member.published = true;
  return {};
}

Result<void> ArrayBatch::publish() {
  for (Member& member : members_) {
    if (auto done = publish(member, members_.size() == 1); !done) {
      return done;
    }
  }
  std::ranges::for_each(members_, drop_replaced);
  members_.clear();
  directories_.clear();
  return {};
}

void ArrayBatch::take_back(Member& member) {
  if (member.published && member.replaces && !swap_names(member.aside, member.path)) {
    return;  // the old one stays, if only under the name aside
  }
  const bool there = member.published && !member.replaces;
  static_cast<void>(shm::posix::unlink(there ? member.path : member.aside));
}

// Another name of the new array is renamed over the old one, which is how an arrayfs mount passes
// the sync page of what is replaced to its heir; names of the same file that remain are removed.
void ArrayBatch::drop_replaced(Member& member) {
  if (!member.replaces) {
    return;
  }
  const auto heir = aside_of(member.path);
  std::error_code failed;
  if (heir) {
    stdfs::create_hard_link(member.path, *heir, failed);
    static_cast<void>(shm::posix::rename(*heir, member.aside));
  }
  static_cast<void>(shm::posix::unlink(member.aside));
}

}  // namespace arrayfs
