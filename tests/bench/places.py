"""Where the benchmarks work: a mount, a tmpfs like its store, /dev/shm, the minimal server and a disk.

Needs root, as FUSE passthrough and mounting a tmpfs do. All of it lies below TMPDIR and is gone at the end.
"""

import contextlib
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.mount import BINARY, TIMEOUT_S, Mount, mounts, run, wait_until

LIMIT_S = 3600  # for all that is done on one mount
COMPILED = Path(BINARY).with_name("compiled_bench")
MINIMAL_SERVER = Path(BINARY).with_name("minimal_server")
AWAKE = Path("/dev/cpu_dma_latency")


@dataclass(frozen=True)
class Sizes:
    array_bytes: int = 1 << 30
    arrays: int = 100_000  # in one directory
    repetitions: int = 5
    turn_s: float = 0.2  # one repetition of what takes microseconds
    rest_s: float = 5
    deaths: int = 100


QUICK = Sizes(array_bytes=16 << 20, arrays=500, repetitions=2, turn_s=0.001, rest_s=0.2, deaths=2)


@dataclass
class Places:
    """Directories to work in; what a subject makes there it removes."""

    sizes: Sizes
    mount: Mount
    tmpfs: Path  # mounted as the store is
    dev_shm: Path
    minimal: Path
    disk: Path

    @property
    def elements(self) -> int:
        """Of an array of float64 of the full size."""
        return self.sizes.array_bytes // 8


def new_mount(*options: str, room_bytes: int) -> Mount:
    """A mount for `with` that holds so many bytes of arrays."""
    return Mount("passthrough", *options, size=f"{(room_bytes >> 20) + 64}M", limit_s=LIMIT_S)


@contextlib.contextmanager
def tmpfs_like_a_store(directory: Path, size_bytes: int) -> Iterator[Path]:
    directory.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", f"huge=within_size,size={size_bytes}", "bench", str(directory))
    subprocess.run(command, check=True, timeout=TIMEOUT_S)
    try:
        yield directory
    finally:
        subprocess.run(("umount", "-l", str(directory)), check=True, timeout=TIMEOUT_S)
        directory.rmdir()


@contextlib.contextmanager
def minimal_server(shown: Path, mount_point: Path) -> Iterator[Path]:
    """Shows the files of a directory through the smallest server there is."""
    shown.mkdir()
    mount_point.mkdir()
    server = subprocess.Popen((str(MINIMAL_SERVER), str(shown), str(mount_point)))
    try:
        wait_until(lambda: str(mount_point) in mounts() or server.poll() is not None, "the minimal server has mounted")
        assert server.poll() is None, "the minimal server has ended"
        yield mount_point
    finally:
        if run("umount", str(mount_point)).returncode != 0:
            run("umount", "-f", "-l", str(mount_point))
        server.wait(TIMEOUT_S)
        mount_point.rmdir()
        shutil.rmtree(shown)


@contextlib.contextmanager
def awake_cores() -> Iterator[None]:
    """Keeps the cores from sleeping, so that waking them is no part of what a call costs."""
    if not AWAKE.exists():
        yield
        return
    with AWAKE.open("wb", buffering=0) as wish:
        wish.write(struct.pack("i", 0))  # microseconds; it holds until the file is closed
        yield


@contextlib.contextmanager
def places(sizes: Sizes, output: Path) -> Iterator[Places]:
    """All of them; the disk is that of the directory `output`."""
    room = 2 * sizes.array_bytes + (64 << 20)
    with contextlib.ExitStack() as stack:
        def directory(parent: Path) -> Path:
            return Path(stack.enter_context(tempfile.TemporaryDirectory(dir=parent, prefix=own.name)))

        own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{Path(tempfile.gettempdir()).name}-")))
        own.chmod(0o755)
        mount = stack.enter_context(new_mount(room_bytes=room))
        tmpfs = stack.enter_context(tmpfs_like_a_store(own / "tmpfs", room))
        minimal = stack.enter_context(minimal_server(tmpfs / "minimal", own / "minimal"))
        yield Places(sizes, mount, tmpfs, directory(Path("/dev/shm")), minimal, directory(output))
