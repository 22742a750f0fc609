"""One large array: read(2), write(2), sendfile(2), np.save, and what is done through a mapping.

Beside the mount stand a tmpfs that is mounted as its store is, for what the way through FUSE costs, and
/dev/shm, for what huge pages save.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from bench.places import Places
from bench.rows import MIB, OURS, Figures
from bench.timing import Way, medians, timed

PAGE = 4096
RANDOM_ELEMENTS = 1 << 20


def read_whole(path: Path, piece: bytearray) -> None:
    with open(path, "rb", buffering=0) as file:
        while file.readinto(piece):
            pass


def write_whole(path: Path, piece: bytearray, size_bytes: int) -> None:
    with open(path, "wb", buffering=0) as file:
        for _ in range(size_bytes // len(piece)):
            file.write(piece)


def send_whole(path: Path) -> None:
    with open(path, "rb", buffering=0) as file, open("/dev/null", "wb", buffering=0) as sink:
        while os.sendfile(sink.fileno(), file.fileno(), None, MIB):
            pass


def map_and_sum(path: Path) -> None:
    np.load(path, mmap_mode="r").sum()


def touch_to_read(path: Path) -> None:
    np.load(path, mmap_mode="r").view(np.uint8)[::PAGE].max()


def touch_to_write(path: Path) -> None:
    np.load(path, mmap_mode="r+").view(np.uint8)[::PAGE] = 0


def of_files(places: Places, paths: dict[str, Path]) -> dict[str, dict[str, Way]]:
    """What begins by opening a file that is there."""
    piece = bytearray(MIB)
    actions: dict[str, Callable[[Path], None]] = {
        "read(2) of the whole": partial(read_whole, piece=piece),
        "sendfile(2) of the whole": send_whole,
        "map and sum": map_and_sum,
        "map and touch each page to read": touch_to_read,
        "map and touch each page to write": touch_to_write,
    }
    return {measure: {peer: timed(partial(action, path)) for peer, path in paths.items()}
            for measure, action in actions.items()}


def of_mappings(places: Places, paths: dict[str, Path]) -> dict[str, dict[str, Way]]:
    """What is done with an array that is mapped already."""
    arrays = {peer: np.load(path, mmap_mode="r+") for peer, path in paths.items()}
    places_in_it = np.random.default_rng(1).integers(0, places.elements, RANDOM_ELEMENTS)

    def store(array: np.ndarray) -> None:
        array[places_in_it] = 1

    actions: dict[str, Callable[[np.ndarray], object]] = {
        "sum what is mapped": np.ndarray.sum,
        "read here and there what is mapped": lambda array: array[places_in_it].sum(),
        "store here and there what is mapped": store,
        "fill what is mapped": lambda array: array.fill(1),
    }
    return {measure: {peer: timed(partial(action, array)) for peer, array in arrays.items()}
            for measure, action in actions.items()}


def of_new_files(places: Places, directories: dict[str, Path]) -> Figures:
    """What makes a file, one at a time."""
    paths = {peer: directory / "new.npy" for peer, directory in directories.items()}
    piece = bytearray(b"\1" * MIB)
    array = np.ones(places.elements)
    actions: dict[str, Callable[[Path], None]] = {
        "write(2) of the whole": partial(write_whole, piece=piece, size_bytes=places.sizes.array_bytes),
        "np.save": lambda path: np.save(path, array),
    }
    return {measure: medians({peer: timed(partial(action, path), after=path.unlink) for peer, path in paths.items()},
                             places.sizes.repetitions)
            for measure, action in actions.items()}


def measure(places: Places) -> Figures:
    directories = {OURS: places.mount.path, "tmpfs as the store": places.tmpfs, "/dev/shm": places.dev_shm}
    figures = of_new_files(places, directories)
    paths = {peer: directory / "large.npy" for peer, directory in directories.items()}
    for path in paths.values():
        np.lib.format.open_memmap(path, "w+", np.float64, (places.elements,)).fill(1)
    for prepare in (of_files, of_mappings):
        for name, ways in prepare(places, paths).items():
            figures[name] = medians(ways, places.sizes.repetitions)
    for path in paths.values():
        path.unlink()
    return figures
