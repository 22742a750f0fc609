"""Four workers each sum their part of one array that they are handed: as its name, by other shared memory, pickled.

The array is there before the clock starts, and so are the workers, with NumPy loaded; but forking is how copy-on-write
hands an array over, so there new workers are part of it. joblib finds by itself that an array is large.
"""

import contextlib
import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterator
from multiprocessing import shared_memory
from pathlib import Path

import arrayfs
import numpy as np

from bench.places import Places
from bench.rows import OURS, Figures
from bench.timing import Way, timed

WORKERS = 4
SPAWN = multiprocessing.get_context("spawn")
FORK = multiprocessing.get_context("fork")

Bounds = list[tuple[int, int]]

inherited: np.ndarray | None = None  # what a worker has from its start


def total(part: np.ndarray) -> float:
    return float(part.sum())


def total_between(array: np.ndarray, begin: int, end: int) -> float:
    return total(array[begin:end])


def total_of_segment(name: str, elements: int, begin: int, end: int) -> float:
    """Shape, type and bounds come separately."""
    segment = shared_memory.SharedMemory(name)
    result = total_between(np.ndarray(elements, np.float64, segment.buf), begin, end)
    segment.close()
    return result


def total_of_file(path: str, begin: int, end: int) -> float:
    return total_between(np.memmap(path, np.float64, "r"), begin, end)


def total_inherited(begin: int, end: int) -> float:
    return total_between(inherited, begin, end)


def inherit(raw) -> None:
    global inherited
    inherited = np.frombuffer(raw)


def ones(elements: int) -> np.ndarray:
    return np.ones(elements)


def sum_by(pool, function: Callable, tasks: list[tuple], expected: int) -> None:
    result = sum(pool.starmap(function, tasks, chunksize=1))
    assert result == expected, result


@contextlib.contextmanager
def by_segment(pool, places: Places, bounds: Bounds) -> Iterator[Way]:
    segment = shared_memory.SharedMemory(create=True, size=places.sizes.array_bytes)
    np.ndarray(places.elements, np.float64, segment.buf).fill(1)
    tasks = [(segment.name, places.elements, *bound) for bound in bounds]
    yield timed(lambda: sum_by(pool, total_of_segment, tasks, places.elements))
    segment.close()
    segment.unlink()


@contextlib.contextmanager
def by_file(directory: Path, pool, places: Places, bounds: Bounds) -> Iterator[Way]:
    path = directory / "pool.dat"
    np.memmap(path, np.float64, "w+", shape=places.elements).fill(1)
    os.sync()  # what is written back to a disk later on would slow the others down
    tasks = [(str(path), *bound) for bound in bounds]
    yield timed(lambda: sum_by(pool, total_of_file, tasks, places.elements))
    path.unlink()


@contextlib.contextmanager
def by_raw_array(_, places: Places, bounds: Bounds) -> Iterator[Way]:
    raw = SPAWN.RawArray("d", places.elements)
    np.frombuffer(raw).fill(1)
    with SPAWN.Pool(WORKERS, inherit, (raw,)) as pool:
        yield timed(lambda: sum_by(pool, total_inherited, bounds, places.elements))


@contextlib.contextmanager
def by_fork(_, places: Places, bounds: Bounds) -> Iterator[Way]:
    inherit(ones(places.elements))

    def fork_and_sum() -> None:
        with FORK.Pool(WORKERS) as pool:
            sum_by(pool, total_inherited, bounds, places.elements)

    yield timed(fork_and_sum)
    inherit(b"")


@contextlib.contextmanager
def by_joblib(_, places: Places, bounds: Bounds) -> Iterator[Way]:
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor
    array = ones(places.elements)

    def sum_parallel() -> None:
        totals = Parallel(n_jobs=WORKERS)(delayed(total_between)(array, *bound) for bound in bounds)
        assert sum(totals) == places.elements, totals

    yield timed(sum_parallel)
    get_reusable_executor().shutdown(wait=True)


@contextlib.contextmanager
def by_pickle(pool, places: Places, bounds: Bounds) -> Iterator[Way]:
    array = ones(places.elements)
    yield timed(lambda: sum_by(pool, total, [(array[begin:end],) for begin, end in bounds], places.elements))


def measure(places: Places) -> Figures:
    path = places.mount.path / "pool.npy"
    array = arrayfs.create(path, "float64", places.elements)
    array.fill(1)
    bounds = [(i * places.elements // WORKERS, (i + 1) * places.elements // WORKERS) for i in range(WORKERS)]
    peers = {
        "multiprocessing.shared_memory": by_segment,
        "np.memmap on /dev/shm": lambda *rest: by_file(places.dev_shm, *rest),
        "np.memmap on disk": lambda *rest: by_file(places.disk, *rest),
        "ctypes RawArray": by_raw_array,
        "fork copy-on-write": by_fork,
        "joblib": by_joblib,
        "pickled": by_pickle,
    }
    ours: list[float] = []
    figures: dict[str, float] = {}
    with SPAWN.Pool(WORKERS) as pool:
        our_way = timed(lambda: sum_by(pool, total, [(array[begin:end],) for begin, end in bounds], places.elements))
        for peer, prepare in peers.items():
            # One peer's memory at a time.
            with prepare(pool, places, bounds) as way:
                turns = [(our_way(), way()) for _ in range(places.sizes.repetitions + 1)][1:]
            ours.extend(turn[0] for turn in turns)
            figures[peer] = statistics.median(turn[1] for turn in turns)
    path.unlink()
    return {"sum by four workers": {OURS: statistics.median(ours), **figures}}
