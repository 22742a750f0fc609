"""Runs random_files on a mount of its own and looks at what is left afterwards.

    random_files.py [--seconds 10] [--io passthrough|cached] [--seed N] [--workers 20]

ARRAYFS_BIN is the daemon, which may be built with sanitizers: a report of theirs fails the run.
ARRAYFS_RANDOM_FILES is the program; by default that beside the daemon.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.mount import BINARY, TIMEOUT_S, fields, mounts, run, wait_until  # noqa: E402

PROGRAM = os.environ.get("ARRAYFS_RANDOM_FILES") or str(Path(BINARY).with_name("random_files"))
GRACE_S = 180


class Daemon:
    """The daemon in the foreground, so that its exit code and its sanitizers' reports can be seen."""

    def __init__(self, plane: str):
        self.logs = Path(tempfile.mkdtemp())
        self.path = self.logs / "mount"
        self.path.mkdir(mode=0o755)
        self.name = f"{Path(tempfile.gettempdir()).name}-stress-{os.getpid()}"
        self._stderr = (self.logs / "stderr").open("w")
        self.process = subprocess.Popen(
            [BINARY, "mount", str(self.path), "--name", self.name, "--io", plane, "--size", "512M", "--foreground",
             "--log-level", "warning"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._stderr, env=self._environment(),
        )
        try:
            wait_until(lambda: str(self.path) in mounts() or self.process.poll() is not None, "mounted")
            assert self.process.poll() is None, (self.logs / "stderr").read_text()
        except BaseException:
            self.remove()
            raise

    def _environment(self) -> dict[str, str]:
        """Each sanitizer writes a file of its own; a report also shows in the exit code."""
        environment = dict(os.environ)
        for name in ("ASAN", "UBSAN", "TSAN", "LSAN"):
            given = environment.get(f"{name}_OPTIONS", "")
            own = f"log_path={self.logs}/sanitizer-{name.lower()}:exitcode=66:print_stacktrace=1"
            if name == "LSAN":
                own = f"suppressions={Path(__file__).parents[1]}/support/leaks.txt:print_suppressions=0"
            environment[f"{name}_OPTIONS"] = f"{given}:{own}" if given else own
        return environment

    def status(self) -> dict[str, str]:
        return fields((self.path / ".arrayfs/status").read_text())

    def reports(self) -> str:
        """What the sanitizers and the daemon itself had to say."""
        files = sorted(path for path in self.logs.iterdir() if path != self.path)  # a dead mount cannot be asked
        return "".join(file.read_text() for file in files)

    def stop(self) -> int:
        """Unmounts, frees the arrays, and returns the daemon's exit code."""
        done = run(BINARY, "umount", "--discard", str(self.path), timeout=GRACE_S)
        if done.returncode != 0:
            print(done.stderr, file=sys.stderr)
        return self.process.wait(GRACE_S)

    def remove(self) -> None:
        """Takes everything away, however it stands."""
        if str(self.path) in mounts():
            run("umount", "-f", "-l", str(self.path))
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(GRACE_S)
        self._stderr.close()
        store = Path("/run/arrayfs") / self.name
        if str(store) in mounts():
            run("umount", "-l", str(store))
        if store.exists():
            store.rmdir()
        for file in self.logs.iterdir():
            file.rmdir() if file.is_dir() else file.unlink()
        self.logs.rmdir()


def disk_usage(path: Path) -> int:
    """What du says that the files below `path` hold, in bytes; -1 when one vanished meanwhile."""
    done = run("du", "-s", "--block-size=1", str(path))
    return int(done.stdout.split()[0]) if done.returncode == 0 else -1


def leftovers(daemon: Daemon) -> list[str]:
    """What the mount still holds although nobody uses it any more."""
    found: dict[str, tuple[int, int]] = {}

    def settled() -> bool:
        # Releases, forgets and the ends of owners come a little later; so du is asked each time, too.
        wanted = {"nameless_files": 0, "nameless_bytes": 0, "open_files": 0, "used_bytes": disk_usage(daemon.path)}
        status = daemon.status()
        found.update({key: (int(status[key]), value) for key, value in wanted.items()})
        return all(have == want for have, want in found.values())

    deadline = time.monotonic() + TIMEOUT_S
    while not settled() and time.monotonic() < deadline:
        os.sched_yield()
    print("left: " + ", ".join(f"{key} {have} (wanted {want})" for key, (have, want) in found.items()))
    return [f"{key}: {have}, not {want}" for key, (have, want) in found.items() if have != want]


def stress(daemon: Daemon, arguments: argparse.Namespace) -> list[str]:
    """Runs the program; returns what was wrong."""
    command = (PROGRAM, str(daemon.path), str(arguments.seconds), str(arguments.seed), str(arguments.workers))
    done = run(*command, timeout=arguments.seconds + GRACE_S)
    print(done.stdout + done.stderr)
    wrong = [] if done.returncode == 0 else [f"random_files: exit {done.returncode}"]
    if daemon.process.poll() is not None:
        return [*wrong, f"the daemon ended: exit {daemon.process.returncode}"]
    return wrong + leftovers(daemon)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--io", default="passthrough", choices=("passthrough", "cached"))
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--workers", type=int, default=20)
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    print(f"seed {arguments.seed}, {arguments.io}, {arguments.seconds} s, {BINARY}")
    daemon = Daemon(arguments.io)
    try:
        wrong = stress(daemon, arguments)
        code = daemon.process.poll() if daemon.process.poll() is not None else daemon.stop()
        if code != 0:
            wrong.append(f"the daemon's exit code: {code}")
        reports = daemon.reports()
        if reports:
            wrong.append(f"reports:\n{reports}")
    finally:
        daemon.remove()
    print("\n".join(wrong) if wrong else "nothing is left behind")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
