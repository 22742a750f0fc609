"""What is computed from a whole array: statistics, a picture, text; and the memory that it takes the server."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from bench.places import Places
from bench.rows import OURS, Figures
from bench.timing import Way, medians, memory_bytes, timed

COLUMNS = 4096
CSV_PART = 16  # of the array; NumPy takes a minute for each 100 MiB
CELLS = 512  # of the picture, each way at most
PERCENTS = (1, 5, 25, 50, 75, 95, 99)
BINS = 20


def numpy_statistics(path: Path) -> None:
    """The numbers that stats gives."""
    array = np.load(path, mmap_mode="r")
    np.isnan(array).sum()
    np.isinf(array).sum()
    np.count_nonzero(array)
    array.min(), array.max(), array.sum(), array.mean(), array.std()
    np.percentile(array, PERCENTS)
    np.histogram(array, BINS)


def numpy_picture(path: Path) -> None:
    """Means of blocks in grey; no axes and no colours."""
    array = np.load(path, mmap_mode="r")
    rows, columns = (min(CELLS, length) for length in array.shape)
    blocks = array.reshape(rows, array.shape[0] // rows, columns, array.shape[1] // columns)
    means = blocks.mean(axis=(1, 3))
    grey = 255 * (means - means.min()) / (means.max() - means.min())
    Image.fromarray(grey.astype(np.uint8)).save(io.BytesIO(), "png")


def numpy_text(path: Path) -> None:
    np.savetxt(os.devnull, np.load(path, mmap_mode="r"), delimiter=",")


def numpy_sum(path: Path) -> None:
    np.load(path, mmap_mode="r").sum()


def read_view(path: Path) -> None:
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def measure(places: Places) -> Figures:
    server = int(places.mount.status()["server_pid"])
    whole, part = places.mount.path / "stream.npy", places.mount.path / "part.npy"
    rows = places.elements // COLUMNS
    for path, its_rows in ((whole, rows), (part, max(1, rows // CSV_PART))):
        array = np.lib.format.open_memmap(path, "w+", np.float64, (its_rows, COLUMNS))
        generator = np.random.default_rng(1)
        for row in array:
            row[:] = generator.standard_normal(COLUMNS)
        del array
    control = places.mount.path / ".arrayfs"
    sum_of_whole = timed(lambda: numpy_sum(whole))
    cases: dict[str, tuple[Path, dict[str, Way]]] = {
        "stats": (control / "stats/stream.npy",
                  {"NumPy": timed(lambda: numpy_statistics(whole)), "NumPy, one sum": sum_of_whole}),
        "png": (control / "png/stream.npy.png",
                {"NumPy and PIL": timed(lambda: numpy_picture(whole)), "NumPy, one sum": sum_of_whole}),
        "csv": (control / "csv/part.npy.csv", {"NumPy": timed(lambda: numpy_text(part))}),
    }
    figures: Figures = {}
    for name, (view, peers) in cases.items():
        before = memory_bytes(server)
        forget_peak(server)
        ways = {OURS: timed(lambda view=view: read_view(view)), **peers}
        figures["csv of a sixteenth" if name == "csv" else name] = medians(ways, places.sizes.repetitions)
        figures[f"the server's memory for {name}"] = {OURS: memory_bytes(server, "VmHWM") - before}
    whole.unlink()
    part.unlink()
    return figures
