#include "archive.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <shm/posix.hpp>

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr std::string_view kSuffix = ".npy";

Result<std::vector<std::string>> regular_files(int directory_fd) {
  auto fd = shm::posix::open_at(directory_fd, ".", O_RDONLY | O_DIRECTORY);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(fd->get()), closedir);
  if (!directory) {
    return fail(errno);
  }
  static_cast<void>(fd->release());  // closedir() closes it
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) {
      names.emplace_back(entry->d_name);
    }
  }
  std::ranges::sort(names);
  return names;
}

Result<shm::posix::Fd> open_file(int directory_fd, const std::string& name) {
  return shm::posix::open_at(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
}

}  // namespace

std::string Archive::Member::name() const {
  return file.ends_with(kSuffix) ? file.substr(0, file.size() - kSuffix.size()) : file;
}

Result<std::shared_ptr<Archive>> Archive::scan(DirectoryInput directory) {
  const auto names = regular_files(directory.fd.get());
  if (!names) {
    return tl::unexpected(names.error());
  }
  std::shared_ptr<Archive> archive(new Archive(std::move(directory.fd)));
  for (const std::string& name : *names) {
    auto fd = open_file(archive->directory_.get(), name);
    if (!fd) {
      continue;  // removed meanwhile, or no file of its own
    }
    const auto file = inspect_array(std::move(*fd), directory.xattr_prefix);
    if (!file || !file->layout) {
      continue;
    }
    if (!directory.may_read(file->fd.get(), file->attr)) {
      return fail(EACCES, name);
    }
    archive->members_.push_back(
        {name, *file->layout, !file->typed_raw, file->attr.st_dev, file->attr.st_ino});
  }
  std::ranges::sort(archive->members_, {}, &Member::name);
  const auto same = std::ranges::adjacent_find(archive->members_, {}, &Member::name);
  if (same != archive->members_.end()) {
    return fail(EEXIST, same->name() + ": two files give this name");
  }
  return archive;
}

Result<int> Archive::open(std::size_t member) {
  if (opened_ == member) {
    return file_.get();
  }
  opened_ = SIZE_MAX;
  const Member& wanted = members_[member];
  auto fd = open_file(directory_.get(), wanted.file);
  if (!fd) {
    return fail(ESTALE, wanted.file);
  }
  const auto st = shm::posix::stat_fd(fd->get());
  if (!st || st->st_ino != wanted.ino || st->st_dev != wanted.device) {
    return fail(ESTALE, wanted.file + ": replaced since the archive was opened");
  }
  file_ = std::move(*fd);
  opened_ = member;
  return file_.get();
}

}  // namespace arrayfs
