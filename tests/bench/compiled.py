"""The benchmarks in C++: calls_bench.cpp, files_bench.cpp, locks_bench.cpp, queues_bench.cpp, boost_bench.cpp.

Their names are subject/measure/peer, or subject/measure/peer/bytes.
"""

import json
import os
import subprocess

from bench.places import COMPILED, LIMIT_S, Places, awake_cores
from bench.rows import Figures

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}


def run_compiled(subject: str, places: Places) -> Figures:
    """Medians of one subject's benchmarks, in random order; `waits of ...` where they count these."""
    environment = os.environ | {"BENCH_MOUNT": str(places.mount.path), "BENCH_TMPFS": str(places.dev_shm),
                                "BENCH_MINIMAL": str(places.minimal)}
    command = [str(COMPILED), f"--benchmark_filter=^{subject}/", f"--benchmark_repetitions={places.sizes.repetitions}",
               f"--benchmark_min_time={places.sizes.turn_s}", "--benchmark_report_aggregates_only",
               "--benchmark_enable_random_interleaving", "--benchmark_format=json"]
    with awake_cores():
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=LIMIT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{COMPILED}: {done.stderr.strip()}")
    figures: Figures = {}
    for result in json.loads(done.stdout)["benchmarks"]:
        if result["aggregate_name"] != "median":
            continue
        _, measure, peer, *size = result["run_name"].removesuffix("/real_time").split("/")
        measure += f" of {size[0]} bytes" if size else ""
        figures.setdefault(measure, {})[peer] = result["real_time"] * UNITS[result["time_unit"]]
        if "waits" in result:
            figures.setdefault(f"waits of {measure}", {})[peer] = result["waits"]
    return figures


def measure_libshm(places: Places) -> Figures:
    """Locks, waking, queues, and arrays made through libshm."""
    return run_compiled("libshm", places)
