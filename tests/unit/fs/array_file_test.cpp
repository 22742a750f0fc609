#include "array_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "fixture.hpp"

namespace arrayfs {
namespace {

using shm::Order;

class ArrayFileTest : public testing::Test {
 protected:
  ArrayFile inspect(const std::string& name) const {
    return must(inspect_array(store_.open(name, O_RDONLY), prefix()));
  }
  ArrayFile file_with(std::string_view bytes) const {
    store_.write("file", bytes);
    return inspect("file");
  }
  // A fresh look after each change, as the daemon takes it.
  shm::Result<void> set(std::string_view name, std::string_view value) const {
    return set_array_xattr(inspect("file"), name, value, prefix());
  }
  shm::Result<void> remove(std::string_view name) const {
    return remove_array_xattr(inspect("file"), name, prefix());
  }
  shm::Result<std::string> get(std::string_view name) const {
    return array_xattr(inspect("file"), name);
  }
  const std::string& prefix() const { return store_.get().xattr_prefix(); }

  TestStore store_;
};

// ---- by header

TEST_F(ArrayFileTest, AnNpyIsAnArrayWhateverItsName) {
  const ArrayFile file = file_with(npy_bytes("<f4", {3, 4}));
  ASSERT_TRUE(file.layout) << file.reason;
  EXPECT_FALSE(file.typed_raw);
  EXPECT_EQ(file.layout->shape_text(), "(3, 4)");
  EXPECT_EQ(file.version, 1U);
  EXPECT_FALSE(file.sealed);
  EXPECT_FALSE(file.lifetime.limited());
}

TEST_F(ArrayFileTest, SaysWhatFollowsFromTheHeader) {
  const ArrayFile file = file_with(npy_bytes("<f8", {2, 3}, {}, Order::kFortran));
  EXPECT_EQ(must(array_xattr(file, "dtype")), "<f8");
  EXPECT_EQ(must(array_xattr(file, "dtype_name")), "float64");
  EXPECT_EQ(must(array_xattr(file, "shape")), "2,3");
  EXPECT_EQ(must(array_xattr(file, "order")), "F");
  EXPECT_EQ(must(array_xattr(file, "offset")), "128");
  EXPECT_EQ(must(array_xattr(file, "nbytes")), "48");
  EXPECT_EQ(must(array_xattr(file, "version")), "1");
  EXPECT_EQ(array_xattr_names(file).size(), 7U);
}

TEST_F(ArrayFileTest, DoesNotSayWhatItDoesNotHave) {
  const ArrayFile file = file_with(npy_bytes("<f8", {2}));
  for (const char* name : {"sealed", "ttl", "owner_pid", "nothing", "", "DTYPE"}) {
    EXPECT_TRUE(fails_with(array_xattr(file, name), ENODATA)) << name;
  }
}

TEST_F(ArrayFileTest, ZeroDimensionalAndEmptyArrays) {
  EXPECT_EQ(must(array_xattr(file_with(npy_bytes("<i8", {})), "shape")), "()");
  const ArrayFile empty = file_with(npy_bytes("<i8", {0, 5}));
  EXPECT_EQ(must(array_xattr(empty, "shape")), "0,5");
  EXPECT_EQ(must(array_xattr(empty, "nbytes")), "0");
}

TEST_F(ArrayFileTest, AStructuredTypeIsShownByItsFields) {
  const ArrayFile file = file_with(npy_bytes("[('a', '<i4'), ('b', '<f8')]", {2}));
  EXPECT_EQ(must(array_xattr(file, "dtype")), "[('a', '<i4'), ('b', '<f8')]");
}

std::string header_only(std::string_view literal) {
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(literal.size() & 0xff);
  bytes += static_cast<char>(literal.size() >> 8);
  return bytes.append(literal);
}

TEST_F(ArrayFileTest, HostileHeadersAreRawFilesWithAReason) {
  const std::string magic("\x93NUMPY", 6);
  const std::string endless = magic + std::string("\x02\x00\xff\xff\xff\xff", 6) + "{";
  const std::string many_axes = "(" + [] {
    std::string axes;
    for (int i = 0; i < 65; ++i) {
      axes += "1,";
    }
    return axes;
  }() + ")";
  const auto with = [](const std::string& descr, const std::string& shape) {
    return header_only("{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + "}");
  };
  for (const std::string& bytes :
       {std::string(), magic, magic + "\x01", magic + std::string("\x09\x00\x10\x00", 4), endless,
        npy_bytes("<f8", {100}).substr(0, 200), with("'<f8'", "(-1,)"),
        with("'<f8'", "(9223372036854775807, 9)"), with("'<f8'", many_axes),
        with("'<f8'", "__import__('os').system('x')"), with("'<x9'", "(1,)"),
        with(std::string(5000, '[') + std::string(4000, ']'), "(1,)"), with("'<f\xc3\xa9'", "(1,)"),
        header_only("{}"), header_only("")}) {
    const ArrayFile file = file_with(bytes);
    EXPECT_FALSE(file.layout) << bytes.substr(0, 80);
    EXPECT_FALSE(file.reason.empty()) << bytes.substr(0, 80);
    EXPECT_TRUE(array_xattr_names(file).empty());
  }
}

TEST_F(ArrayFileTest, ObjectArraysAreNeverArrays) {
  const ArrayFile file =
      file_with(header_only("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}") +
                "cos\nsystem\n(S'true'\ntR.");
  EXPECT_FALSE(file.layout);
  EXPECT_NE(file.reason.find("pickled"), std::string::npos) << file.reason;
}

TEST_F(ArrayFileTest, DirectoriesAreNoArrays) {
  ASSERT_EQ(mkdirat(store_.get().root_fd(), "directory", 0700), 0);
  const ArrayFile file = inspect("directory");
  EXPECT_FALSE(file.layout);
  EXPECT_EQ(file.reason, "not a regular file");
}

TEST_F(ArrayFileTest, AClosedDescriptorIsAnError) {
  EXPECT_TRUE(fails_with(inspect_array(shm::posix::Fd(), prefix()), EBADF));
}

// ---- raw files

TEST_F(ArrayFileTest, ARawFileIsGivenAType) {
  store_.write("file", std::string(48, '\0'));
  ASSERT_TRUE(ok(set("dtype", "<f4")));
  EXPECT_FALSE(inspect("file").layout);
  EXPECT_NE(inspect("file").reason.find("no user.array.shape"), std::string::npos);
  ASSERT_TRUE(ok(set("shape", "3,4")));
  const ArrayFile file = inspect("file");
  ASSERT_TRUE(file.layout) << file.reason;
  EXPECT_TRUE(file.typed_raw);
  EXPECT_EQ(must(array_xattr(file, "dtype")), "<f4");
  EXPECT_EQ(must(array_xattr(file, "offset")), "0");
}

TEST_F(ArrayFileTest, TheTypeMayComeInAnyOrder) {
  store_.write("file", std::string(52, '\0'));
  ASSERT_TRUE(ok(set("offset", "4")));
  ASSERT_TRUE(ok(set("order", "F")));
  ASSERT_TRUE(ok(set("shape", "(3, 4)")));
  EXPECT_NE(inspect("file").reason.find("no user.array.dtype"), std::string::npos);
  ASSERT_TRUE(ok(set("dtype", "float32")));
  const ArrayFile file = inspect("file");
  ASSERT_TRUE(file.layout) << file.reason;
  EXPECT_EQ(file.layout->order, Order::kFortran);
  EXPECT_EQ(file.layout->data_offset, 4U);
}

TEST_F(ArrayFileTest, RefusesATypeThatDoesNotFit) {
  store_.write("file", std::string(47, '\0'));
  ASSERT_TRUE(ok(set("dtype", "<f4")));
  EXPECT_TRUE(fails_with(set("shape", "3,4"), EINVAL));
  EXPECT_TRUE(fails_with(get("shape"), ENODATA));
  EXPECT_TRUE(ok(set("shape", "3,3")));
  EXPECT_TRUE(fails_with(set("offset", "12"), EINVAL));
  EXPECT_TRUE(ok(set("offset", "11")));
  EXPECT_TRUE(fails_with(set("dtype", "<f8"), EINVAL));
  EXPECT_TRUE(fails_with(set("offset", "18446744073709551615"), EINVAL));
}

TEST_F(ArrayFileTest, RefusesTypesThatDoNotParse) {
  store_.write("file", std::string(64, '\0'));
  EXPECT_TRUE(fails_with(set("dtype", ""), EINVAL));
  EXPECT_TRUE(fails_with(set("dtype", "float17"), EINVAL));
  EXPECT_TRUE(fails_with(set("dtype", std::string("<f4\0", 4)), EINVAL));
  EXPECT_TRUE(fails_with(set("shape", "-1"), EINVAL));
  EXPECT_TRUE(fails_with(set("shape", "3;4"), EINVAL));
  EXPECT_TRUE(fails_with(set("order", "c"), EINVAL));
  EXPECT_TRUE(fails_with(set("order", ""), EINVAL));
  EXPECT_TRUE(fails_with(set("offset", "-4"), EINVAL));
  EXPECT_TRUE(fails_with(set("offset", "4 "), EINVAL));
  EXPECT_TRUE(fails_with(set("offset", ""), EINVAL));
  EXPECT_TRUE(array_xattr_names(inspect("file")).empty());
}

TEST_F(ArrayFileTest, RefusesAShapeThatOverflows) {
  store_.write("file", std::string(64, '\0'));
  ASSERT_TRUE(ok(set("dtype", "<f8")));
  EXPECT_FALSE(set("shape", "4611686018427387904,4"));
  EXPECT_FALSE(set("shape", "99999999999999999999"));
}

TEST_F(ArrayFileTest, RefusesObjectsAsAType) {
  store_.write("file", std::string(64, '\0'));
  ASSERT_TRUE(ok(set("shape", "8")));
  EXPECT_TRUE(fails_with(set("dtype", "|O"), EINVAL));
}

TEST_F(ArrayFileTest, AFileThatBecameTooShortIsRawAgain) {
  store_.write("file", std::string(48, '\0'));
  ASSERT_TRUE(ok(set("dtype", "<f4")));
  ASSERT_TRUE(ok(set("shape", "12")));
  ASSERT_EQ(ftruncate(store_.open("file", O_RDWR).get(), 40), 0);
  const ArrayFile file = inspect("file");
  EXPECT_FALSE(file.layout);
  EXPECT_NE(file.reason.find("the file has 40"), std::string::npos) << file.reason;
}

TEST_F(ArrayFileTest, AHeaderThatComesLaterWins) {
  store_.write("file", std::string(48, '\0'));
  ASSERT_TRUE(ok(set("dtype", "<f4")));
  ASSERT_TRUE(ok(set("shape", "12")));
  const ArrayFile file = file_with(npy_bytes("<i8", {2}));
  ASSERT_TRUE(file.layout);
  EXPECT_FALSE(file.typed_raw);
  EXPECT_EQ(must(array_xattr(file, "dtype")), "<i8");
}

TEST_F(ArrayFileTest, ATypeIsTakenBack) {
  store_.write("file", std::string(48, '\0'));
  ASSERT_TRUE(ok(set("dtype", "<f4")));
  ASSERT_TRUE(ok(set("shape", "12")));
  ASSERT_TRUE(ok(remove("shape")));
  EXPECT_FALSE(inspect("file").layout);
  EXPECT_TRUE(fails_with(remove("shape"), ENODATA));
  ASSERT_TRUE(ok(remove("dtype")));
  EXPECT_TRUE(array_xattr_names(inspect("file")).empty());
}

TEST_F(ArrayFileTest, NonsenseInTheStoreCountsAsNotThere) {
  store_.write("file", std::string(48, '\0'));
  const auto fd = store_.open("file", O_RDWR);
  const std::string long_value(10000, '(');
  ASSERT_EQ(fsetxattr(fd.get(), (prefix() + "array.dtype").c_str(), "\xff\xfe", 2, 0), 0);
  ASSERT_EQ(fsetxattr(fd.get(), (prefix() + "array.shape").c_str(), long_value.data(),
                      long_value.size(), 0),
            0);
  EXPECT_FALSE(inspect("file").layout);
}

// ---- xattrs that are set as they are

TEST_F(ArrayFileTest, SettingWhatIsSoIsAccepted) {
  store_.write("file", npy_bytes("<f4", {3}));
  for (const std::string& name : array_xattr_names(inspect("file"))) {
    EXPECT_TRUE(ok(set(name, must(get(name))))) << name;
  }
}

TEST_F(ArrayFileTest, WhatFollowsFromTheHeaderCannotBeSet) {
  store_.write("file", npy_bytes("<f4", {3}));
  EXPECT_TRUE(fails_with(set("dtype", "<f8"), EINVAL));
  EXPECT_TRUE(fails_with(set("shape", "4"), EINVAL));
  EXPECT_TRUE(fails_with(set("order", "F"), EINVAL));
  EXPECT_TRUE(fails_with(set("nbytes", "1"), EINVAL));
  EXPECT_TRUE(fails_with(set("nothing", "1"), EINVAL));
  EXPECT_TRUE(fails_with(remove("dtype"), EPERM));
  EXPECT_TRUE(fails_with(remove("version"), EPERM));
  EXPECT_TRUE(fails_with(remove("nothing"), ENODATA));
}

TEST_F(ArrayFileTest, ACopyMayBringWhatItsNewHomeTells) {
  store_.write("file", "");  // cp -a sets xattrs before or after the bytes
  EXPECT_TRUE(ok(set("version", "7")));
  EXPECT_TRUE(ok(set("nbytes", "800")));
  EXPECT_TRUE(ok(set("dtype_name", "float64")));
  EXPECT_FALSE(set("nothing", "1"));
}

TEST_F(ArrayFileTest, WithoutStoreXattrsNothingCanBeKept) {
  store_.write("file", std::string(48, '\0'));
  const auto file = must(inspect_array(store_.open("file", O_RDONLY), ""));
  EXPECT_TRUE(fails_with(set_array_xattr(file, "dtype", "<f4", ""), ENOTSUP));
  EXPECT_TRUE(fails_with(set_array_xattr(file, "ttl", "5", ""), ENOTSUP));
  EXPECT_FALSE(file.layout);
}

TEST_F(ArrayFileTest, LifetimesAreSetOnAnyFile) {
  store_.write("file", "raw");
  ASSERT_TRUE(ok(set("ttl", "100")));
  const std::int64_t left = std::stoll(must(get("ttl")));
  EXPECT_GT(left, 0);
  EXPECT_LE(left, 100);
  ASSERT_TRUE(ok(set("owner_pid", std::to_string(getpid()))));
  EXPECT_EQ(must(get("owner_pid")), std::to_string(getpid()));
  ASSERT_TRUE(ok(remove("ttl")));
  ASSERT_TRUE(ok(remove("owner_pid")));
  EXPECT_TRUE(fails_with(remove("ttl"), ENODATA));
  EXPECT_FALSE(inspect("file").lifetime.limited());
}

}  // namespace
}  // namespace arrayfs
