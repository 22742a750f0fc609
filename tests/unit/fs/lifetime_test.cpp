#include "lifetime.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>
#include <string>

#include "fixture.hpp"

namespace arrayfs {
namespace {

class LifetimeTest : public testing::Test {
 protected:
  LifetimeTest() {
    store_.write("file", "x");
    fd_ = store_.open("file", O_RDONLY);
  }
  shm::Result<void> set(std::string_view name, std::string_view value) const {
    return set_lifetime(fd_.get(), prefix(), name, value);
  }
  Lifetime read() const { return read_lifetime(fd_.get(), prefix()); }
  void store_raw(const std::string& name, const std::string& value) const {
    ASSERT_EQ(
        fsetxattr(fd_.get(), (prefix() + "array." + name).c_str(), value.data(), value.size(), 0),
        0);
  }
  const std::string& prefix() const { return store_.get().xattr_prefix(); }

  TestStore store_;
  shm::posix::Fd fd_;
};

TEST_F(LifetimeTest, IsUnlimitedUnlessSet) {
  EXPECT_FALSE(read().limited());
  EXPECT_EQ(read().over(INT64_MAX), "");
}

TEST_F(LifetimeTest, ATtlCountsFromNow) {
  const std::int64_t before = time(nullptr);
  ASSERT_TRUE(ok(set("ttl", "50")));
  const std::int64_t expires = read().expires_at.value();
  EXPECT_GE(expires, before + 50);
  EXPECT_LE(expires, time(nullptr) + 50);
  EXPECT_EQ(read().over(expires - 1), "");
  EXPECT_NE(read().over(expires), "");
}

TEST_F(LifetimeTest, ZeroOrNothingClears) {
  for (const char* nothing : {"", "0"}) {
    ASSERT_TRUE(ok(set("ttl", "50")));
    ASSERT_TRUE(ok(set("owner_pid", std::to_string(getpid()))));
    EXPECT_TRUE(ok(set("ttl", nothing)));
    EXPECT_TRUE(ok(set("owner_pid", nothing)));
    EXPECT_FALSE(read().limited());
  }
  EXPECT_TRUE(ok(set("ttl", "0")));  // twice is no error
}

TEST_F(LifetimeTest, RefusesWhatIsNoNumberOfSeconds) {
  for (const char* value :
       {"-1", "abc", "1s", " 1", "1 ", "1.5", "0x10", "3153600001", "99999999999999999999"}) {
    EXPECT_TRUE(fails_with(set("ttl", value), EINVAL)) << value;
  }
  EXPECT_TRUE(ok(set("ttl", "3153600000")));  // a hundred years
}

TEST_F(LifetimeTest, RefusesAnOwnerThatDoesNotRun) {
  IdleProcess ended;
  const std::string pid = std::to_string(ended.pid());
  ended.end();
  for (const std::string& value :
       {pid, std::string("-1"), std::string("abc"), std::string("1x"), std::string("2147483647"),
        std::string("2147483648"), std::string("1 1")}) {
    EXPECT_TRUE(fails_with(set("owner_pid", value), EINVAL)) << value;
  }
  EXPECT_FALSE(read().limited());
}

TEST_F(LifetimeTest, RefusesWithoutXattrs) {
  EXPECT_TRUE(fails_with(set_lifetime(fd_.get(), "", "ttl", "5"), ENOTSUP));
  EXPECT_FALSE(read_lifetime(fd_.get(), "").limited());
}

TEST_F(LifetimeTest, EndsWithItsOwner) {
  IdleProcess owner;
  ASSERT_TRUE(ok(set("owner_pid", std::to_string(owner.pid()))));
  EXPECT_EQ(read().over(time(nullptr)), "");
  EXPECT_TRUE(is_alive(*read().owner));
  const pid_t pid = owner.pid();
  owner.end();
  EXPECT_FALSE(is_alive(*read().owner));
  EXPECT_NE(read().over(0).find(std::to_string(pid)), std::string::npos);
}

TEST_F(LifetimeTest, AnotherProcessOfTheSamePidIsNotTheOwner) {
  ASSERT_TRUE(ok(set("owner_pid", std::to_string(getpid()))));
  const Owner self = read().owner.value();
  EXPECT_TRUE(is_alive(self));
  EXPECT_FALSE(is_alive({self.pid, self.start_ticks + 1}));
  EXPECT_FALSE(is_alive({self.pid, 0}));
}

TEST_F(LifetimeTest, AnOwnerThatEndedButWasNotReapedHasEnded) {
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte;
    close(pipes[1]);
    _exit(static_cast<int>(::read(pipes[0], &byte, 1)));
  }
  close(pipes[0]);
  ASSERT_TRUE(ok(set("owner_pid", std::to_string(child))));
  close(pipes[1]);  // it ends
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(is_alive(*read().owner));
  waitpid(child, nullptr, 0);
}

TEST_F(LifetimeTest, NonsenseInTheStoreIsNoLimit) {
  store_raw("expires", "soon");
  store_raw("owner", "12");
  EXPECT_FALSE(read().limited());
  store_raw("owner", "a b");
  store_raw("expires", std::string(200, '9'));
  EXPECT_FALSE(read().limited());
  for (const char* no_time : {"-1", "-9223372036854775808", "9223372036854775807"}) {
    store_raw("expires", no_time);
    EXPECT_FALSE(read().limited()) << no_time;
  }
  store_raw("owner", " ");
  EXPECT_FALSE(read().limited());
}

TEST_F(LifetimeTest, APastThatWasStoredIsOver) {
  store_raw("expires", "1");
  EXPECT_NE(read().over(time(nullptr)), "");
}

}  // namespace
}  // namespace arrayfs
