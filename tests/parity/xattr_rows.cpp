// Rows on extended attributes of raw files, directories and links.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "parity.hpp"

namespace parity {
namespace {

constexpr uid_t kUser = 1234;

/// Writes down the names of the attributes, sorted, and what they hold.
void show_attributes(const char* path) {
  std::array<char, 65536> names{};
  const ssize_t size = llistxattr(path, names.data(), names.size());
  if (size < 0) {
    note_result("llistxattr", -1, errno);
    return;
  }
  std::vector<std::string> lines;
  for (const char* name = names.data(); name < names.data() + size;
       name += std::string_view(name).size() + 1) {
    std::array<char, 256> value{};
    const ssize_t length = lgetxattr(path, name, value.data(), value.size());
    lines.push_back(std::string("  ") + name + " = " +
                    std::string(value.data(), length > 0 ? static_cast<std::size_t>(length) : 0));
  }
  std::sort(lines.begin(), lines.end());
  note(std::string(path) + " has " + std::to_string(lines.size()));
  for (const std::string& line : lines) {
    note(line);
  }
}

ROW(SetAttribute) {
  make_file("f");
  CALL(mkdir("d", 0755));
  for (const char* path : {"f", "d"}) {
    CALL(setxattr(path, "user.one", "1", 1, 0));
    CALL(setxattr(path, "user.two", "twenty two", 10, 0));
    CALL(setxattr(path, "user.empty", "", 0, 0));
    CALL(setxattr(path, "user.one", "11", 2, 0));
    show_attributes(path);
  }
  const int fd = CALL(open("f", O_RDONLY));
  CALL(fsetxattr(fd, "user.three", "3", 1, 0));
  CALL(fremovexattr(fd, "user.two"));
  show_attributes("f");
}

ROW(SetAttributeCreateOrReplace) {
  make_file("f");
  CALL(setxattr("f", "user.a", "1", 1, XATTR_REPLACE));
  CALL(setxattr("f", "user.a", "1", 1, XATTR_CREATE));
  CALL(setxattr("f", "user.a", "2", 1, XATTR_CREATE));
  CALL(setxattr("f", "user.a", "3", 1, XATTR_REPLACE));
  CALL(setxattr("f", "user.a", "4", 1, XATTR_CREATE | XATTR_REPLACE));
  CALL(setxattr("f", "user.a", "5", 1, 8));
  show_attributes("f");
}

ROW(GetAttribute) {
  make_file("f");
  std::array<char, 16> value{};
  CALL(setxattr("f", "user.a", "value", 5, 0));
  CALL(getxattr("f", "user.a", value.data(), value.size()));
  note(value.data());
  CALL(getxattr("f", "user.a", nullptr, 0));
  CALL(getxattr("f", "user.a", value.data(), 2));
  CALL(getxattr("f", "user.missing", value.data(), value.size()));
  CALL(getxattr("f", "user.", value.data(), value.size()));
  CALL(getxattr("f", "nonsense.a", value.data(), value.size()));
  CALL(getxattr("f", "", value.data(), value.size()));
  CALL(getxattr("missing", "user.a", value.data(), value.size()));
  CALL(listxattr("f", nullptr, 0));
  CALL(listxattr("f", value.data(), 1));
  CALL(listxattr("missing", value.data(), value.size()));
}

ROW(RemoveAttribute) {
  make_file("f");
  CALL(setxattr("f", "user.a", "value", 5, 0));
  CALL(removexattr("f", "user.a"));
  CALL(removexattr("f", "user.a"));
  CALL(removexattr("f", "nonsense.a"));
  CALL(removexattr("missing", "user.a"));
  show_attributes("f");
}

ROW(AttributeLimits) {
  make_file("f");
  const std::string longest_name = "user." + std::string(250, 'n');
  const std::string too_long_name = "user." + std::string(251, 'n');
  CALL(setxattr("f", longest_name.c_str(), "x", 1, 0));
  CALL(setxattr("f", too_long_name.c_str(), "x", 1, 0));
  const std::string value(65536, 'v');
  CALL(setxattr("f", "user.large", value.data(), 4096, 0));
  CALL(setxattr("f", "user.large", value.data(), value.size() + 1, 0));
  CALL(setxattr("f", "user.", "x", 1, 0));
  CALL(setxattr("f", "", "x", 1, 0));
  CALL(setxattr("f", "user", "x", 1, 0));
  CALL(setxattr("f", "nonsense.a", "x", 1, 0));
  CALL(setxattr("missing", "user.a", "x", 1, 0));
}

ROW(AttributesOfSymlinksAndSpecialFiles) {
  make_file("f");
  CALL(symlink("f", "l"));
  CALL(mkfifo("p", 0644));
  CALL(lsetxattr("l", "user.a", "x", 1, 0));
  CALL(lsetxattr("l", "trusted.a", "x", 1, 0));
  show_attributes("l");
  CALL(setxattr("l", "user.a", "x", 1, 0));
  show_attributes("f");
  CALL(setxattr("p", "user.a", "x", 1, 0));
  CALL(setxattr("p", "trusted.a", "x", 1, 0));
  char byte = 0;
  CALL(getxattr("p", "user.a", &byte, 1));
}

ROW(AttributeNamespaces) {
  make_file("f");
  CALL(chmod("f", 0666));
  CALL(setxattr("f", "trusted.a", "root's", 6, 0));
  CALL(setxattr("f", "security.a", "module's", 8, 0));
  CALL(setxattr("f", "user.a", "mine", 4, 0));
  show_attributes("f");
  as_user(kUser, kUser, [] {
    show_attributes("f");
    CALL(setxattr("f", "trusted.b", "x", 1, 0));
    CALL(setxattr("f", "security.b", "x", 1, 0));
    CALL(setxattr("f", "user.b", "x", 1, 0));
    CALL(removexattr("f", "trusted.a"));
    CALL(removexattr("f", "user.a"));
  });
  show_attributes("f");
}

ROW(AttributesAsAnotherUser) {
  make_file("f");
  CALL(setxattr("f", "user.a", "value", 5, 0));
  std::array<char, 16> value{};
  as_user(kUser, kUser, [&value] {
    CALL(getxattr("f", "user.a", value.data(), value.size()));
    CALL(setxattr("f", "user.a", "x", 1, 0));
    CALL(removexattr("f", "user.a"));
  });
  CALL(chmod("f", 0600));
  as_user(kUser, kUser, [&value] {
    CALL(getxattr("f", "user.a", value.data(), value.size()));
    CALL(listxattr("f", value.data(), value.size()));
  });
}

ROW(AttributesGoWithTheInode) {
  make_file("f");
  CALL(setxattr("f", "user.a", "value", 5, 0));
  CALL(link("f", "g"));
  show_attributes("g");
  CALL(rename("f", "h"));
  show_attributes("h");
  CALL(truncate("h", 100));
  show_attributes("h");
  show_times_moved("h", "mc", [] { CALL(setxattr("h", "user.b", "x", 1, 0)); });
}

ROW(AccessControlListsOfNobody) {
  make_file("f");
  std::array<char, 64> value{};
  CALL(getxattr("f", "system.posix_acl_access", value.data(), value.size()));
  CALL(getxattr("f", "system.posix_acl_default", value.data(), value.size()));
  CALL(setxattr("f", "system.posix_acl_access", "nonsense", 8, 0));
  CALL(setxattr("f", "system.nonsense", "x", 1, 0));
  show("f");
}

}  // namespace
}  // namespace parity
