"""A look at what the control tree says of an array: how long it takes, and what of it is the server's CPU time."""

import contextlib
import os
import statistics
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bench.directory import fill
from bench.places import Places, Sizes, awake_cores, new_mount
from bench.rows import MIB, OURS, Figures
from bench.timing import cpu_seconds, medians, repeat
from support.mount import Mount
from support.peer import Peer

HUGE = (100_000, 125_000)  # of float64, 100 GB


def look(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    while os.read(fd, MIB):
        pass
    os.close(fd)


@contextlib.contextmanager
def arrays(mount: Mount) -> Iterator[dict[str, str]]:
    """Names of arrays by what they are."""
    small = np.random.default_rng(1).standard_normal((10, 10))
    np.save(mount.path / "small.npy", small)
    np.save(mount.path / "mapped.npy", small)
    np.lib.format.open_memmap(mount.path / "huge.npy", "w+", np.float64, HUGE)[0, 0] = 1
    with Peer(mount.path / "mapped.npy"):
        yield {"an array of 10x10": "small.npy", "the same, open and mapped": "mapped.npy",
               "a sparse one of 100 GB": "huge.npy"}


def measure(places: Places) -> Figures:
    sizes = places.sizes
    others = sizes.arrays // 10
    figures: Figures = {}
    with new_mount("--sparse", room_bytes=others * 4096) as mount, arrays(mount) as names, awake_cores():
        server = int(mount.status()["server_pid"])
        for array, name in names.items():
            for view, suffix in (("info", ""), ("json", ".json")):
                path = mount.path / ".arrayfs" / view / f"{name}{suffix}"
                figures |= measure_looks(f"{view} of {array}", path, server, sizes)
        fill(mount.path / "others", others)  # which the daemon keeps in mind
        path = mount.path / ".arrayfs/info/mapped.npy"
        figures |= measure_looks("info of an open one among many others", path, server, sizes)
    return figures


def measure_looks(name: str, path: Path, server: int, sizes: Sizes) -> Figures:
    """How long a look takes who looks, and how long the server runs for it."""
    cpu: list[float] = []

    def way() -> float:
        before_s = cpu_seconds(server)
        elapsed_s, looks = repeat(partial(look, path), sizes.turn_s)
        cpu.append((cpu_seconds(server) - before_s) / looks)
        return elapsed_s / looks

    wall = medians({OURS: way}, sizes.repetitions)
    return {name: wall, f"{name}, the server's CPU time": {OURS: statistics.median(cpu[1:])}}
