// Rows on POSIX access control lists, set and read as xattrs.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "parity.hpp"

namespace parity {
namespace {

constexpr uid_t kUser = 1234;
constexpr uid_t kOtherUser = 1235;
constexpr gid_t kGroup = 1240;
constexpr gid_t kNoGroup = 1250;
constexpr const char* kAccess = "system.posix_acl_access";
constexpr const char* kDefault = "system.posix_acl_default";

/// The bytes of the xattr: a version, then the entries in this order (linux/posix_acl_xattr.h).
struct Entry {
  std::uint16_t tag;
  std::uint16_t permissions;
  std::uint32_t id;
};

constexpr std::uint32_t kNobody = 0xffffffff;

Entry owner(std::uint16_t permissions) {
  return {0x01, permissions, kNobody};
}
Entry user(uid_t id, std::uint16_t permissions) {
  return {0x02, permissions, id};
}
Entry owning_group(std::uint16_t permissions) {
  return {0x04, permissions, kNobody};
}
Entry group(gid_t id, std::uint16_t permissions) {
  return {0x08, permissions, id};
}
Entry mask(std::uint16_t permissions) {
  return {0x10, permissions, kNobody};
}
Entry others(std::uint16_t permissions) {
  return {0x20, permissions, kNobody};
}

int set_list(const char* path, const char* kind, const std::vector<Entry>& entries) {
  std::vector<char> bytes(4 + entries.size() * sizeof(Entry));
  const std::uint32_t version = 2;
  std::memcpy(bytes.data(), &version, sizeof version);
  if (!entries.empty()) {
    std::memcpy(bytes.data() + 4, entries.data(), entries.size() * sizeof(Entry));
  }
  return setxattr(path, kind, bytes.data(), bytes.size(), 0);
}

void show_lists(const char* path) {
  show(path);
  for (const char* kind : {kAccess, kDefault}) {
    std::array<char, 1024> bytes{};
    const ssize_t size = getxattr(path, kind, bytes.data(), bytes.size());
    std::string line = std::string("  ") + kind + ":";
    if (size < 0) {
      line += std::string(" ") + strerrorname_np(errno);
    }
    for (ssize_t at = 4; at < size; at += sizeof(Entry)) {
      Entry entry{};
      std::memcpy(&entry, bytes.data() + at, sizeof entry);
      line += " " + std::to_string(entry.tag) + ":" + std::to_string(entry.permissions) + ":" +
              (entry.id == kNobody ? "" : std::to_string(entry.id));
    }
    note(line);
  }
}

void try_as(const char* path, uid_t id, gid_t main_group) {
  as_user(id, main_group, [path] {
    CALL(open(path, O_RDONLY));
    CALL(open(path, O_WRONLY));
    CALL(access(path, X_OK));
  });
}

ROW(AccessListOfAFile) {
  make_file("f", "bytes");
  CALL(chmod("f", 0600));
  CALL(set_list("f", kAccess,
                {owner(6), user(kUser, 4), owning_group(0), group(kGroup, 6), mask(6), others(0)}));
  show_lists("f");
  note("the user");
  try_as("f", kUser, kNoGroup);
  note("a member of the group");
  try_as("f", kOtherUser, kGroup);
  note("another");
  try_as("f", kOtherUser, kNoGroup);
  note("masked");
  CALL(set_list("f", kAccess,
                {owner(6), user(kUser, 7), owning_group(0), group(kGroup, 6), mask(4), others(0)}));
  try_as("f", kUser, kNoGroup);
  try_as("f", kOtherUser, kGroup);
}

ROW(AccessListAndSupplementaryGroup) {
  make_file("f", "bytes");
  CALL(chmod("f", 0600));
  CALL(set_list("f", kAccess, {owner(6), owning_group(0), group(kGroup, 4), mask(4), others(0)}));
  as_user_in_groups(kUser, kNoGroup, {kGroup}, [] {
    CALL(open("f", O_RDONLY));
    CALL(open("f", O_WRONLY));
  });
  as_user_in_groups(kUser, kNoGroup, {kNoGroup + 1}, [] { CALL(open("f", O_RDONLY)); });
}

ROW(AccessListOfADirectory) {
  CALL(mkdir("d", 0700));
  make_file("d/f", "bytes");
  CALL(set_list("d", kAccess, {owner(7), user(kUser, 5), owning_group(0), mask(7), others(0)}));
  show_lists("d");
  as_user(kUser, kNoGroup, [] {
    show_list("d");
    show_content("d/f");
    CALL(mkdir("d/new", 0755));
    CALL(unlink("d/f"));
  });
  as_user(kOtherUser, kNoGroup, [] {
    show_list("d");
    show_content("d/f");
  });
  CALL(set_list("d", kAccess, {owner(7), user(kUser, 7), owning_group(0), mask(7), others(0)}));
  as_user(kUser, kNoGroup, [] {
    CALL(mkdir("d/new", 0755));
    show("d/new");
    CALL(unlink("d/f"));
  });
}

ROW(AccessListAndMode) {
  make_file("f");
  CALL(set_list("f", kAccess, {owner(6), user(kUser, 7), owning_group(4), mask(7), others(0)}));
  show_lists("f");
  CALL(chmod("f", 0640));
  show_lists("f");
  try_as("f", kUser, kNoGroup);
  CALL(chmod("f", 0606));
  show_lists("f");
  try_as("f", kUser, kNoGroup);
  CALL(removexattr("f", kAccess));
  show_lists("f");
  CALL(removexattr("f", kAccess));
  // Without further entries a list is nothing but the mode.
  CALL(set_list("f", kAccess, {owner(7), owning_group(5), others(1)}));
  show_lists("f");
  CALL(set_list("f", kAccess, {}));
  show_lists("f");
}

ROW(AccessListErrors) {
  make_file("f");
  CALL(chmod("f", 0666));
  CALL(set_list("f", kAccess, {owner(6), user(kUser, 7), owning_group(4), others(0)}));
  CALL(set_list("f", kAccess, {owner(6), owning_group(4)}));
  CALL(set_list("f", kAccess, {owning_group(4), owner(6), others(0)}));
  CALL(set_list("f", kAccess, {owner(8), owning_group(4), others(0)}));
  CALL(set_list("f", kAccess, {owner(6), owner(6), owning_group(4), others(0)}));
  CALL(set_list("f", kAccess, {owner(6), {0x40, 4, 0}, owning_group(4), others(0)}));
  CALL(setxattr("f", kAccess, "\1\0\0\0", 4, 0));
  CALL(setxattr("f", kAccess, "\2\0", 2, 0));
  CALL(set_list("f", kDefault, {owner(6), owning_group(4), others(0)}));
  CALL(set_list("missing", kAccess, {owner(6), owning_group(4), others(0)}));
  CALL(symlink("f", "l"));
  CALL(lsetxattr("l", kAccess, "\2\0\0\0", 4, 0));
  as_user(kUser, kNoGroup, [] {
    CALL(set_list("f", kAccess, {owner(6), owning_group(4), others(0)}));
    CALL(removexattr("f", kAccess));
  });
  show_lists("f");
}

ROW(DefaultListIsInherited) {
  CALL(mkdir("d", 0755));
  CALL(set_list("d", kDefault, {owner(7), user(kUser, 6), owning_group(5), mask(7), others(0)}));
  show_lists("d");
  make_file("d/f");
  show_lists("d/f");
  CALL(mkdir("d/sub", 0777));
  show_lists("d/sub");
  CALL(mkdir("d/sub/sub", 0700));
  show_lists("d/sub/sub");
  CALL(mknod("d/p", S_IFIFO | 0666, 0));
  show_lists("d/p");
  CALL(mknod("d/node", S_IFREG | 0666, 0));
  show_lists("d/node");
  CALL(symlink("f", "d/l"));
  show("d/l");
  CALL(link("d/f", "linked"));
  show_lists("linked");
  make_file("outside");
  CALL(rename("outside", "d/moved"));
  show_lists("d/moved");
  CALL(removexattr("d", kDefault));
  make_file("d/later");
  show_lists("d/later");
  show_lists("d/sub");
}

ROW(DefaultListTakesThePlaceOfTheUmask) {
  CALL(mkdir("d", 0755));
  CALL(set_list("d", kDefault, {owner(7), owning_group(7), others(7)}));
  umask(077);
  CALL(close(open("d/f", O_WRONLY | O_CREAT, 0666)));
  show_lists("d/f");
  CALL(mkdir("d/sub", 0777));
  show_lists("d/sub");
  CALL(close(open("plain", O_WRONLY | O_CREAT, 0666)));
  show("plain");
  umask(0);
  CALL(set_list("d", kDefault, {owner(6), owning_group(4), others(0)}));
  CALL(close(open("d/g", O_WRONLY | O_CREAT, 0666)));
  show_lists("d/g");
}

ROW(DefaultListForAnotherUser) {
  CALL(mkdir("d", 0755));
  CALL(chmod("d", 0777));
  CALL(set_list("d", kDefault,
                {owner(6), user(kOtherUser, 6), owning_group(0), mask(6), others(0)}));
  as_user(kUser, kNoGroup, [] {
    make_file("d/f", "bytes");
    show_lists("d/f");
  });
  as_user(kOtherUser, kNoGroup, [] { show_content("d/f"); });
  as_user(kOtherUser + 1, kNoGroup, [] { show_content("d/f"); });
}

ROW(ListsGoWithTheirFiles) {
  CALL(mkdir("d", 0755));
  CALL(set_list("d", kDefault, {owner(7), user(kUser, 7), owning_group(5), mask(7), others(0)}));
  make_file("f");
  CALL(set_list("f", kAccess, {owner(6), user(kUser, 4), owning_group(4), mask(4), others(0)}));
  CALL(link("f", "g"));
  CALL(rename("f", "h"));
  CALL(rename("d", "e"));
  show_lists("g");
  show_lists("h");
  show_lists("e");
  CALL(chown("h", kOtherUser, kGroup));
  show_lists("h");
  show_times_moved("h", "mc", [] {
    CALL(set_list("h", kAccess, {owner(6), user(kUser, 6), owning_group(4), mask(6), others(0)}));
  });
}

}  // namespace
}  // namespace parity
