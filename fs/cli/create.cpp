// `arrayfs create`: an array, whole and allocated, from a type and a shape, like another array, or
// from a file of another format; a ring, from the type of its items.
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <shm/array.hpp>
#include <shm/ring.hpp>

#include "../values/scalar.hpp"
#include "array_argument.hpp"
#include "array_batch.hpp"
#include "commands.hpp"
#include "foreign_arrays.hpp"
#include "mounted_path.hpp"

namespace arrayfs {
namespace {

using shm::fail;
using shm::Result;

constexpr char kExamples[] = R"(
Examples:
  arrayfs create /mnt/arrays/images.npy float32 60000,28,28
  arrayfs create /mnt/arrays/mask.npy bool 1000 --fill True
  arrayfs create /mnt/arrays/points.npy "[('x', '<f8'), ('y', '<f8')]" 10
  arrayfs create /mnt/arrays/w.npy --from w.npy            or .csv, .npz, .safetensors with one array
  arrayfs create /mnt/arrays/photo.npy uint8 480,640,3 --from photo.raw
  arrayfs create /mnt/arrays/frames.npy uint8 224,224,3 --ring 16        a queue of images
  arrayfs create /mnt/arrays/gradient.npy --like /mnt/arrays/w.npy
  arrayfs create /mnt/arrays/tmp.npy uint8 1000 --ttl 3600 --owner-pid $$)";

struct CreateArguments {
  std::string path;
  std::string dtype;
  std::string shape;
  std::string fill;
  std::string from;
  std::string like;
  bool skip_heading = false;
  std::string order;
  std::uint64_t align = shm::kArrayAlign;
  std::uint64_t ttl_seconds = 0;
  int owner_pid = 0;
  std::uint64_t ring_slots = 0;  ///< 0: no ring
  bool replace = false;
};

// The type that the arguments give.
Result<ForeignType> given_type(const CreateArguments& arguments) {
  return parse_foreign_type(arguments.dtype, arguments.shape).map([&](ForeignType type) {
    type.order = arguments.order == "F" ? shm::Order::kFortran : shm::Order::kC;
    type.skip_heading = arguments.skip_heading;
    return type;
  });
}

Result<void> create_filled(const CreateArguments& arguments, const ForeignType& type,
                           shm::CreateOptions options) {
  if (!arguments.fill.empty()) {
    auto fill = parse_scalar(*type.dtype, arguments.fill);
    if (!fill) {
      return fail(fill.error().code, "--fill: " + fill.error().context);
    }
    options.fill = std::move(*fill);
  }
  options.order = type.order;
  return shm::Array::create(arguments.path, *type.dtype, *type.shape, options)
      .map([](const shm::Array&) {});
}

Result<void> create_like(const CreateArguments& arguments, ForeignType type,
                         const shm::CreateOptions& options) {
  const auto model = ArrayArgument::open(arguments.like, "");
  if (!model) {
    return tl::unexpected(model.error());
  }
  type.dtype = type.dtype.value_or(model->layout.dtype);
  type.shape = type.shape.value_or(model->layout.shape);
  type.order = arguments.order.empty() ? model->layout.order : type.order;
  return create_filled(arguments, type, options);
}

Result<void> create_copy(const CreateArguments& arguments, const ForeignType& type,
                         shm::CreateOptions options) {
  const auto arrays = read_foreign(arguments.from, type);
  if (!arrays) {
    return tl::unexpected(arrays.error());
  }
  if (arrays->size() != 1) {
    return fail(EINVAL, arguments.from + ": has " + std::to_string(arrays->size()) +
                            " arrays, not one; arrayfs import takes them all");
  }
  const ForeignArray& source = arrays->front();
  options.order = source.order;
  options.contents = source.bytes;
  ArrayBatch copy(options.replace);
  return copy.add(arguments.path, source.dtype, source.shape, options)
      .and_then([&] { return check_source(arguments.from, source); })
      .and_then([&] { return copy.publish(); });
}

Result<void> create_ring(const CreateArguments& arguments, const ForeignType& item) {
  return shm::Ring::create(arguments.path, *item.dtype, *item.shape, arguments.ring_slots)
      .map([](const shm::Ring&) {});
}

// An array that was to have a limited life and did not get it is removed again.
Result<void> set_lifetime(const CreateArguments& arguments) {
  const auto set = [&](const char* name, std::uint64_t value) -> Result<void> {
    const std::string text = std::to_string(value);
    if (value == 0) {
      return {};
    }
    if (auto possible = check_not_behind_link(arguments.path); !possible) {
      unlink(arguments.path.c_str());
      return possible;
    }
    if (setxattr(arguments.path.c_str(), name, text.data(), text.size(), 0) == 0) {
      return {};
    }
    const int code = errno;
    unlink(arguments.path.c_str());
    return fail(code, arguments.path + ": cannot set " + name + " to " + text +
                          "; is it on an arrayfs mount, and the process alive?");
  };
  return set("user.array.ttl", arguments.ttl_seconds).and_then([&] {
    return set("user.array.owner_pid", static_cast<std::uint64_t>(arguments.owner_pid));
  });
}

Result<void> create_command(const CreateArguments& arguments) {
  shm::CreateOptions options;
  options.align = arguments.align;
  options.replace = arguments.replace;
  auto created = given_type(arguments).and_then([&](const ForeignType& type) {
    return !arguments.from.empty()     ? create_copy(arguments, type, options)
           : !arguments.like.empty()   ? create_like(arguments, type, options)
           : arguments.ring_slots != 0 ? create_ring(arguments, type)
                                       : create_filled(arguments, type, options);
  });
  return created.and_then([&] { return set_lifetime(arguments); });
}

}  // namespace

void add_create_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<CreateArguments>();
  CLI::App* command = app.add_subcommand("create", "Make an array, whole and allocated");
  command->footer(kExamples);
  command->add_option("PATH", arguments->path, "The file to make")->required();
  command->add_option("DTYPE", arguments->dtype, "As float32, <f4, datetime64[ns], S10");
  command->add_option("SHAPE", arguments->shape, "As 60000,28,28 or () for a scalar");
  CLI::Option* from = command->add_option(
      "--from", arguments->from,
      "Copy this file: .npy, .npz, .csv, .safetensors; any other with DTYPE and SHAPE");
  CLI::Option* like =
      command->add_option("--like", arguments->like, "Type, shape and order of this array");
  CLI::Option* fill =
      command->add_option("--fill", arguments->fill, "Value of every element (default 0)");
  CLI::Option* order =
      command->add_option("--order", arguments->order, "C (rows together) or F (columns)")
          ->check(CLI::IsMember({"C", "F"}));
  command
      ->add_flag("--skip-heading", arguments->skip_heading,
                 "The first line of a .csv file has no values")
      ->needs(from);
  from->excludes(like)->excludes(fill);
  CLI::Option* align =
      command
          ->add_option("--align", arguments->align,
                       "Start of the data: a multiple of this, 64 to 8192")
          ->check([](const std::string& text) {
            const bool power = text == "64" || text == "128" || text == "256" || text == "512" ||
                               text == "1024" || text == "2048" || text == "4096" || text == "8192";
            return power ? std::string() : std::string("give a power of two from 64 to 8192");
          });
  command->add_option("--ttl", arguments->ttl_seconds, "Remove the array after so many seconds")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--owner-pid", arguments->owner_pid, "Remove the array when this process ends")
      ->check(CLI::PositiveNumber);
  CLI::Option* replace =
      command->add_flag("--replace", arguments->replace, "Replace an existing file");
  CLI::Option* ring =
      command
          ->add_option("--ring", arguments->ring_slots,
                       "A queue with so many slots; DTYPE and SHAPE are those of one item")
          ->check(CLI::PositiveNumber);
  for (CLI::Option* option : {from, like, fill, order, align, replace}) {
    ring->excludes(option);
  }
  command->callback([arguments, &action] {
    const bool typed = !arguments->dtype.empty() && !arguments->shape.empty();
    if (arguments->from.empty() && arguments->like.empty() && !typed) {
      throw CLI::ValidationError("create", "give DTYPE and SHAPE, --like PATH or --from FILE");
    }
    action = [arguments] { return create_command(*arguments); };
  });
}

}  // namespace arrayfs
