// The table of formats: a line each.
#include <vector>

#include "formats.hpp"
#include "view.hpp"

namespace arrayfs {

std::span<const std::unique_ptr<const View>> views() {
  static const auto registered = [] {
    std::vector<std::unique_ptr<const View>> all;
    all.push_back(make_info_view());
    all.push_back(make_json_view());
    all.push_back(make_stats_view());
    all.push_back(make_csv_view());
    all.push_back(make_png_view());
    all.push_back(make_raw_view());
    all.push_back(make_zarr_view());
    all.push_back(make_npz_view());
    all.push_back(make_safetensors_view());
    all.push_back(make_wait_view());
    all.push_back(make_new_view());
    all.push_back(make_sync_view());
    return all;
  }();
  return registered;
}

std::span<const std::unique_ptr<const Report>> reports() {
  static const auto registered = [] {
    std::vector<std::unique_ptr<const Report>> all;
    all.push_back(make_readme_report());
    all.push_back(make_status_report());
    all.push_back(make_metrics_report());
    all.push_back(make_events_report());
    return all;
  }();
  return registered;
}

}  // namespace arrayfs
