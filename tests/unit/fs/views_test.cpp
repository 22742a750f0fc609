#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "fixture.hpp"
#include "statistics/statistics.hpp"
#include "views/csv_text.hpp"
#include "views/element_reader.hpp"
#include "views/view.hpp"

namespace arrayfs {
namespace {

const View& view_named(std::string_view directory) {
  for (const auto& view : views()) {
    if (view->directory() == directory) {
      return *view;
    }
  }
  throw std::runtime_error("no such view");
}

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

class ViewsTest : public testing::Test {
 protected:
  ViewInput input(const std::string& name, std::uint32_t generated = 0) {
    return {must(inspect_array(store_.open(name, O_RDONLY), store_.get().xattr_prefix())), 0, 0,
            generated};
  }
  DirectoryInput directory(bool readable = true) {
    return {must(shm::posix::open_at(store_.get().root_fd(), ".", O_RDONLY | O_DIRECTORY)),
            store_.get().xattr_prefix(), [readable](int, const struct stat&) { return readable; }};
  }
  static std::string read_all(ViewStream& stream, std::size_t step) {
    std::string whole;
    std::string buffer(step, '\0');
    for (std::size_t got = step; got == step;) {
      got = must(stream.read(whole.size(), buffer));
      whole.append(buffer, 0, got);
    }
    return whole;
  }
  std::string text(std::string_view view, const std::string& name) {
    return read_all(*must(view_named(view).open(input(name))), 77);
  }

  TestStore store_;
};

TEST_F(ViewsTest, RawIsTheData) {
  const std::string data = bytes_of<std::int32_t>({1, 2, 3, 4, 5, 6});
  store_.write("w", npy_bytes("<i4", {2, 3}, data));
  EXPECT_EQ(text("raw", "w"), data);
  EXPECT_EQ(view_named("raw").size_bytes(*input("w").file.layout, 0), 24U);
}

TEST_F(ViewsTest, CsvInBothOrders) {
  const std::string data = bytes_of<double>({1, 2.5, -3, 1e300, NAN, -INFINITY});
  store_.write("c", npy_bytes("<f8", {2, 3}, data));
  store_.write("f", npy_bytes("<f8", {2, 3}, data, shm::Order::kFortran));
  EXPECT_EQ(text("csv", "c"), "1.0,2.5,-3.0\n1e+300,nan,-inf\n");
  EXPECT_EQ(text("csv", "f"), "1.0,-3.0,nan\n2.5,1e+300,-inf\n");
}

TEST_F(ViewsTest, CsvOfScalarsLinesAndNothing) {
  store_.write("scalar", npy_bytes("<i2", {}, bytes_of<std::int16_t>({-7})));
  store_.write("line", npy_bytes("|b1", {2}, std::string("\1\0", 2)));
  store_.write("nothing", npy_bytes("<f4", {0, 3}));
  EXPECT_EQ(text("csv", "scalar"), "-7\n");
  EXPECT_EQ(text("csv", "line"), "True\nFalse\n");
  EXPECT_EQ(text("csv", "nothing"), "");
}

TEST_F(ViewsTest, CsvReadsBackwards) {
  std::vector<std::int64_t> values(600'000);
  std::iota(values.begin(), values.end(), 0);
  store_.write("w", npy_bytes("<i8", {300'000, 2}, bytes_of(values)));
  const auto stream = must(view_named("csv").open(input("w")));
  const std::string whole = read_all(*stream, 100'000);
  std::string part(50, '\0');
  for (std::size_t offset = whole.size(); offset > 333'331; offset -= 333'331) {
    const std::size_t got = must(stream->read(offset, part));
    EXPECT_EQ(part.substr(0, got), whole.substr(offset, 50)) << offset;
  }
  EXPECT_EQ(must(stream->read(0, part)), 50U);
  EXPECT_EQ(part, whole.substr(0, 50));
}

TEST_F(ViewsTest, CsvRefuses) {
  store_.write("deep", npy_bytes("<f8", {2, 2, 2}));
  store_.write("raw", "no array");
  EXPECT_TRUE(fails_with(view_named("csv").open(input("deep")), EOPNOTSUPP));
  EXPECT_TRUE(fails_with(view_named("csv").open(input("raw")), EOPNOTSUPP));
  EXPECT_TRUE(fails_with(view_named("raw").open(input("raw")), EOPNOTSUPP));
  EXPECT_TRUE(fails_with(view_named("stats").open(input("raw")), EOPNOTSUPP));
}

TEST_F(ViewsTest, AFileThatShrinks) {
  store_.write("w", npy_bytes("<f8", {100}));
  for (const char* view : {"csv", "raw"}) {
    const auto stream = must(view_named(view).open(input("w")));
    ASSERT_EQ(ftruncate(store_.open("w", O_RDWR).get(), 200), 0);
    std::string buffer(4000, '\0');
    EXPECT_TRUE(fails_with(stream->read(0, buffer), EIO)) << view;
    store_.write("w", npy_bytes("<f8", {100}));
  }
  auto shrunk = input("w");
  ASSERT_EQ(ftruncate(store_.open("w", O_RDWR).get(), 200), 0);
  EXPECT_TRUE(fails_with(view_named("stats").open(std::move(shrunk)), EIO));
}

TEST_F(ViewsTest, ZarrNamesItsFiles) {
  store_.write("w", npy_bytes(">f4", {2, 3}, {}, shm::Order::kFortran));
  store_.write("scalar", npy_bytes("<f8", {}));
  store_.write("empty", npy_bytes("<f8", {0, 4}));
  store_.write("text", npy_bytes("<U3", {2}));
  const View& zarr = view_named("zarr");
  const auto names = [&](const char* file) {
    std::string all;
    for (const GeneratedEntry& entry : zarr.list(*input(file).file.layout, 0)) {
      all += entry.name + (entry.is_directory ? "/ " : " ");
    }
    return all;
  };
  EXPECT_EQ(names("w"), ".zarray .zattrs 0.0 zarr.json c/ ");
  EXPECT_EQ(names("scalar"), ".zarray .zattrs 0 zarr.json c ");
  EXPECT_EQ(names("empty"), ".zarray .zattrs zarr.json ");
  EXPECT_EQ(names("text"), ".zarray .zattrs 0 ");
  const shm::Layout layout = *input("w").file.layout;
  for (const GeneratedEntry& entry : zarr.list(layout, 0)) {
    EXPECT_EQ(must(zarr.at(layout, entry.number)).is_directory, entry.is_directory);
    if (!entry.is_directory) {
      const auto stream = must(zarr.open(input("w", entry.number)));
      EXPECT_EQ(read_all(*stream, 50).size(), zarr.size_bytes(layout, entry.number)) << entry.name;
    }
  }
  EXPECT_TRUE(fails_with(zarr.open(input("w", 9999)), ESTALE));
  EXPECT_TRUE(fails_with(zarr.find(layout, 0, "1.0"), ENOENT));
}

TEST_F(ViewsTest, ArchivesOfArraysThatAreNotTheCallers) {
  store_.write("w.npy", npy_bytes("<f8", {2}));
  for (const char* view : {"npz", "safetensors"}) {
    EXPECT_TRUE(ok(view_named(view).open_directory(directory()))) << view;
    EXPECT_TRUE(fails_with(view_named(view).open_directory(directory(false)), EACCES)) << view;
  }
}

TEST_F(ViewsTest, ArchivesNeedNamesOfTheirOwn) {
  store_.write("w.npy", npy_bytes("<f8", {2}));
  store_.write("w", npy_bytes("<f8", {2}));
  EXPECT_TRUE(fails_with(view_named("npz").open_directory(directory()), EEXIST));
}

TEST_F(ViewsTest, AnArchiveHasTheSizeThatItTells) {
  store_.write("a.npy", npy_bytes("<f8", {300}));
  store_.write("b.npy", npy_bytes("<i2", {3, 5}, {}, shm::Order::kFortran));
  for (const char* view : {"npz", "safetensors"}) {
    const auto stream = must(view_named(view).open_directory(directory()));
    const std::string whole = read_all(*stream, 1000);
    EXPECT_EQ(stream->size_bytes(), whole.size()) << view;
    EXPECT_EQ(read_all(*stream, 7), whole) << view;
  }
}

TEST_F(ViewsTest, ElementsInCOrderFromAnywhere) {
  std::vector<std::int32_t> values(std::size_t{7} * 11 * 13);
  std::iota(values.begin(), values.end(), 0);
  store_.write("f", npy_bytes("<i4", {7, 11, 13}, bytes_of(values), shm::Order::kFortran));
  const ViewInput file = input("f");
  ElementReader reader(file.file.fd.get(), *file.file.layout);
  std::vector<std::int32_t> turned(values.size());
  must(reader.read(0, std::as_writable_bytes(std::span(turned))));
  for (std::size_t i = 0; i < 7; ++i) {
    for (std::size_t j = 0; j < 11; ++j) {
      for (std::size_t k = 0; k < 13; ++k) {
        ASSERT_EQ(turned[(i * 11 + j) * 13 + k], static_cast<int>(i + 7 * (j + 11 * k)));
      }
    }
  }
  std::vector<std::byte> part(9);
  must(reader.read(1001, part));
  EXPECT_EQ(std::memcmp(part.data(), reinterpret_cast<const char*>(turned.data()) + 1001, 9), 0);
}

Statistics statistics_of(const std::vector<double>& values, unsigned threads = 1,
                         bool whole = false) {
  const NumberSource source = [&](std::uint64_t first, std::span<double> out) {
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(first), out.size(), out.begin());
    return shm::Result<void>{};
  };
  return must(statistics(values.size(), source, threads, whole));
}

TEST(StatisticsTest, OfNothing) {
  const Statistics none = statistics_of({});
  EXPECT_EQ(none.count, 0U);
  EXPECT_EQ(statistics_text(none), "count: 0\nnan: 0\ninf: 0\nzeros: 0\n");
}

TEST(StatisticsTest, WhatIsNoNumberIsCountedApart) {
  const Statistics result = statistics_of({1, NAN, 3, INFINITY, 0, -INFINITY, NAN});
  EXPECT_EQ(result.moments.finite, 3U);
  EXPECT_EQ(result.moments.nans, 2U);
  EXPECT_EQ(result.moments.infinities, 2U);
  EXPECT_EQ(result.moments.zeros, 1U);
  EXPECT_EQ(result.moments.min, 0);
  EXPECT_EQ(result.moments.max, 3);
  EXPECT_DOUBLE_EQ(static_cast<double>(result.moments.mean), 4.0 / 3);
}

TEST(StatisticsTest, NothingIsLostFarFromZero) {
  std::vector<double> values(100'000, 1e9);
  for (size_t i = 1; i < values.size(); i += 2) {
    values[i] += 1;
  }
  const Statistics result = statistics_of(values, 3);
  EXPECT_DOUBLE_EQ(static_cast<double>(result.moments.mean), 1e9 + 0.5);
  EXPECT_DOUBLE_EQ(result.moments.deviation(), 0.5);
}

TEST(StatisticsTest, TheLargestNumbers) {
  constexpr double kMax = std::numeric_limits<double>::max();
  const Statistics result = statistics_of({kMax, kMax, -kMax, 0});
  EXPECT_EQ(result.moments.finite, 4U);
  EXPECT_EQ(result.moments.max, kMax);
  EXPECT_EQ(result.moments.infinities, 0U);
  EXPECT_EQ(std::accumulate(result.histogram.begin(), result.histogram.end(), std::uint64_t{0}),
            4U);
}

TEST(StatisticsTest, PercentilesOfFewNumbersAreExact) {
  std::vector<double> values(101);
  std::iota(values.rbegin(), values.rend(), 0);
  const Statistics result = statistics_of(values);
  EXPECT_EQ(result.percentile_error, 0);
  for (const auto& [percent, value] : result.percentiles) {
    EXPECT_DOUBLE_EQ(value, percent);
  }
}

TEST(StatisticsTest, PercentilesOfManyNumbersAreAsCloseAsTheySay) {
  std::vector<double> values(2'000'001);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::sqrt(static_cast<double>(i));
  }
  const Statistics result = statistics_of(values, 2);
  EXPECT_GT(result.percentile_error, 0);
  for (const auto& [percent, value] : result.percentiles) {
    const double exact = std::sqrt(percent / 100 * 2'000'000);
    EXPECT_NEAR(value, exact, result.percentile_error) << percent;
  }
  for (double& value : values) {
    value = std::floor(value);
  }
  const Statistics whole = statistics_of(values, 2, true);
  EXPECT_EQ(whole.percentile_error, 0);
  EXPECT_EQ(whole.percentiles[3].second, std::floor(std::sqrt(1'000'000.0)));
}

}  // namespace
}  // namespace arrayfs
