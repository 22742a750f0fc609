"""A mounted arrayfs for a `with` block, and what tests of the mount share.

ARRAYFS_BIN is the command to test. Mount points lie below TMPDIR and the names of stores begin with
TMPDIR's own, so that tests/run.sh recognises what a killed test left. Nothing here sleeps: conditions
are polled until a deadline, and every command has a timeout.
"""

import ctypes
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

BINARY = os.environ.get("ARRAYFS_BIN") or str(Path(__file__).parents[2] / "build/release/bin/arrayfs")
PLANE = os.environ.get("ARRAYFS_TEST_PLANE", "passthrough")
TIMEOUT_S = 60
# For all that is done on one mount. Commands under a sanitizer start slowly, too.
LIMIT_S = (20 if "ARRAYFS_SANITIZED_BY" in os.environ else 4) * TIMEOUT_S
SKIPPED = 77

if not os.path.exists("/dev/fuse"):
    print("no /dev/fuse here: skipped", file=sys.stderr)
    sys.exit(SKIPPED)


def run(*command: str, timeout: float = TIMEOUT_S, **options) -> subprocess.CompletedProcess:
    """Runs a command to its end, its output captured as text."""
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)


def arrayfs(*arguments: str) -> str:
    """Runs the command, which must succeed, and returns its standard output."""
    done = run(BINARY, *arguments)
    assert done.returncode == 0, f"arrayfs {' '.join(arguments)}: exit {done.returncode}: {done.stderr}"
    return done.stdout


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Returns when the condition holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"not in {TIMEOUT_S} s: {what}"
        os.sched_yield()


def ended(pid: str) -> bool:
    """Whether the process has ended, all of its threads; it may be a zombie that nobody has waited for."""
    try:
        zombie = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        return zombie and os.listdir(f"/proc/{pid}/task") == [pid]
    except (FileNotFoundError, ProcessLookupError):
        return True


def fields(text: str) -> dict[str, str]:
    """The `key: value` lines up to the first empty one."""
    return dict(line.split(": ", 1) for line in text.split("\n\n", 1)[0].splitlines())


def mounts() -> set[str]:
    """Every mount point of this process's name space."""
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    return {line.split()[4] for line in lines}


def open_device_to_users() -> None:
    """Gives /dev/fuse the mode that udev gives it, where it has not, in a mount name space of this process's own."""
    if os.geteuid() != 0 or os.stat("/dev/fuse").st_mode & 0o006 == 0o006:
        return
    clone_newns = 0x20000
    if ctypes.CDLL(None, use_errno=True).unshare(clone_newns) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    node = Path(tempfile.mkdtemp()) / "fuse"
    os.mknod(node, 0o666 | stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    node.chmod(0o666)
    for command in (("mount", "--make-rprivate", "/"), ("mount", "--bind", str(node), "/dev/fuse")):
        subprocess.run(command, check=True, timeout=TIMEOUT_S)
    node.unlink()
    node.parent.rmdir()


class Mount:
    """One mount; freed, arrays and all, at the end of the block. Nothing may be open inside it then.

    What still hangs in it after `limit_s` is broken off.
    """

    _count = 0

    def __init__(self, plane: str = PLANE, *options: str, size: str = "512M", limit_s: float = LIMIT_S):
        Mount._count += 1
        self.plane = plane
        self.options = ("--size", size, *options)
        temporary = Path(tempfile.gettempdir())
        self.name = f"{temporary.name}-{os.getpid()}-{Mount._count}"
        self.path = temporary / self.name
        self.servers_die = False  # whether a test ends them; else none may have been replaced
        self._watchdog = threading.Timer(limit_s, self.abort)
        self._watchdog.daemon = True

    def mount(self) -> None:
        """Mounts, also again after umount() or the daemon's death."""
        arrayfs("mount", str(self.path), "--name", self.name, "--io", self.plane, *self.options)

    def umount(self, *options: str) -> None:
        arrayfs("umount", str(self.path), *options)

    def kill(self) -> None:
        """Ends the supervisor and the server as kill -9 does, and returns when they are gone."""
        self.servers_die = True
        status = self.status()
        for pid in (status["supervisor_pid"], status["server_pid"]):
            os.kill(int(pid), signal.SIGKILL)
            wait_until(lambda pid=pid: ended(pid), "it is dead")

    def stop(self, number: int) -> None:
        """Asks the daemon to end by a signal, and returns when it did."""
        pid = self.status()["supervisor_pid"]
        os.kill(int(pid), number)
        wait_until(lambda: ended(pid), "the daemon ends")

    def abort(self) -> None:
        """Breaks off every request in flight and detaches, so that a process stuck in the mount returns."""
        run("umount", "-f", "-l", str(self.path))

    def control(self, path: str) -> str:
        """A file of the control tree."""
        return (self.path / ".arrayfs" / path).read_text()

    def status(self) -> dict[str, str]:
        return fields(self.control("status"))

    def info(self, path: str) -> dict[str, str]:
        return fields(self.control(f"info/{path}"))

    def __enter__(self) -> "Mount":
        self.path.mkdir()
        try:
            self.mount()
        except BaseException:
            self.path.rmdir()
            raise
        self._watchdog.start()
        return self

    def __exit__(self, *_) -> None:
        self._watchdog.cancel()
        died = "" if self.servers_die or str(self.path) not in mounts() else self.status()["last_restart"]
        done = run(BINARY, "umount", str(self.path), "--discard")
        if done.returncode != 0:
            self.abort()
        self.path.rmdir()
        assert done.returncode == 0, f"cannot unmount: {done.stderr}"
        assert died in ("", "-"), f"a server {died}"


class PlainDirectory:
    """A directory of the machine's own tmpfs, to show that a test's expectation is not arrayfs's invention."""

    def __enter__(self) -> "PlainDirectory":
        self.path = Path(tempfile.mkdtemp(dir="/dev/shm", prefix=Path(tempfile.gettempdir()).name))
        return self

    def __exit__(self, *_) -> None:
        shutil.rmtree(self.path)


def directory(plane: str = PLANE) -> Mount | PlainDirectory:
    """What the flows run on: a mount, or tmpfs itself for `ARRAYFS_TEST_PLANE=tmpfs`."""
    return PlainDirectory() if plane == "tmpfs" else Mount(plane)
