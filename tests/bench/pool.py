"""Four workers each sum their part of one array: sent as its name, as shared memory by hand, and pickled.

    pool.py DIRECTORY    writes the seconds of each way as JSON; the array is made in DIRECTORY
"""

import json
import multiprocessing
import sys
import time
from multiprocessing import shared_memory
from pathlib import Path

import arrayfs
import numpy as np

ELEMENTS, WORKERS, REPETITIONS = 32 << 20, 4, 5


def total(part) -> float:
    return float(part.sum())


def total_of_segment(task) -> float:
    """What a worker does when the array is shared by hand: shape, type and bounds come separately."""
    name, begin, end = task
    segment = shared_memory.SharedMemory(name)
    result = float(np.ndarray(ELEMENTS, "f8", segment.buf)[begin:end].sum())
    segment.close()
    return result


def best_time(pool, function, tasks) -> float:
    times = []
    for _ in range(REPETITIONS):
        begin = time.perf_counter()
        result = sum(pool.map(function, tasks, chunksize=1))
        times.append(time.perf_counter() - begin)
        assert result == ELEMENTS, result
    return min(times)


def main() -> None:
    path = Path(sys.argv[1]) / "pool.npy"
    array = arrayfs.create(path, "float64", ELEMENTS)
    array[:] = 1
    bounds = [(i * ELEMENTS // WORKERS, (i + 1) * ELEMENTS // WORKERS) for i in range(WORKERS)]
    seconds = {}
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        pool.map(total, [np.ones(1)] * WORKERS)  # the workers have started and have imported NumPy
        seconds["arrayfs.Array"] = best_time(pool, total, [array[begin:end] for begin, end in bounds])
        segment = shared_memory.SharedMemory(create=True, size=array.nbytes)
        np.ndarray(ELEMENTS, "f8", segment.buf)[:] = 1
        seconds["shared_memory"] = best_time(pool, total_of_segment, [(segment.name, *bound) for bound in bounds])
        segment.close()
        segment.unlink()
        ordinary = np.ones(ELEMENTS)
        seconds["pickled"] = best_time(pool, total, [ordinary[begin:end] for begin, end in bounds])
    path.unlink()
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
