"""Calls on small files: on the mount, through the minimal server, on tmpfs itself."""

from functools import partial

import numpy as np

from bench.compiled import run_compiled
from bench.places import Places, awake_cores
from bench.rows import OURS, Figures
from bench.timing import medians, timed


def measure(places: Places) -> Figures:
    directories = {OURS: places.mount.path, "minimal server": places.minimal, "tmpfs": places.dev_shm}
    paths = {peer: directory / "small.npy" for peer, directory in directories.items()}
    for path in paths.values():
        np.save(path, np.eye(10))
    ways = {peer: timed(partial(np.load, path, mmap_mode="r"), places.sizes.turn_s) for peer, path in paths.items()}
    with awake_cores():
        loads = medians(ways, places.sizes.repetitions)
    for path in paths.values():
        path.unlink()
    return run_compiled("files", places) | {"np.load(mmap_mode) of a small array": loads}
