#include "reservation.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "fixture.hpp"
#include "quota.hpp"

namespace arrayfs {
namespace {

class ReservationTest : public testing::Test {
 protected:
  void SetUp() override { SKIP_UNLESS_ROOT("only the tmpfs of root has a size"); }

  Reservation reserve(const std::string& name, std::uint64_t size, std::uint64_t keep,
                      bool admitted = true) const {
    return {store_.open(name, O_RDWR | O_CREAT), size, keep, admitted};
  }
  std::uint64_t size_of(const std::string& name) const {
    return static_cast<std::uint64_t>(store_.stat(name).st_size);
  }

  TestStore store_{4 * kMiB};
};

TEST_F(ReservationTest, AllocatesEveryPage) {
  const auto st = reserve("a", kMiB, 0).run();
  ASSERT_TRUE(ok(st));
  EXPECT_EQ(static_cast<std::uint64_t>(st->st_size), kMiB);
  EXPECT_TRUE(is_allocated(*st));
}

TEST_F(ReservationTest, FillsTheHolesOfASparseFile) {
  ASSERT_EQ(ftruncate(store_.open("a", O_RDWR | O_CREAT).get(), kMiB), 0);
  EXPECT_FALSE(is_allocated(store_.stat("a")));
  ASSERT_TRUE(ok(reserve("a", kMiB, 0).run()));
  EXPECT_TRUE(is_allocated(store_.stat("a")));
}

TEST_F(ReservationTest, KeepsBytesAndNeverShortens) {
  store_.write("a", std::string(8192, 'x'));
  ASSERT_TRUE(ok(reserve("a", 4096, 0).run()));
  EXPECT_EQ(store_.read("a"), std::string(8192, 'x'));
}

TEST_F(ReservationTest, CutsBackWhatDoesNotFit) {
  store_.write("a", std::string(4096, 'x'));
  ASSERT_EQ(ftruncate(store_.open("a", O_RDWR).get(), 8 * kMiB), 0);
  EXPECT_TRUE(fails_with(reserve("a", 8 * kMiB, 4096).run(), ENOSPC));
  EXPECT_EQ(store_.read("a"), std::string(4096, 'x'));
}

TEST_F(ReservationTest, WhatHasItsPagesIsNotCutBack) {
  store_.write("a", std::string(10'000, 'x'));
  ASSERT_EQ(ftruncate(store_.open("a", O_RDWR).get(), 8 * kMiB), 0);
  const auto reservation = reserve("a", 8 * kMiB, 0);
  EXPECT_TRUE(fails_with(reservation.run(), ENOSPC));
  EXPECT_EQ(store_.read("a").substr(0, 10'000), std::string(10'000, 'x'));
  EXPECT_TRUE(is_allocated(must(reservation.attributes())));
}

TEST_F(ReservationTest, AFailureHoldsNoSpace) {
  const auto before = must(store_.get().usage()).f_bfree;
  EXPECT_TRUE(fails_with(reserve("a", 8 * kMiB, 0).run(), ENOSPC));
  EXPECT_EQ(must(store_.get().usage()).f_bfree, before);
  EXPECT_EQ(size_of("a"), 0U);
  EXPECT_TRUE(ok(reserve("b", 2 * kMiB, 0).run()));
}

TEST_F(ReservationTest, SizesBeyondAllFiles) {
  EXPECT_FALSE(reserve("a", 1ULL << 62, 0).run());
  EXPECT_FALSE(reserve("a", ~0ULL, 0).run());
  EXPECT_EQ(size_of("a"), 0U);
}

TEST_F(ReservationTest, WhatTheQuotaRefusesIsNotTried) {
  EXPECT_TRUE(fails_with(reserve("a", 4096, 0, false).run(), ENOSPC));
  EXPECT_EQ(size_of("a"), 0U);
}

TEST_F(ReservationTest, ADescriptorThatOnlyReads) {
  store_.write("a", "x");
  const Reservation reading(store_.open("a", O_RDONLY), 4096, 0, true);
  EXPECT_TRUE(fails_with(reading.run(), EBADF));
}

TEST(QuotaTest, AdmitsUpToTheLimit) {
  Quota quota(100, [] { return 0; });
  EXPECT_TRUE(quota.admit(60));
  EXPECT_TRUE(quota.admit(0));
}

TEST(QuotaTest, MeasuresAnewWhenTheSumReachesTheLimit) {
  std::uint64_t used = 0;
  int measured = 0;
  Quota quota(100, [&] {
    ++measured;
    return used;
  });
  EXPECT_TRUE(quota.admit(60));
  EXPECT_EQ(measured, 1);
  EXPECT_TRUE(quota.admit(60));  // the first was freed meanwhile
  EXPECT_EQ(measured, 2);
  used = 100;
  EXPECT_FALSE(quota.admit(60));
  EXPECT_TRUE(quota.admit(0));
}

TEST(QuotaTest, RefusesWhatNeverFits) {
  Quota quota(100, [] { return 0; });
  EXPECT_FALSE(quota.admit(101));
  EXPECT_FALSE(quota.admit(~0ULL));
  EXPECT_TRUE(quota.admit(100));
}

TEST(QuotaTest, AStoreThatIsFullerThanItsLimit) {
  Quota quota(100, [] { return 500; });
  EXPECT_FALSE(quota.admit(1));
}

}  // namespace
}  // namespace arrayfs
