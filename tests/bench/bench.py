"""Runs the benchmarks beside their peers, on a mount of its own, and prints the ratios.

    bench.py [JSON]    writes all figures to JSON, too

ARRAYFS_BIN, LIBSHM, LIBSHM_BENCH name what is built; `cmake --build --preset release --target bench`
sets them. The ratios are those to this project's own line, the first of each group, in the same run: a
peer above 1 is slower.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from support.mount import Mount

HERE = Path(__file__).parent
TIMEOUT_S = 900
OWN = {"arrayfs.Array", "mount", "ring", "shm"}


def measure(mount: Path, tmpfs: str) -> dict[str, float]:
    """Seconds of each benchmark, by name: the median of five for those in C++."""
    environment = os.environ | {"BENCH_MOUNT": str(mount), "BENCH_TMPFS": tmpfs}
    command = [os.environ["LIBSHM_BENCH"], "--benchmark_repetitions=5", "--benchmark_min_time=0.2",
               "--benchmark_report_aggregates_only", "--benchmark_enable_random_interleaving", "--benchmark_format=json"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, timeout=TIMEOUT_S, check=True)
    seconds = {}
    for result in json.loads(done.stdout)["benchmarks"]:
        if result["aggregate_name"] == "median":
            name = result["run_name"].removesuffix("/real_time")
            seconds[name] = result["real_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}[result["time_unit"]]
    command = [sys.executable, "-B", str(HERE / "pool.py"), str(mount)]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=TIMEOUT_S, check=True)
    return seconds | {f"pool_sum/{name}": value for name, value in json.loads(done.stdout).items()}


def readable(seconds: float) -> str:
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.2f} {unit}"
    return f"{seconds * 1e9:.1f} ns"


def table(seconds: dict[str, float]) -> str:
    """A line a peer; benchmark/peer/argument are grouped by benchmark and argument."""
    groups: dict[str, list[tuple[str, float]]] = {}
    for name, value in seconds.items():
        benchmark, peer, *argument = name.split("/")
        groups.setdefault(" ".join([benchmark, *argument]), []).append((peer, value))
    lines = []
    for group, peers in sorted(groups.items()):
        peers.sort(key=lambda peer: (peer[0] not in OWN, peer))
        for peer, value in peers:
            lines.append(f"{group:22} {peer:15} {readable(value):>10} {value / peers[0][1]:8.2f}")
            group = ""
    return "\n".join(lines)


def main() -> None:
    with Mount(size="1G") as mount, tempfile.TemporaryDirectory(dir="/dev/shm", prefix="arrayfs-bench-") as tmpfs:
        seconds = measure(mount.path, tmpfs)
        print(f"plane: {mount.status()['plane']}")
    print(table(seconds))
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(seconds, indent=2))


if __name__ == "__main__":
    main()
