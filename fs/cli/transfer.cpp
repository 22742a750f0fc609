// `arrayfs import` and `arrayfs export`: arrays into a mount and out of it, one or whole
// directories.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <shm/array.hpp>

#include "../text.hpp"
#include "array_batch.hpp"
#include "commands.hpp"
#include "foreign_arrays.hpp"
#include "mounted_path.hpp"
#include "whole_file.hpp"

namespace arrayfs {
namespace {

namespace stdfs = std::filesystem;
using shm::fail;
using shm::Result;

constexpr char kImportExamples[] = R"(
Examples:
  arrayfs import weights.npz /mnt/arrays/weights        each array as a file of that directory
  arrayfs import model.safetensors /mnt/arrays/model
  arrayfs import table.csv /mnt/arrays/table.npy --skip-heading
  arrayfs import results/ /mnt/arrays/results           every .npy file, sub-directories too

All of them appear when the last of them is there; when one fails, everything is as it was. What
--replace replaces needs its memory until then.)";

constexpr char kExportExamples[] = R"(
Examples:
  arrayfs export /mnt/arrays/w.npy w.csv                by the ending: npy, csv, bin, png
  arrayfs export /mnt/arrays/layers layers.npz          a directory: npz, safetensors
  arrayfs export /mnt/arrays/layers backup/             a directory as .npy files
  arrayfs export /mnt/arrays/w.npy - --format csv       to standard output)";

// How far it is, on one line of a terminal; nothing where standard error is none.
class Progress {
 public:
  explicit Progress(std::uint64_t total) : total_(total), shown_(isatty(STDERR_FILENO) == 1) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (shown_) {
      std::fputs("\r\x1b[K", stderr);
    }
  }

  void add(std::uint64_t bytes, const std::string& name) {
    done_ += bytes;
    const double share =
        total_ == 0 ? 1 : std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    const int percent = static_cast<int>(share * 100);
    if (!shown_ || (percent == percent_ && name == name_)) {
      return;
    }
    percent_ = percent;
    name_ = name;
    constexpr int kWidth = 30;
    const auto full = static_cast<std::size_t>(share * kWidth);
    fmt::print(stderr, "\r\x1b[K[{}{}] {:3}% {}", std::string(full, '#'),
               std::string(kWidth - full, '.'), percent, printable(name).substr(0, 40));
  }

 private:
  std::uint64_t total_;
  bool shown_;
  std::uint64_t done_ = 0;
  int percent_ = -1;
  std::string name_;
};

// ---- import

struct ImportArguments {
  std::string source;
  std::string target;
  std::string dtype;
  std::string shape;
  bool skip_heading = false;
  bool replace = false;
};

Result<void> add_to(ArrayBatch& batch, const std::string& path, const ForeignArray& array,
                    const std::string& source) {
  shm::CreateOptions options;
  options.order = array.order;
  options.contents = array.bytes;
  return batch.make_parents(path)
      .and_then([&] { return batch.add(path, array.dtype, array.shape, options); })
      .and_then([&] { return check_source(source, array); });
}

Result<std::vector<stdfs::path>> npy_files_below(const stdfs::path& root) {
  std::vector<stdfs::path> files;
  std::error_code error;
  for (stdfs::recursive_directory_iterator at(root, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code gone;
    if (at->is_regular_file(gone) && at->path().extension() == ".npy") {
      files.push_back(at->path());
    }
  }
  if (error) {
    return fail(error.value(), root.string());
  }
  std::ranges::sort(files);
  return files;
}

// A name from an archive stays below the directory that it is imported to.
Result<std::string> target_of(const std::string& directory, const std::string& name) {
  const stdfs::path path = stdfs::path(name).lexically_normal();
  if (name.empty() || path.is_absolute() || path.begin()->string() == "..") {
    return fail(EINVAL,
                "an array is named '" + printable(name) + "', which is no place for a file");
  }
  return directory + "/" + path.string() + ".npy";
}

Result<void> import_archive(const ImportArguments& arguments, const ForeignType& type) {
  const auto arrays = read_foreign(arguments.source, type);
  if (!arrays) {
    return tl::unexpected(arrays.error());
  }
  std::uint64_t total = 0;
  for (const ForeignArray& array : *arrays) {
    total += array.bytes.size();
  }
  Progress progress(total);
  ArrayBatch batch(arguments.replace);
  for (const ForeignArray& array : *arrays) {
    const auto target = target_of(arguments.target, array.name);
    if (!target) {
      return tl::unexpected(target.error());
    }
    progress.add(0, array.name);
    if (auto added = add_to(batch, *target, array, arguments.source); !added) {
      return added;
    }
    progress.add(array.bytes.size(), array.name);
  }
  return batch.publish();
}

Result<void> import_directory(const ImportArguments& arguments, const ForeignType& type) {
  const auto files = npy_files_below(arguments.source);
  if (!files) {
    return tl::unexpected(files.error());
  }
  std::uint64_t total = 0;
  std::error_code gone;
  for (const stdfs::path& file : *files) {
    total += stdfs::file_size(file, gone);
  }
  Progress progress(total);
  ArrayBatch batch(arguments.replace);
  for (const stdfs::path& file : *files) {
    const std::string name = file.lexically_relative(arguments.source);
    progress.add(0, name);
    auto added = read_foreign(file, type).and_then([&](const std::vector<ForeignArray>& arrays) {
      progress.add(arrays.front().bytes.size(), name);
      return add_to(batch, arguments.target + "/" + name, arrays.front(), file);
    });
    if (!added) {
      return added;
    }
  }
  return batch.publish();
}

Result<void> import_command(ImportArguments arguments) {
  auto type = parse_foreign_type(arguments.dtype, arguments.shape);
  if (!type) {
    return tl::unexpected(type.error());
  }
  type->skip_heading = arguments.skip_heading;
  std::error_code error;
  if (stdfs::is_directory(arguments.source, error)) {
    return import_directory(arguments, *type);
  }
  if (is_archive_name(arguments.source)) {
    return import_archive(arguments, *type);
  }
  if (stdfs::is_directory(arguments.target, error)) {
    arguments.target += "/" + stdfs::path(arguments.source).stem().string() + ".npy";
  }
  return read_foreign(arguments.source, *type)
      .and_then([&](const std::vector<ForeignArray>& arrays) {
        ArrayBatch batch(arguments.replace);
        return add_to(batch, arguments.target, arrays.front(), arguments.source).and_then([&] {
          return batch.publish();
        });
      });
}

// ---- export

struct ExportArguments {
  std::string source;
  std::string target;
  std::string format;
};

constexpr std::string_view kOfArrays[] = {"npy", "csv", "bin", "png"};
constexpr std::string_view kOfDirectories[] = {"npz", "safetensors"};

bool is_among(std::span<const std::string_view> formats, const std::string& format) {
  return std::ranges::count(formats, format) != 0;
}

// The file that has the bytes of a path in a format: the array's own, or a view.
Result<std::string> source_of(const std::string& path, const std::string& format) {
  if (format == "npy") {
    return path;
  }
  return find_mount(path).map([&](const MountedPath& mounted) {
    const std::string view = format == "bin" ? "raw" : format;
    return mounted.control(fmt::format("{}/{}.{}", view, mounted.inner, format));
  });
}

Result<void> copy_to(const std::string& from, const std::string& to, Progress& progress) {
  const auto fd = shm::posix::open_at(AT_FDCWD, from, O_RDONLY | O_NONBLOCK);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  const bool standard = to == "-";
  Result<WholeFile> file = standard ? Result<WholeFile>(fail(0)) : WholeFile::create(to);
  if (!standard && !file) {
    return tl::unexpected(file.error());
  }
  std::vector<std::byte> buffer(1U << 20);
  for (std::uint64_t offset = 0;;) {
    const auto got = shm::posix::pread_full(fd->get(), buffer, offset);
    if (!got) {
      return fail(got.error().code, from);
    }
    if (*got == 0) {
      break;
    }
    const std::span<const std::byte> part = std::span(buffer).first(*got);
    if (standard) {
      if (std::fwrite(part.data(), 1, part.size(), stdout) != part.size()) {
        return fail(errno, "standard output");
      }
    } else if (auto written = file->write(part); !written) {
      return written;
    }
    offset += *got;
    progress.add(*got, to);
  }
  return standard ? Result<void>{} : file->publish();
}

Result<void> export_directory(const std::string& source, const std::string& target) {
  const auto files = npy_files_below(source);
  if (!files) {
    return tl::unexpected(files.error());
  }
  std::uint64_t total = 0;
  std::error_code error;
  for (const stdfs::path& file : *files) {
    total += stdfs::file_size(file, error);
  }
  Progress progress(total);
  for (const stdfs::path& file : *files) {
    const stdfs::path to = stdfs::path(target) / file.lexically_relative(source);
    stdfs::create_directories(to.parent_path(), error);
    if (error) {
      return fail(error.value(), to.parent_path().string());
    }
    if (auto copied = copy_to(file, to, progress); !copied) {
      return copied;
    }
  }
  return {};
}

Result<void> export_command(const ExportArguments& arguments) {
  const auto st = shm::posix::stat_at(AT_FDCWD, arguments.source, 0);
  if (!st) {
    return tl::unexpected(st.error());
  }
  const std::string ending = stdfs::path(arguments.target).extension().string();
  const std::string format = !arguments.format.empty() ? arguments.format
                             : ending.empty()          ? ""
                                                       : ending.substr(1);
  const bool directory = S_ISDIR(st->st_mode);
  if (directory && !is_among(kOfDirectories, format)) {
    if (!arguments.format.empty() || arguments.target == "-") {
      return fail(EISDIR,
                  arguments.source + ": a directory goes to npz, safetensors or a directory");
    }
    return export_directory(arguments.source, arguments.target);
  }
  if (!directory && !is_among(kOfArrays, format)) {
    return fail(EINVAL, arguments.target + ": give an ending or --format: npy, csv, bin or png");
  }
  const auto from = source_of(arguments.source, format);
  if (!from) {
    return tl::unexpected(from.error());
  }
  Progress progress(static_cast<std::uint64_t>(st->st_size));
  return copy_to(*from, arguments.target, progress);
}

}  // namespace

void add_transfer_commands(CLI::App& app, Action& action) {
  auto import = std::make_shared<ImportArguments>();
  CLI::App* in = app.add_subcommand("import", "Bring arrays of other files in");
  in->footer(kImportExamples);
  in->add_option("SOURCE", import->source,
                 ".npy, .npz, .csv, .safetensors, raw data, or a directory of .npy files")
      ->required();
  in->add_option("TARGET", import->target, "A file, or a directory for what holds several arrays")
      ->required();
  in->add_option("--dtype", import->dtype, "Of raw data, or of the values of a .csv file");
  in->add_option("--shape", import->shape, "Of raw data");
  in->add_flag("--skip-heading", import->skip_heading,
               "The first line of a .csv file has no values");
  in->add_flag("--replace", import->replace, "Replace existing files");
  in->callback([import, &action] { action = [import] { return import_command(*import); }; });

  auto out = std::make_shared<ExportArguments>();
  CLI::App* command = app.add_subcommand("export", "Write arrays to files of other formats");
  command->footer(kExportExamples);
  command->add_option("SOURCE", out->source, "An array or a directory on an arrayfs mount")
      ->required();
  command->add_option("TARGET", out->target, "A file, a directory, or - for standard output")
      ->required();
  command->add_option("--format", out->format, "Instead of what the ending of TARGET says")
      ->check(CLI::IsMember({"npy", "csv", "bin", "png", "npz", "safetensors"}));
  command->callback([out, &action] { action = [out] { return export_command(*out); }; });
}

}  // namespace arrayfs
