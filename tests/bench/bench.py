"""Measures arrayfs beside its peers in one run, and prints how many times as long as ours they take.

ARRAYFS_BIN and LIBSHM name what is measured; `cmake --build --preset release --target bench` sets them, and passes on
the options in BENCH_OPTIONS. Nothing is asserted: the table says which goals are met.
"""

import argparse
import dataclasses
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from bench import bulk, compiled, deaths, directory, files, memory, plot, pool, streams, views
from bench.places import QUICK, Places, Sizes, places
from bench.report import Line, lines, table
from bench.rows import SUBJECTS, Figures

MEASURES: dict[str, Callable[[Places], Figures]] = {
    "files": files.measure,
    "directory": directory.measure,
    "bulk": bulk.measure,
    "views": views.measure,
    "streams": streams.measure,
    "memory": memory.measure,
    "pool": pool.measure,
    "libshm": compiled.measure_libshm,
    "deaths": deaths.measure,
}


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.py", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="one subject; may be given again")
    parser.add_argument("--quick", action="store_true", help="small sizes: that it runs, not what it measures")
    parser.add_argument("--size-mib", type=int, help="of the large arrays; 1024")
    parser.add_argument("--arrays", type=int, help="in one directory; 100000")
    parser.add_argument("--output", type=Path, default=Path("bench"),
                        help="directory for bench.txt, bench.json and bench.svg; np.memmap's disk is its disk")
    return parser.parse_args(words)


def sizes_of(arguments: argparse.Namespace) -> Sizes:
    sizes = QUICK if arguments.quick else Sizes()
    if arguments.size_mib:
        sizes = dataclasses.replace(sizes, array_bytes=arguments.size_mib << 20)
    if arguments.arrays:
        sizes = dataclasses.replace(sizes, arrays=arguments.arrays)
    return sizes


def write(found: list[Line], about: dict[str, object], output: Path) -> None:
    """The table, also to the terminal, the JSON and the picture."""
    before, after = about["load"]
    text = (f"{about['cores']} cores, Linux {about['kernel']}, plane {about['plane']}, "
            f"load {before:.1f} before and {after:.1f} after\n{table(found)}\n")
    print(text, end="")
    (output / "bench.txt").write_text(text)
    (output / "bench.json").write_text(json.dumps({**about, "rows": [asdict(line) for line in found]}, indent=1) + "\n")
    try:
        plot.draw(found, output / "bench.svg")
    except ImportError:
        print("bench.svg: not drawn; install the package python3-matplotlib", file=sys.stderr)


def main(words: list[str]) -> None:
    arguments = parse(words)
    if os.geteuid() != 0:
        sys.exit("bench.py: needs root, to mount a tmpfs and for FUSE passthrough; run it with sudo")
    arguments.output.mkdir(parents=True, exist_ok=True)
    sizes = sizes_of(arguments)
    figures: Figures = {}
    load = [os.getloadavg()[0]]
    with places(sizes, arguments.output) as where:
        about = {"cores": os.cpu_count(), "kernel": platform.release(), "plane": where.mount.status()["plane"],
                 "load": load, "sizes": asdict(sizes)}
        for subject in arguments.only or SUBJECTS:
            print(f"{subject} ...", file=sys.stderr, flush=True)
            figures |= MEASURES[subject](where)
    load.append(os.getloadavg()[0])
    write(lines(figures), about, arguments.output)


if __name__ == "__main__":
    main([*sys.argv[1:], *shlex.split(os.environ.get("BENCH_OPTIONS", ""))])
