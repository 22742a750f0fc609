"""Kills the server of a mount at random moments under eight clients, and compares what is left with a model.

    kill.py [--times 100] [--io passthrough|cached] [--signal KILL|SEGV|ABRT|STOP] [--upgrade] [--seed N]

Each client does one kind of work in a directory of its own, knows what must be there, and counts what it saw: any
exception is a failure. ARRAYFS_BIN is the command. Nothing is left behind, mount, process or file.
"""

import argparse
import contextlib
import errno
import json
import mmap
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402

from support.mount import BINARY, LIMIT_S, Mount, ended, run, wait_until  # noqa: E402

ENTRIES = 1000
PAUSE_S = (0.02, 0.12)  # between two deaths


class Client:
    """One kind of work, done again and again until it is told to stop; the slowest call is remembered."""

    def __init__(self, directory: Path, seed: int):
        self.directory = directory
        self.random = random.Random(seed)
        self.turns = 0
        self.slowest_s = 0.0
        directory.mkdir()
        self.prepare()

    def prepare(self) -> None:
        """What the work needs, made before the first death."""

    def turn(self) -> None:
        """One piece of work; raises when anything is not as it must be."""
        raise NotImplementedError

    def finish(self) -> dict[str, int]:
        """What must be in the directory at the end: file sizes by name."""
        return {}

    def work(self, stop, report) -> None:
        try:
            while not stop.is_set():
                start = time.monotonic()
                self.turn()
                self.slowest_s = max(self.slowest_s, time.monotonic() - start)
                self.turns += 1
            report.send({"turns": self.turns, "slowest_s": self.slowest_s, "left": self.finish(), "error": None})
        except Exception as error:  # noqa: BLE001: whatever it is, the client saw it
            report.send({"turns": self.turns, "slowest_s": self.slowest_s, "left": None,
                         "error": f"turn {self.turns}: {type(error).__name__}: {error}"})


class LoadAndStore(Client):
    """np.load(mmap_mode='r+') and a store that must be there the next time."""

    def prepare(self):
        self.path = self.directory / "a.npy"
        np.save(self.path, np.zeros(1000, "i8"))
        self.count = 0

    def turn(self):
        array = np.load(self.path, mmap_mode="r+")
        assert array[7] == self.count, (array[7], self.count)
        self.count += 1
        array[7] = self.count

    def finish(self):
        assert np.load(self.path)[7] == self.count
        return {"a.npy": 8128}


class Save(Client):
    """np.save of new and existing arrays, read back."""

    def turn(self):
        path = self.directory / f"{self.turns % 20}.npy"
        data = np.full(self.random.randrange(1, 5000), self.turns, "i4")
        np.save(path, data)
        back = np.load(path)
        assert back.shape == data.shape and (back == self.turns).all(), path

    def finish(self):
        return {f"{i}.npy": None for i in range(min(self.turns, 20))}


class Rename(Client):
    """rename to a free name, over a file, and NOREPLACE semantics by link."""

    def prepare(self):
        (self.directory / "0").write_bytes(b"first")

    def turn(self):
        names = [self.directory / str(i) for i in range(3)]
        here, there = names[self.turns % 3], names[(self.turns + 1) % 3]
        if self.turns % 5 == 0:
            there.write_bytes(b"to be replaced")
        os.rename(here, there)
        assert not here.exists() and there.read_bytes() == b"first"

    def finish(self):
        return {str(self.turns % 3): 5}


class OverwriteUnderReader(Client):
    """np.save over an array that is mapped: the reader keeps its version."""

    def prepare(self):
        self.path = self.directory / "w.npy"
        np.save(self.path, np.full(5000, 0, "i8"))

    def turn(self):
        reader = np.load(self.path, mmap_mode="r")
        np.save(self.path, np.full(10 + self.turns % 5000, self.turns + 1, "i8"))
        assert (reader == self.turns).all()
        assert (np.load(self.path) == self.turns + 1).all()

    def finish(self):
        return {"w.npy": None}


class Directories(Client):
    """mkdir and rmdir, with a file inside in between."""

    def turn(self):
        path = self.directory / "d"
        path.mkdir()
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            raise AssertionError("mkdir of what is there")
        (path / "f").touch()
        try:
            path.rmdir()
            raise AssertionError("rmdir of what is not empty")
        except OSError as error:
            assert error.errno == errno.ENOTEMPTY, error
        (path / "f").unlink()
        path.rmdir()
        assert not path.exists()


class UnlinkWhileMapped(Client):
    """A mapping outlives the name of its file."""

    def turn(self):
        path = self.directory / "m"
        path.write_bytes(bytes([self.turns % 256]) * 10_000)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping:
            path.unlink()
            assert mapping[9_999] == self.turns % 256
            assert os.fstat(file.fileno()).st_nlink == 0
        assert not path.exists()


class Attributes(Client):
    """setxattr (create, replace), removexattr, symlinks and hard links."""

    def prepare(self):
        self.path = self.directory / "x"
        self.path.write_bytes(b"x")

    def turn(self):
        value = str(self.turns).encode()
        os.setxattr(self.path, "user.turn", value, os.XATTR_CREATE)
        assert os.getxattr(self.path, "user.turn") == value
        os.setxattr(self.path, "user.turn", value + b"!", os.XATTR_REPLACE)
        os.removexattr(self.path, "user.turn")
        link, hard = self.directory / "link", self.directory / "hard"
        link.symlink_to("x")
        hard.hardlink_to(self.path)
        assert self.path.stat().st_nlink == 2 and link.readlink() == Path("x")
        link.unlink()
        hard.unlink()
        assert self.path.stat().st_nlink == 1

    def finish(self):
        return {"x": 1}


class List(Client):
    """readdir of a thousand entries, each of them once."""

    def prepare(self):
        for i in range(ENTRIES):
            (self.directory / f"entry-{i}").touch()

    def turn(self):
        names = os.listdir(self.directory)
        assert len(names) == len(set(names)) == ENTRIES, len(names)
        assert all((self.directory / name).stat().st_size == 0 for name in self.random.sample(names, 5))

    def finish(self):
        return {f"entry-{i}": 0 for i in range(ENTRIES)}


CLIENTS = (LoadAndStore, Save, Rename, OverwriteUnderReader, Directories, UnlinkWhileMapped, Attributes, List)


def server_pid(mount: Mount) -> int:
    return int(mount.status()["server_pid"])


def die(mount: Mount, how: str) -> float:
    """Ends the present server; returns the seconds until another one has answered."""
    before = server_pid(mount)
    start = time.monotonic()
    if how == "UPGRADE":
        done = run(BINARY, "upgrade", str(mount.path))
        assert done.returncode == 0, done.stderr
    else:
        os.kill(before, getattr(signal, f"SIG{how}"))
        wait_until(lambda: ended(str(before)), "the server is dead")
    os.statvfs(mount.path)  # a request that the kernel never answers itself
    answered = time.monotonic()
    assert server_pid(mount) != before, "the same server serves"
    return answered - start


def leftovers(mount: Mount, before: dict[str, str]) -> list[str]:
    """What `status` shows more than before the load, once everything had time to go."""
    keys = ("nameless_files", "nameless_bytes", "open_files")

    def stray() -> list[str]:
        now = mount.status()
        used = int(run("du", "-s", "-B1", str(mount.path)).stdout.split()[0])
        found = [f"{key} {now[key]}" for key in keys if now[key] != before[key]]
        # du does not count what the store keeps aside: one page for each of its two directories at most.
        if abs(int(now["used_bytes"]) - used) > 16 << 10:
            found.append(f"used_bytes {now['used_bytes']} but du says {used}")
        return found

    deadline = time.monotonic() + 10
    while stray() and time.monotonic() < deadline:
        os.sched_yield()
    return stray()


def compare(directory: Path, expected: dict[str, int | None]) -> list[str]:
    """Names and sizes that differ from what the client knows to be there."""
    there = {entry.name: entry.stat().st_size for entry in os.scandir(directory)}
    differences = [f"{directory.name}: lost {name}" for name in expected.keys() - there.keys()]
    differences += [f"{directory.name}: stray {name}" for name in there.keys() - expected.keys()]
    differences += [f"{directory.name}: {name} has {there[name]} bytes, not {size}" for name, size in expected.items()
                    if size is not None and name in there and there[name] != size]
    return differences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--io", default="passthrough")
    parser.add_argument("--signal", default="KILL", choices=("KILL", "SEGV", "ABRT", "STOP", "MIXED"))
    parser.add_argument("--upgrade", action="store_true", help="replace the server by `arrayfs upgrade` instead")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    signals = ("KILL", "SEGV", "ABRT", "STOP") if arguments.signal == "MIXED" else (arguments.signal,)

    with Mount(arguments.io, size="512M", limit_s=LIMIT_S + arguments.times) as mount:
        mount.servers_die = True
        before = mount.status()
        stop = multiprocessing.Event()
        workers = []
        for number, kind in enumerate(CLIENTS):
            client = kind(mount.path / kind.__name__, arguments.seed + number)
            ours, theirs = multiprocessing.Pipe(False)
            process = multiprocessing.Process(target=client.work, args=(stop, theirs))
            process.start()
            workers.append((kind.__name__, client, process, ours))
        stalls_s = []
        for number in range(arguments.times):
            time.sleep(chance.uniform(*PAUSE_S))  # the load, not a condition
            stalls_s.append(die(mount, "UPGRADE" if arguments.upgrade else chance.choice(signals)))
        stop.set()
        problems = []
        turns, slowest_s = 0, 0.0
        for name, _, process, pipe in workers:
            result = pipe.recv() if pipe.poll(60) else {"error": "hangs", "turns": 0, "slowest_s": 0, "left": None}
            process.join(10)
            turns += result["turns"]
            slowest_s = max(slowest_s, result["slowest_s"])
            if result["error"]:
                problems.append(f"{name}: {result['error']}")
            else:
                problems += compare(mount.path / name, result["left"])
        problems += leftovers(mount, before)
        after = mount.status()
    print(json.dumps({"seed": arguments.seed, "deaths": arguments.times, "restarts": int(after["restarts"]),
                      "upgrades": int(after["upgrades"]), "longest_stall_ms": round(max(stalls_s) * 1e3, 1),
                      "median_stall_ms": round(sorted(stalls_s)[len(stalls_s) // 2] * 1e3, 1), "turns": turns,
                      "slowest_turn_ms": round(slowest_s * 1e3, 1), "problems": len(problems)}))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
