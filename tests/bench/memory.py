"""Memory: of four readers of one array, and of a daemon that has nothing to do."""

import contextlib
import os
import time
from pathlib import Path

import numpy as np

from bench.places import Places, new_mount
from bench.rows import OURS, Figures
from bench.timing import cpu_seconds, memory_bytes
from support.peer import Peer

READERS = 4


def proportional_bytes(pid: int, path: Path) -> int:
    """What is mapped of a file, each page divided by the number of those who map it."""
    total, inside = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:  # the head of a mapping: its addresses
            inside = words[-1] == str(path)
        elif inside and words[0] == "Pss:":
            total += int(words[1]) * 1024
    return total


def used_bytes(path: Path) -> int:
    usage = os.statvfs(path)
    return (usage.f_blocks - usage.f_bfree) * usage.f_frsize


def measure_readers(places: Places) -> Figures:
    with new_mount(room_bytes=places.sizes.array_bytes) as mount, contextlib.ExitStack() as stack:
        path = mount.path / "read.npy"
        before = used_bytes(mount.path)
        np.lib.format.open_memmap(path, "w+", np.float64, (places.elements,)).fill(1)
        readers = [stack.enter_context(Peer(path, "r")) for _ in range(READERS)]
        for reader in readers:
            reader.ask("a.sum()")
        pages = used_bytes(mount.path) - before
        proportional = sum(proportional_bytes(reader.pid, path) for reader in readers)
    size_bytes = places.sizes.array_bytes
    return {f"tmpfs pages for {READERS} readers": {OURS: pages, "the array": size_bytes},
            f"proportional set size of {READERS} readers": {OURS: proportional, "the array": size_bytes}}


def measure_at_rest(rest_s: float) -> Figures:
    """Of the server and its supervisor, once the mount is made."""
    with new_mount(room_bytes=0) as mount:
        status = mount.status()
        pids = [int(status[who]) for who in ("server_pid", "supervisor_pid")]
        time.sleep(rest_s / 5)  # it has just answered
        before = cpu_seconds(*pids)
        time.sleep(rest_s)
        used_s = cpu_seconds(*pids) - before
        return {"the daemon at rest": {OURS: sum(map(memory_bytes, pids))},
                "CPU time of the daemon at rest": {OURS: used_s}}


def measure(places: Places) -> Figures:
    return measure_readers(places) | measure_at_rest(places.sizes.rest_s)
