// Typed views, fields, attributes, memory advice.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <complex>
#include <numeric>
#include <shm/array.hpp>

#include "../fixture.hpp"

namespace shm {
namespace {

class Views : public testing::Test {
 protected:
  Array make(std::string_view type, const Shape& shape, Order order = Order::kC) {
    return std::move(
        *Array::create(path_, *Dtype::parse(type), shape, {.order = order, .replace = true}));
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path("w.npy");
};

TEST_F(Views, IndexesInBothOrders) {
  for (const Order order : {Order::kC, Order::kFortran}) {
    Array array = make("float32", {3, 4}, order);
    const auto view = *array.view<float>();
    view(1, 2) = 5;
    const bool c_order = order == Order::kC;
    EXPECT_EQ(view.data()[c_order ? 6 : 7], 5);
    EXPECT_EQ(view.stride(0), c_order ? 4U : 1U);
    EXPECT_EQ(view.stride(1), c_order ? 1U : 3U);
    EXPECT_EQ(view.rank(), 2U);
    EXPECT_EQ(view.extent(1), 4U);
    EXPECT_EQ(view.size(), 12U);
    EXPECT_EQ(view.elements()->size(), 12U);
  }
}

TEST_F(Views, FindChecksBounds) {
  Array array = make("int16", {3, 4});
  const auto view = *array.view<std::int16_t>();
  ASSERT_NE(view.find(2, 3), nullptr);
  *view.find(2, 3) = 9;
  EXPECT_EQ(view(2, 3), 9);
  EXPECT_EQ(view.find(3, 0), nullptr);
  EXPECT_EQ(view.find(0, 4), nullptr);
  EXPECT_EQ(view.find(-1, 0), nullptr);
  EXPECT_EQ(view.find(1), nullptr);
  EXPECT_EQ(view.find(1, 1, 0), nullptr);
}

TEST_F(Views, ScalarsAndEmptyArrays) {
  Array scalar = make("complex128", {});
  (*scalar.view<std::complex<double>>())() = {1, 2};
  EXPECT_EQ(*scalar.view<std::complex<double>>()->find(), (std::complex<double>{1, 2}));
  Array empty = make("bool", {0, 5});
  EXPECT_EQ(empty.view<bool>()->size(), 0U);
  EXPECT_EQ(empty.view<bool>()->find(0, 0), nullptr);
  EXPECT_TRUE(empty.view<bool>()->elements()->empty());
}

TEST_F(Views, AnotherTypeIsRefused) {
  Array array = make("float32", {3});
  EXPECT_EQ(array.view<double>().error().code, EINVAL);
  EXPECT_EQ(array.view<std::int32_t>().error().code, EINVAL);
  EXPECT_TRUE(array.view<const float>());
  Array swapped = make(">f4", {3});
  EXPECT_EQ(swapped.view<float>().error().code, EINVAL);
  EXPECT_EQ(make("uint32", {3}).view<std::int32_t>().error().code, EINVAL);
}

TEST_F(Views, ReadOnlyGivesConstViewsAlone) {
  make("float32", {3});
  Array reader = *Array::open(path_);
  EXPECT_EQ(reader.view<float>().error().code, EINVAL);
  EXPECT_TRUE(reader.view<const float>());
  const Array& constant = reader;
  EXPECT_TRUE(constant.view<float>());
  EXPECT_EQ(reader.prefault(Array::Touch::kWrite).error().code, EINVAL);
}

struct Point {
  std::int32_t id;
  float position[3];
};

TEST_F(Views, StructsAndTheirFields) {
  Array array = make("[('id', '<i4'), ('position', '<f4', (3,))]", {5});
  const auto points = *array.view<Point>();
  points(2) = {7, {1, 2, 3}};
  const auto ids = *array.field<std::int32_t>("id");
  EXPECT_EQ(ids(2), 7);
  EXPECT_EQ(ids.elements().error().code, EINVAL);
  const auto positions = *array.field<float>("position");
  EXPECT_EQ(positions.shape(), (Shape{5, 3}));
  EXPECT_EQ(positions(2, 1), 2);
  EXPECT_EQ(array.field<float>("id").error().code, EINVAL);
  EXPECT_EQ(array.field<float>("velocity").error().code, ENOENT);
  EXPECT_EQ(array.view<float>().error().code, EINVAL);
}

TEST_F(Views, APackedFieldThatIsNotAlignedIsRefused) {
  Array array = make("[('flag', '|u1'), ('value', '<f8')]", {5});
  EXPECT_TRUE(array.field<std::uint8_t>("flag"));
  EXPECT_EQ(array.field<double>("value").error().code, EINVAL);
}

TEST_F(Views, MemoryIsBroughtIn) {
  Array array = make("uint8", {100'000});
  EXPECT_TRUE(array.prefault(Array::Touch::kRead));
  EXPECT_TRUE(array.prefault(Array::Touch::kWrite));
  EXPECT_EQ(array.place_on_node(64).error().code, EINVAL);
  const auto placed = array.place_on_node(0);
  EXPECT_TRUE(placed || placed.error().code == ENOSYS || placed.error().code == EPERM);
  const auto huge = array.prefer_huge_pages();
  EXPECT_TRUE(huge || huge.error().code == EINVAL);
  EXPECT_TRUE(make("uint8", {0}).prefault(Array::Touch::kWrite));
}

TEST_F(Views, SealingNeedsAMount) {
  make("uint8", {1});
  EXPECT_EQ(seal(path_).error().code, EOPNOTSUPP);
  EXPECT_EQ(unseal(directory_.path("missing.npy")).error().code, ENOENT);
  EXPECT_EQ(mount_root(path_).error().code, ENOENT);
}

TEST_F(Views, Attributes) {
  make("uint8", {1});
  const auto set = set_attribute(path_, "units", "K");
  if (!set) {
    EXPECT_EQ(set.error().code, EOPNOTSUPP);
    GTEST_SKIP() << "no user attributes on this file system";
  }
  EXPECT_EQ(*attribute(path_, "units"), "K");
  EXPECT_EQ(*attributes(path_), std::vector<std::string>{"units"});
  EXPECT_EQ(attribute(path_, "missing").error().code, ENODATA);
  EXPECT_EQ(set_attribute(directory_.path("missing"), "units", "K").error().code, ENOENT);
}

}  // namespace
}  // namespace shm
