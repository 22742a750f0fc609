#include "mount_config.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "fixture.hpp"

namespace arrayfs {
namespace {

TEST(ParseSize, PowersOf1024) {
  EXPECT_EQ(must(parse_size("4096")), 4096U);
  EXPECT_EQ(must(parse_size("64K")), 64U << 10);
  EXPECT_EQ(must(parse_size("512M")), 512U << 20);
  EXPECT_EQ(must(parse_size("8G")), 8ULL << 30);
  EXPECT_EQ(must(parse_size("1.5T")), 3ULL << 39);
}

TEST(ParseSize, UnitsAsPeopleWriteThem) {
  for (const char* text : {"8g", "8G", "8GB", "8GiB", "8Gb", "8.0G"}) {
    EXPECT_EQ(must(parse_size(text)), 8ULL << 30) << text;
  }
}

TEST(ParseSize, AShareOfTheMemory) {
  const std::uint64_t all = must(parse_size("100%"));
  EXPECT_LE(all, memory_and_swap_bytes());
  EXPECT_NEAR(static_cast<double>(must(parse_size("50%"))), static_cast<double>(all) / 2, 1);
}

class ParseSizeRefuses : public testing::TestWithParam<const char*> {};

TEST_P(ParseSizeRefuses, WithAdvice) {
  const auto size = parse_size(GetParam());
  ASSERT_TRUE(fails_with(size, EINVAL));
  EXPECT_NE(size.error().context.find("as 8G"), std::string::npos) << size.error().context;
}

INSTANTIATE_TEST_SUITE_P(Texts, ParseSizeRefuses,
                         testing::Values("", "0", "0G", "abc", "-1G", "+1G", " 8G", "8 G", "8G ",
                                         "8X", "8GG", "8GiBs", "8iB", "0x1000", "1e9", "inf", "nan",
                                         "4095", "0.5K", "9223372036854775808", "9999999P", "0%",
                                         "-5%", "%", "G", "8,5G"));

TEST(ParseOwner, NamesAndNumbers) {
  const RootOwner both = must(parse_owner("root:0"));
  EXPECT_EQ(both.uid, 0U);
  EXPECT_EQ(both.gid, 0U);
  const RootOwner user = must(parse_owner("12345"));
  EXPECT_EQ(user.uid, 12345U);
  EXPECT_FALSE(user.gid.has_value());
  const RootOwner group = must(parse_owner(":root"));
  EXPECT_FALSE(group.uid.has_value());
  EXPECT_EQ(group.gid, 0U);
}

TEST(ParseOwner, RefusesWhoIsNotKnown) {
  for (const char* text : {"", ":", "nobody-at-all", "root:nobody-at-all", "4294967295", "-1", "1x",
                           "99999999999", "root:root:root"}) {
    EXPECT_TRUE(fails_with(parse_owner(text), EINVAL)) << text;
  }
}

TEST(ConfigAsJson, KeepsHowToLog) {
  MountConfig config;
  config.mountpoint = "/mnt/\xff";
  config.log_level = "off";
  config.log_format = "json";
  const MountConfig again = must(config_from_json(to_json(config)));
  EXPECT_EQ(again.mountpoint, config.mountpoint);
  EXPECT_EQ(again.log_level, "off");
  EXPECT_EQ(again.log_format, "json");
}

TEST(ConfigAsJson, OfAProgramThatKnewNoFormats) {
  std::string json = to_json(MountConfig{});
  const std::string format = R"("log_format":"text",)";
  ASSERT_NE(json.find(format), std::string::npos) << json;
  json.erase(json.find(format), format.size());
  EXPECT_EQ(must(config_from_json(json)).log_format, "text");
}

TEST(EscapePath, AsSystemdEscapes) {
  EXPECT_EQ(escape_path("/mnt/arrays"), "mnt-arrays");
  EXPECT_EQ(escape_path("/mnt/my arrays"), "mnt-my\\x20arrays");
  EXPECT_EQ(escape_path("/"), "-");
  EXPECT_EQ(escape_path("/a/.hidden"), "a-.hidden");
  EXPECT_EQ(escape_path("/.dot"), "\\x2edot");
  EXPECT_EQ(escape_path("/x-y"), "x\\x2dy");
  EXPECT_EQ(escape_path("/tmp/ümlaut"), "tmp-\\xc3\\xbcmlaut");
  EXPECT_EQ(escape_path("/a_b:c"), "a_b:c");
  EXPECT_EQ(escape_path("/tmp/a\\b"), "tmp-a\\x5cb");
}

TEST(EscapePath, DifferentPathsHaveDifferentNames) {
  EXPECT_NE(escape_path("/a/b"), escape_path("/a-b"));
  EXPECT_NE(escape_path("/a/b"), escape_path("/a\\x2db"));
}

class Validate : public testing::Test {
 protected:
  MountConfig config() const {
    MountConfig made;
    made.mountpoint = directory_.path();
    return made;
  }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }

  ScratchDirectory directory_;
};

TEST_F(Validate, CompletesWhatWasLeftOut) {
  MountConfig made = config();
  ASSERT_TRUE(ok(validate(made)));
  EXPECT_EQ(made.name, escape_path(made.mountpoint));
  EXPECT_GT(made.capacity_bytes, 0U);
  EXPECT_LE(made.capacity_bytes, memory_and_swap_bytes());
}

TEST_F(Validate, ResolvesTheMountPoint) {
  std::filesystem::create_directory(path("real"));
  std::filesystem::create_symlink("real", path("link"));
  MountConfig made = config();
  made.mountpoint = path("./link/../link");
  ASSERT_TRUE(ok(validate(made)));
  EXPECT_EQ(made.mountpoint, std::filesystem::canonical(path("real")).string());
}

TEST_F(Validate, KeepsWhatWasGiven) {
  MountConfig made = config();
  made.name = "mine";
  made.capacity_bytes = 4096;
  ASSERT_TRUE(ok(validate(made)));
  EXPECT_EQ(made.name, "mine");
  EXPECT_EQ(made.capacity_bytes, 4096U);
}

TEST_F(Validate, RefusesAMissingMountPointWithAdvice) {
  MountConfig made = config();
  made.mountpoint = path("missing");
  const auto result = validate(made);
  ASSERT_TRUE(fails_with(result, ENOENT));
  EXPECT_NE(result.error().context.find("mkdir -p"), std::string::npos);
}

TEST_F(Validate, RefusesAFileAsMountPoint) {
  std::ofstream(path("file")) << "x";
  MountConfig made = config();
  made.mountpoint = path("file");
  EXPECT_TRUE(fails_with(validate(made), ENOTDIR));
  made.mountpoint = path("file/below");
  EXPECT_TRUE(fails_with(validate(made), ENOTDIR));
}

TEST_F(Validate, RefusesAnEmptyMountPoint) {
  MountConfig made = config();
  made.mountpoint = "";
  EXPECT_TRUE(fails_with(validate(made), ENOENT));
}

TEST_F(Validate, RefusesASymlinkLoop) {
  std::filesystem::create_symlink("loop", path("loop"));
  MountConfig made = config();
  made.mountpoint = path("loop");
  EXPECT_TRUE(fails_with(validate(made), ELOOP));
}

TEST_F(Validate, RefusesNamesThatAreNoFileName) {
  for (const std::string& name : {std::string("a/b"), std::string("/"), std::string("."),
                                  std::string(".."), std::string(256, 'n')}) {
    MountConfig made = config();
    made.name = name;
    EXPECT_TRUE(fails_with(validate(made), EINVAL)) << name;
  }
  MountConfig longest = config();
  longest.name = std::string(255, 'n');
  EXPECT_TRUE(ok(validate(longest)));
}

TEST_F(Validate, RefusesMoreThanTheMachineHas) {
  MountConfig made = config();
  made.capacity_bytes = memory_and_swap_bytes() + 1;
  const auto result = validate(made);
  ASSERT_TRUE(fails_with(result, EINVAL));
  EXPECT_NE(result.error().context.find("swap"), std::string::npos);
}

TEST_F(Validate, AStoreHasTheSizeOfItsFileSystem) {
  std::filesystem::create_directory(path("store"));
  MountConfig made = config();
  made.store_dir = path("store");
  made.capacity_bytes = UINT64_MAX;
  EXPECT_TRUE(ok(validate(made)));
}

TEST_F(Validate, RefusesStoresThatAreNoDirectory) {
  std::ofstream(path("file")) << "x";
  MountConfig made = config();
  made.store_dir = path("missing");
  EXPECT_TRUE(fails_with(validate(made), ENOENT));
  made.store_dir = path("file");
  EXPECT_TRUE(fails_with(validate(made), ENOTDIR));
}

TEST_F(Validate, RefusesTheMountPointAsItsOwnStore) {
  std::filesystem::create_symlink(".", path("same"));
  MountConfig made = config();
  made.store_dir = path("same");
  EXPECT_TRUE(fails_with(validate(made), EINVAL));
}

}  // namespace
}  // namespace arrayfs
