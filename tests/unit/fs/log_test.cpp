#include "log.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "fixture.hpp"
#include "journald_sink.hpp"

namespace arrayfs {
namespace {

using shm::posix::Fd;

spdlog::details::log_msg message_of(const std::string& text) {
  return {"arrayfs", spdlog::level::err, text};
}

std::string formatted(spdlog::formatter& formatter, const std::string& text) {
  spdlog::memory_buf_t line;
  formatter.format(message_of(text), line);
  return {line.data(), line.size()};
}

TEST(Log, LevelsAreThoseOfSpdlog) {
  for (const char* level : kLogLevels) {
    const auto known = spdlog::level::from_str(level);
    EXPECT_EQ(spdlog::level::to_string_view(known), spdlog::string_view_t(level));
  }
}

TEST(Log, AChangedLevelComesBeforeTheConfigured) {
  const StateMemory memory = must(StateMemory::create(4));
  State& state = memory.state();
  MountConfig config;
  config.log_level = "warning";
  const auto obeyed = [&] {
    obey_log_level(config, state);
    return log_level();
  };
  EXPECT_EQ(obeyed(), "warning");
  EXPECT_TRUE(keep_log_level(state, 0));
  EXPECT_EQ(obeyed(), "trace");
  for (const int none : {-1, static_cast<int>(kLogLevels.size()), 1 << 30}) {
    EXPECT_FALSE(keep_log_level(state, none));
  }
  EXPECT_EQ(obeyed(), "trace");
  state.supervision.log_level = 1000;  // as a damaged memory may say
  EXPECT_EQ(obeyed(), "warning");
  spdlog::set_level(spdlog::level::info);
}

TEST(Log, JsonIsOneLineOfHostileText) {
  const auto formatter = make_json_formatter("/mnt/\"x\n\xff", "\n");
  const std::string line = formatted(*formatter->clone(), "a\nb\"c\\\xfe");
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json.at("mount"), "/mnt/\"x\n\uFFFD");
  EXPECT_EQ(json.at("message"), "a\nb\"c\\\uFFFD");
  EXPECT_EQ(json.at("level"), "error");
  EXPECT_FALSE(json.contains("path") || json.contains("pid") || json.contains("errno"));
}

TEST(Log, TextIsOneLineOfHostileText) {
  EXPECT_EQ(formatted(*make_text_formatter("%v", "\n")->clone(), "a\nb\x1b[0m"), "a\\nb\\x1b[0m\n");
}

// A socket as the journal has, of this test's own.
class Journal : public testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() / ("journal-" + std::to_string(getpid()));
    socket_ = Fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    before_ = spdlog::default_logger();
    auto sink = std::make_shared<JournaldSink>(path_, "/mnt/arrays");
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("journal", std::move(sink)));
  }
  void TearDown() override {
    spdlog::set_default_logger(before_);
    unlink(path_.c_str());
  }

  std::string heard() {
    std::string entry(1 << 17, '\0');
    const ssize_t size = recv(socket_.get(), entry.data(), entry.size(), 0);
    entry.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
    return entry;
  }

  std::string path_;
  Fd socket_;
  std::shared_ptr<spdlog::logger> before_;
};

TEST_F(Journal, FieldsOfALine) {
  log_line(spdlog::level::err, "two\nlines", {.path = "a=b", .pid = 42, .code = ENOSPC});
  EXPECT_EQ(heard(), std::string("MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\n", 26) +
                         "PRIORITY=3\nSYSLOG_IDENTIFIER=arrayfs\nARRAYFS_MOUNT=/mnt/arrays\n"
                         "ARRAYFS_PATH=a=b\nOBJECT_PID=42\nERRNO=28\n");
}

TEST_F(Journal, FieldsAreThoseOfTheirLineAlone) {
  log_line(spdlog::level::info, "one", {.path = "x", .pid = 1, .code = 1});
  spdlog::info("another");
  EXPECT_NE(heard().find("ERRNO=1\n"), std::string::npos);
  EXPECT_EQ(heard(),
            "MESSAGE=another\nPRIORITY=6\nSYSLOG_IDENTIFIER=arrayfs\nARRAYFS_MOUNT=/mnt/arrays\n");
}

TEST_F(Journal, ALongValueIsCut) {
  spdlog::info(std::string(1 << 20, 'x'));
  EXPECT_TRUE(heard().starts_with("MESSAGE=" + std::string(16 << 10, 'x') + "\n"));
}

TEST_F(Journal, LinesThatItDoesNotTakeAreCounted) {
  constexpr int kLines = 10'000;
  for (int line = 0; line < kLines; ++line) {
    spdlog::info("{}", line);
  }
  int taken = 0;
  while (!heard().empty()) {
    ++taken;
  }
  ASSERT_LT(taken, kLines);
  spdlog::info("after");
  spdlog::info("and again");
  EXPECT_NE(heard().find("ARRAYFS_LOST_LINES=" + std::to_string(kLines - taken) + "\n"),
            std::string::npos);
  EXPECT_EQ(heard().find("ARRAYFS_LOST_LINES"), std::string::npos);
}

TEST_F(Journal, ItMayComeLate) {
  unlink(path_.c_str());
  spdlog::info("lost");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  socket_ = Fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  spdlog::info("heard");
  EXPECT_NE(heard().find("MESSAGE=heard\n"), std::string::npos);
}

}  // namespace
}  // namespace arrayfs
