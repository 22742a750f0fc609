// `arrayfs create`: an array, whole and allocated, from a type and a shape or from a .npy file.
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <shm/array.hpp>

#include "../values/scalar.hpp"
#include "commands.hpp"
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
  arrayfs create /mnt/arrays/w.npy --from w.npy
  arrayfs create /mnt/arrays/tmp.npy uint8 1000 --ttl 3600 --owner-pid $$)";

struct CreateArguments {
  std::string path;
  std::string dtype;
  std::string shape;
  std::string fill;
  std::string from;
  std::string order = "C";
  std::uint64_t align = shm::kArrayAlign;
  std::uint64_t ttl_seconds = 0;
  int owner_pid = 0;
  bool replace = false;
};

Result<void> create_filled(const CreateArguments& arguments, shm::CreateOptions options) {
  const auto dtype = shm::Dtype::parse(arguments.dtype);
  if (!dtype) {
    return tl::unexpected(dtype.error());
  }
  const auto shape = shm::parse_shape(arguments.shape);
  if (!shape) {
    return tl::unexpected(shape.error());
  }
  if (!arguments.fill.empty()) {
    auto fill = parse_scalar(*dtype, arguments.fill);
    if (!fill) {
      return fail(fill.error().code, "--fill: " + fill.error().context);
    }
    options.fill = std::move(*fill);
  }
  options.order = arguments.order == "F" ? shm::Order::kFortran : shm::Order::kC;
  return shm::Array::create(arguments.path, *dtype, *shape, options).map([](const shm::Array&) {});
}

Result<void> create_copy(const CreateArguments& arguments, shm::CreateOptions options) {
  const auto source = shm::Array::open(arguments.from);
  if (!source) {
    return tl::unexpected(source.error());
  }
  const shm::Layout& layout = source->layout();
  options.order = layout.order;
  options.contents = source->bytes();
  return shm::Array::create(arguments.path, layout.dtype, layout.shape, options)
      .map([](const shm::Array&) {});
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
  auto created = arguments.from.empty() ? create_filled(arguments, std::move(options))
                                        : create_copy(arguments, std::move(options));
  return created.and_then([&] { return set_lifetime(arguments); });
}

}  // namespace

void add_create_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<CreateArguments>();
  CLI::App* command = app.add_subcommand("create", "Make an array, whole and allocated");
  command->footer(kExamples);
  command->add_option("PATH", arguments->path, "The file to make")->required();
  CLI::Option* dtype =
      command->add_option("DTYPE", arguments->dtype, "As float32, <f4, datetime64[ns], S10");
  CLI::Option* shape =
      command->add_option("SHAPE", arguments->shape, "As 60000,28,28 or () for a scalar");
  CLI::Option* from = command->add_option("--from", arguments->from, "Copy this .npy file");
  CLI::Option* fill =
      command->add_option("--fill", arguments->fill, "Value of every element (default 0)");
  CLI::Option* order =
      command->add_option("--order", arguments->order, "C (rows together) or F (columns)")
          ->check(CLI::IsMember({"C", "F"}));
  from->excludes(dtype)->excludes(shape)->excludes(fill)->excludes(order);
  command
      ->add_option("--align", arguments->align, "Start of the data: a multiple of this, 64 to 8192")
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
  command->add_flag("--replace", arguments->replace, "Replace an existing file");
  command->callback([arguments, &action] {
    if (arguments->from.empty() && (arguments->dtype.empty() || arguments->shape.empty())) {
      throw CLI::ValidationError("create", "give DTYPE and SHAPE, or --from FILE");
    }
    action = [arguments] { return create_command(*arguments); };
  });
}

}  // namespace arrayfs
