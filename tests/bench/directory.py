"""Many arrays in one directory: listing them a second time, and what the daemon remembers of them."""

import io
import os
import subprocess
from pathlib import Path

import numpy as np

from bench.places import LIMIT_S, Places, new_mount
from bench.rows import OURS, Figures
from bench.timing import medians, memory_bytes, timed

COMMANDS = {
    "ls -l": ("ls", "-l"),
    "find": ("find",),
    "find -size": ("find", "-size", "+1000"),
}


def fill(directory: Path, arrays: int) -> None:
    """Makes so many small arrays, as np.save would."""
    array = io.BytesIO()
    np.save(array, np.arange(8.0))
    directory.mkdir()
    for number in range(arrays):
        with open(directory / f"array-{number:06}.npy", "wb", buffering=0) as file:
            file.write(array.getvalue())


def listing(command: tuple[str, ...], directory: Path):
    def run() -> None:
        words = (command[0], str(directory), *command[1:])
        subprocess.run(words, stdout=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"}, check=True, timeout=LIMIT_S)
    return timed(run)


def measure(places: Places) -> Figures:
    sizes = places.sizes
    native = places.dev_shm / "many"
    fill(native, sizes.arrays)
    figures: Figures = {}
    with new_mount(room_bytes=sizes.arrays * 4096) as mount:
        server = int(mount.status()["server_pid"])
        before = memory_bytes(server)
        fill(mount.path / "many", sizes.arrays)
        for name, command in COMMANDS.items():
            ways = {OURS: listing(command, mount.path / "many"), "tmpfs": listing(command, native)}
            figures[f"{name}, second time"] = medians(ways, sizes.repetitions)
        figures["the daemon's memory per array"] = {OURS: (memory_bytes(server) - before) / sizes.arrays}
    for path in native.iterdir():
        path.unlink()
    native.rmdir()
    return figures
