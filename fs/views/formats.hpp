// The constructors of the formats, for the registry alone.
#pragma once

#include <memory>

#include "view.hpp"

namespace arrayfs {

[[nodiscard]] std::unique_ptr<const View> make_info_view();
[[nodiscard]] std::unique_ptr<const View> make_json_view();
[[nodiscard]] std::unique_ptr<const View> make_stats_view();
[[nodiscard]] std::unique_ptr<const View> make_csv_view();
[[nodiscard]] std::unique_ptr<const View> make_png_view();
[[nodiscard]] std::unique_ptr<const View> make_raw_view();
[[nodiscard]] std::unique_ptr<const View> make_zarr_view();
[[nodiscard]] std::unique_ptr<const View> make_npz_view();
[[nodiscard]] std::unique_ptr<const View> make_safetensors_view();
[[nodiscard]] std::unique_ptr<const View> make_wait_view();
[[nodiscard]] std::unique_ptr<const View> make_new_view();
[[nodiscard]] std::unique_ptr<const View> make_sync_view();
[[nodiscard]] std::unique_ptr<const Report> make_readme_report();
[[nodiscard]] std::unique_ptr<const Report> make_status_report();
[[nodiscard]] std::unique_ptr<const Report> make_metrics_report();
[[nodiscard]] std::unique_ptr<const Report> make_events_report();

}  // namespace arrayfs
