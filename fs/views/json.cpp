// `json/PATH.json`: an array's metadata for programs.
#include <nlohmann/json.hpp>

#include "../text.hpp"
#include "formats.hpp"
#include "ring.hpp"

namespace arrayfs {
namespace {

std::string describe(const ViewInput& input) {
  const ArrayFile& file = input.file;
  nlohmann::ordered_json json;
  json["kind"] = file.layout ? "array" : "raw";
  if (file.layout) {
    const shm::Layout& layout = *file.layout;
    json["typed_by"] = file.typed_raw ? "xattrs" : "header";
    json["dtype"] = layout.dtype.name();
    json["typestr"] = layout.dtype.typestr();
    json["descr"] = layout.dtype.descr();
    json["shape"] = layout.shape;
    json["strides"] = layout.strides();
    json["order"] = std::string(1, static_cast<char>(layout.order));
    json["offset"] = layout.data_offset;
    json["itemsize"] = layout.dtype.itemsize();
    json["size"] = layout.size();
    json["nbytes"] = layout.nbytes();
  } else {
    json["reason"] = file.reason;
  }
  json["file_size"] = file.attr.st_size;
  json["allocated"] = static_cast<std::uint64_t>(file.attr.st_blocks) * 512;
  json["mode"] = file.attr.st_mode & 07777U;
  json["uid"] = file.attr.st_uid;
  json["gid"] = file.attr.st_gid;
  json["modified"] = utc_time(file.attr.st_mtim);
  json["modified_s"] = file.attr.st_mtim.tv_sec;
  json["version"] = file.version;
  json["sealed"] = file.sealed;
  if (file.lifetime.expires_at) {
    json["expires_at"] = *file.lifetime.expires_at;
  }
  if (file.lifetime.owner) {
    json["owner_pid"] = file.lifetime.owner->pid;
  }
  json["open"] = input.opens;
  json["writers"] = input.writers;
  const auto list = [](const std::vector<FileUser>& users) {
    auto entries = nlohmann::ordered_json::array();
    for (const FileUser& user : users) {
      entries.push_back({{"pid", user.pid}, {"command", user.command}, {"writes", user.writable}});
    }
    return entries;
  };
  const UsersOfFile users = input.users ? input.users->of(file.attr.st_ino) : UsersOfFile{};
  json["open_by"] = list(users.open_by);
  json["mapped_by"] = list(users.mapped_by);
  if (input.ring_control.valid()) {
    json["ring"] = ring_json(shm::read_ring_status(input.ring_control.get()));
  }
  // Names come from files: bytes that are no UTF-8 are replaced, never thrown over.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

class Json final : public View {
 public:
  [[nodiscard]] std::string_view directory() const override { return "json"; }
  [[nodiscard]] std::string_view suffix() const override { return ".json"; }
  [[nodiscard]] bool is_immediate(const ViewInput& input) const override {
    return !input.users && !input.ring_control.valid();
  }
  [[nodiscard]] shm::Result<std::unique_ptr<ViewStream>> open(ViewInput input) const override {
    return std::make_unique<TextStream>(describe(input));
  }
};

}  // namespace

std::unique_ptr<const View> make_json_view() {
  return std::make_unique<Json>();
}

}  // namespace arrayfs
