// `metrics`: the mount in the text format of Prometheus (exposition format 0.0.4).
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "formats.hpp"
#include "mount_counts.hpp"

namespace arrayfs {
namespace {

// With U+FFFD for what is no UTF-8: one such byte, and Prometheus reads nothing of it all.
std::string as_utf8(const std::string& text) {
  using nlohmann::json;
  return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace));
}

// The value of a label, between quotes.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : as_utf8(text)) {
    if (c == '\\' || c == '"') {
      out += '\\';
    }
    out += c == '\n' ? "\\n" : std::string(1, c);
  }
  return out;
}

class Metrics final : public Report {
 public:
  [[nodiscard]] std::string_view name() const override { return "metrics"; }
  [[nodiscard]] std::string text(const MountStatus& status) const override {
    const MountCounts counts = count_mount(status.store_root_fd);
    std::string text;
    const auto add = [&](std::string_view type, std::string_view name, std::string_view help,
                         auto value, std::string_view labels) {
      fmt::format_to(std::back_inserter(text),
                     "# HELP arrayfs_{0} {1}\n# TYPE arrayfs_{0} {2}\narrayfs_{0}{3} {4}\n", name,
                     help, type, labels, value);
    };
    const auto gauge = [&](std::string_view name, std::string_view help, auto value,
                           std::string_view labels = "") {
      add("gauge", name, help, value, labels);
    };
    const auto counter = [&](std::string_view name, std::string_view help, auto value) {
      add("counter", name, help, value, "");
    };
    gauge("info", "The mount, in labels.", 1,
          fmt::format("{{version=\"{}\",name=\"{}\",mountpoint=\"{}\",plane=\"{}\"}}",
                      escaped(status.version), escaped(status.name), escaped(status.mountpoint),
                      escaped(status.plane)));
    gauge("capacity_bytes", "Bytes that the mount may hold.", status.capacity_bytes);
    gauge("used_bytes", "Bytes in use.", status.used_bytes);
    gauge("free_bytes", "Bytes that are free.", status.free_bytes);
    gauge("arrays", "Files that are .npy arrays.", counts.arrays);
    gauge("array_bytes", "Sizes of the arrays together.", counts.array_bytes);
    gauge("files", "Regular files, arrays included.", counts.files);
    gauge("directories", "Directories below the root.", counts.directories);
    gauge("allocated_bytes", "Bytes of the files that have names.", counts.allocated_bytes);
    gauge("nameless_files", "Old versions and removed files that are still in use.",
          status.nameless_files);
    gauge("nameless_bytes", "Bytes that those hold.", status.nameless_bytes);
    gauge("open_files", "Open file descriptions.", status.open_files);
    gauge("kernel_nodes", "Files that the kernel holds on to.", status.nodes);
    gauge("sparse", "1 when holes are not filled.", status.sparse ? 1 : 0);
    gauge("uptime_seconds", "Seconds since the mount was made.", status.uptime_seconds);
    counter("server_restarts_total", "Servers that were replaced.", status.restarts);
    counter("upgrades_total", "Programs that took over from another.", status.upgrades);
    return text;
  }
};

}  // namespace

std::unique_ptr<const Report> make_metrics_report() {
  return std::make_unique<Metrics>();
}

}  // namespace arrayfs
