"""One large array: read(2), write(2), sendfile(2), np.save, and what is done through a mapping.

Beside the mount stand a tmpfs that is mounted as its store is, for what the way through FUSE costs, and
/dev/shm, for what huge pages save.
"""

import os
import socket
import threading
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


def write_whole(path: Path, piece: bytes) -> None:
    """Over what is there, so that no memory is asked for; but for the first piece, where the header is."""
    with open(path, "r+b", buffering=0) as file:
        for _ in range(file.seek(0, os.SEEK_END) // file.seek(len(piece)) - 1):
            file.write(piece)


def send_whole(path: Path, sink: int) -> None:
    with open(path, "rb", buffering=0) as file:
        while os.sendfile(sink, file.fileno(), None, MIB):
            pass


def send_to_nobody(path: Path) -> None:
    with open("/dev/null", "wb", buffering=0) as sink:
        send_whole(path, sink.fileno())


def send_to_socket(path: Path) -> None:
    """A thread takes it from the other end and looks at none of it."""
    def take() -> None:
        piece = bytearray(MIB)
        while there.recv_into(piece):
            pass

    here, there = socket.socketpair()
    with here, there:
        taker = threading.Thread(target=take)
        taker.start()
        send_whole(path, here.fileno())
        here.shutdown(socket.SHUT_WR)
        taker.join()


def map_and_sum(path: Path) -> None:
    np.load(path, mmap_mode="r").sum()


def touch_to_read(path: Path) -> None:
    np.load(path, mmap_mode="r").view(np.uint8)[::PAGE].max()


def touch_to_write(path: Path) -> None:
    np.load(path, mmap_mode="r+").view(np.uint8)[::PAGE] = 0


def of_files(paths: dict[str, Path], _: Places) -> dict[str, dict[str, Way]]:
    """What begins by opening a file that is there."""
    actions: dict[str, Callable[[Path], None]] = {
        "read(2) of the whole": partial(read_whole, piece=bytearray(MIB)),
        "write(2) of the whole": partial(write_whole, piece=np.ones(MIB // 8).tobytes()),
        "sendfile(2) to a socket": send_to_socket,
        "sendfile(2) to /dev/null": send_to_nobody,
        "map and sum": map_and_sum,
        "map and touch each page to read": touch_to_read,
        "map and touch each page to write": touch_to_write,
    }
    return {name: {peer: timed(partial(action, path)) for peer, path in paths.items()}
            for name, action in actions.items()}


def of_mappings(paths: dict[str, Path], places: Places) -> dict[str, dict[str, Way]]:
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
    return {name: {peer: timed(partial(action, array)) for peer, array in arrays.items()}
            for name, action in actions.items()}


def of_new_files(paths: dict[str, Path], places: Places) -> dict[str, dict[str, Way]]:
    """What makes a file, which is removed before the next."""
    array = np.ones(places.elements)
    return {"np.save": {peer: timed(partial(np.save, path, array), after=path.unlink) for peer, path in paths.items()}}


def measure(places: Places) -> Figures:
    directories = {OURS: places.mount.path, "tmpfs as the store": places.tmpfs, "/dev/shm": places.dev_shm}
    figures: Figures = {}

    def take_turns(prepare: Callable[[dict[str, Path], Places], dict[str, dict[str, Way]]]) -> None:
        for name, ways in prepare(paths, places).items():
            figures[name] = medians(ways, places.sizes.repetitions)

    paths = {peer: directory / "large.npy" for peer, directory in directories.items()}
    take_turns(of_new_files)
    for path in paths.values():
        np.lib.format.open_memmap(path, "w+", np.float64, (places.elements,)).fill(1)
    take_turns(of_files)
    take_turns(of_mappings)
    for path in paths.values():
        path.unlink()
    return figures
