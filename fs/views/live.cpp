// The names under which programs wait, make arrays and meet: `wait/PATH`, `new/PATH`, `events` and
// `sync/PATH`. What they do is in waiting.cpp, fuse_live.cpp and sync_pages.cpp; here they take
// their place among the formats.
#include <cerrno>

#include "../recipe.hpp"
#include "formats.hpp"

namespace arrayfs {
namespace {

class Wait final : public View {
 public:
  [[nodiscard]] std::string_view directory() const override { return "wait"; }
  [[nodiscard]] std::string_view suffix() const override { return ""; }
  [[nodiscard]] Role role() const override { return Role::kWait; }
  [[nodiscard]] OpenedStream open(ViewInput /*input*/) const override { return shm::fail(EINVAL); }
};

// Of an array that is there already: the line that would make it.
class New final : public View {
 public:
  [[nodiscard]] std::string_view directory() const override { return "new"; }
  [[nodiscard]] std::string_view suffix() const override { return ""; }
  [[nodiscard]] Role role() const override { return Role::kMake; }
  [[nodiscard]] OpenedStream open(ViewInput input) const override {
    return layout_to_show(input.file).map([](const shm::Layout& layout) {
      return std::unique_ptr<ViewStream>(std::make_unique<TextStream>(recipe_of(layout)));
    });
  }
};

class Sync final : public View {
 public:
  [[nodiscard]] std::string_view directory() const override { return "sync"; }
  [[nodiscard]] std::string_view suffix() const override { return ""; }
  [[nodiscard]] Role role() const override { return Role::kSync; }
  [[nodiscard]] OpenedStream open(ViewInput /*input*/) const override { return shm::fail(EINVAL); }
};

class Events final : public Report {
 public:
  [[nodiscard]] std::string_view name() const override { return "events"; }
  [[nodiscard]] Role role() const override { return Role::kFollow; }
  [[nodiscard]] std::string text(const MountStatus& /*status*/) const override { return {}; }
};

}  // namespace

std::unique_ptr<const View> make_wait_view() {
  return std::make_unique<Wait>();
}
std::unique_ptr<const View> make_new_view() {
  return std::make_unique<New>();
}
std::unique_ptr<const View> make_sync_view() {
  return std::make_unique<Sync>();
}
std::unique_ptr<const Report> make_events_report() {
  return std::make_unique<Events>();
}

}  // namespace arrayfs
