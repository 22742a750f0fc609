// `README`: how to use a mount, for who finds `.arrayfs` first.
#include <fmt/format.h>

#include "formats.hpp"

namespace arrayfs {
namespace {

constexpr char kText[] = R"(This directory is made by arrayfs {version}. It shows the arrays of

    {mountpoint}

Every .npy file there is an array in memory that all processes share: whoever maps the
file maps the same pages. Nothing is copied, and no library is needed.

  Python   a = np.load("{mountpoint}/w.npy", mmap_mode="r+")
           np.save("{mountpoint}/w.npy", np.eye(1000))
           b = np.lib.format.open_memmap("{mountpoint}/b.npy", mode="w+",
                                         dtype="f4", shape=(60000, 28, 28))
  any      open the file, read the header, mmap the rest
  shell    arrayfs create {mountpoint}/b.npy float32 60000,28,28
           arrayfs ls {mountpoint}
           getfattr -d {mountpoint}/w.npy

What is here (generated, not listed by the directory above):

  status, metrics       the mount, in words and for Prometheus
  info/PATH             an array in words, with a preview of its values
  stats/PATH            mean, deviation, percentiles, a histogram
  json/PATH.json        what info says, for programs
  csv/PATH.csv          the values of one or two axes; fields as columns
  png/PATH.png          a picture; png/PATH/3,5.png of part [3, 5] of more than two axes
  raw/PATH.bin          the data without the header
  zarr/PATH.zarr/       a Zarr store, versions 2 and 3
  npz/DIR.npz, safetensors/DIR.safetensors
                        the arrays of a directory; npz/DIR/.npz is the same, npz/.npz the mount
  new/PATH              write "float32 60000,28,28", and the array is made; also order=F fill=0.
                        Why a line is refused, say the same file and this:
                          {{ echo "flot32 3" >&3 || cat <&3; }} 3<>new/PATH
  wait/PATH             a read or poll ends when the array changes, and says how; writing
                        anything tells all who wait
  events                the same for all files that are yours, a line each
  sync/PATH             4 KiB to map: locks, permits and generation, as libshm uses them

A view obeys the permissions of its array. Sub-directories are mirrored.
)";

class Readme final : public Report {
 public:
  [[nodiscard]] std::string_view name() const override { return "README"; }
  [[nodiscard]] std::string text(const MountStatus& status) const override {
    return fmt::format(kText, fmt::arg("version", status.version),
                       fmt::arg("mountpoint", status.mountpoint));
  }
};

}  // namespace

std::unique_ptr<const Report> make_readme_report() {
  return std::make_unique<Readme>();
}

}  // namespace arrayfs
