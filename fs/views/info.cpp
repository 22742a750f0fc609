// `info/PATH`: an array in words, `key: value` lines, then a preview of its values.
#include <fmt/format.h>

#include "../text.hpp"
#include "formats.hpp"
#include "preview.hpp"
#include "ring.hpp"

namespace arrayfs {
namespace {

std::string describe(const ViewInput& input) {
  const ArrayFile& file = input.file;
  std::string text;
  const auto line = [&text](std::string_view key, const std::string& value) {
    fmt::format_to(std::back_inserter(text), "{}: {}\n", key, printable(value));
  };
  if (file.layout) {
    const shm::Layout& layout = *file.layout;
    line("kind", file.typed_raw ? "array (raw file, typed by xattrs)" : "array");
    line("dtype", layout.dtype.name());
    line("shape", layout.shape_text());
    line("order", std::string(1, static_cast<char>(layout.order)));
    line("offset", std::to_string(layout.data_offset));
    line("itemsize", std::to_string(layout.dtype.itemsize()));
    line("nbytes", fmt::format("{} ({})", layout.nbytes(), human_bytes(layout.nbytes())));
  } else {
    line("kind", "raw file");
    line("reason", file.reason);
  }
  line("file_size", std::to_string(file.attr.st_size));
  line("allocated", std::to_string(static_cast<std::uint64_t>(file.attr.st_blocks) * 512));
  line("mode", fmt::format("{:04o}", file.attr.st_mode & 07777U));
  line("owner", fmt::format("{}:{}", file.attr.st_uid, file.attr.st_gid));
  line("modified", utc_time(file.attr.st_mtim));
  line("version", std::to_string(file.version));
  line("sealed", file.sealed ? "yes" : "no");
  if (const auto ttl = array_xattr(file, "ttl")) {
    line("ttl", *ttl + " s");
  }
  if (file.lifetime.owner) {
    line("owner_pid", std::to_string(file.lifetime.owner->pid));
  }
  line("open", fmt::format("{} ({} for writing)", input.opens, input.writers));
  // Of other users' processes an ordinary user's daemon knows nothing.
  const UsersOfFile users = input.users ? input.users->of(file.attr.st_ino) : UsersOfFile{};
  line("open_by", describe(users.open_by));
  line("mapped_by", describe(users.mapped_by));
  if (input.ring_control.valid()) {
    text += ring_text(shm::read_ring_status(input.ring_control.get()));
  }
  if (file.layout) {
    text += '\n';
    const auto preview = array_preview(file.fd.get(), *file.layout);
    text += preview ? *preview : "preview: " + shm::to_string(preview.error());
    text += '\n';
  }
  return text;
}

class Info final : public View {
 public:
  [[nodiscard]] std::string_view directory() const override { return "info"; }
  [[nodiscard]] std::string_view suffix() const override { return ""; }
  [[nodiscard]] shm::Result<std::unique_ptr<ViewStream>> open(ViewInput input) const override {
    return std::make_unique<TextStream>(describe(input));
  }
};

}  // namespace

std::unique_ptr<const View> make_info_view() {
  return std::make_unique<Info>();
}

}  // namespace arrayfs
