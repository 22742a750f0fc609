"""The server dies at every labelled point of every operation: no program sees it, nothing is lost or done twice.

Each operation is tried on a plain tmpfs first, which tells what it must give and leave behind. The points that it
passes are collected on a mount, and then it is tried once for each of them, with the server dying there.
"""

import concurrent.futures
import contextlib
import ctypes
import errno
import mmap
import os
import shutil
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

import numpy as np

from support.mount import PLANE, Mount, PlainDirectory, wait_until

FILE_BYTES = 65536
LIST_AT = 256
OLD, NEW = np.arange(1000.0), np.arange(10.0)


class Faults:
    """The page that the daemon's fault points look at."""

    def __init__(self, path: Path):
        path.write_bytes(bytes(FILE_BYTES))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), FILE_BYTES)

    def passed(self) -> list[str]:
        text = self._page[LIST_AT:]
        return text[: text.index(0)].decode().splitlines()

    def forget_passed(self) -> None:
        self._page[LIST_AT:] = bytes(FILE_BYTES - LIST_AT)

    def arm(self, point: str) -> None:
        self._page[: len(point) + 1] = point.encode() + b"\0"

    def arm_for_all(self, point: str) -> None:
        """Every server that comes by crashes, until disarm()."""
        self.arm(f"!{point}")

    def struck(self) -> bool:
        return self._page[0] == 0

    def disarm(self) -> None:
        self._page[0:1] = b"\0"


def outcome(call: Callable) -> object:
    """What a call gave: its value, or the errno that it raised."""
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno]


def picture(directory: Path) -> dict[str, tuple]:
    """Everything that can be seen below a directory, by path."""
    seen = {}
    for path in sorted(directory.rglob("*")):
        st = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        target = os.readlink(path) if path.is_symlink() else None
        attributes = {}
        if not path.is_symlink():
            attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)
                          if name.startswith("user.") and not name.startswith("user.array.")}
        seen[str(path.relative_to(directory))] = (st.st_mode, st.st_nlink, content, target, attributes)
    return seen


def prepare(directory: Path) -> None:
    """What every operation finds."""
    (directory / "file").write_bytes(b"content")
    (directory / "other").write_bytes(b"something else")
    (directory / "empty").mkdir()
    np.save(directory / "a.npy", OLD)
    os.setxattr(directory / "file", "user.there", b"value")


def overwrite_under_reader(d: Path) -> object:
    reader = np.load(d / "a.npy", mmap_mode="r")
    np.save(d / "a.npy", NEW)
    return float(reader.sum())


def unlink_while_open(d: Path) -> object:
    with (d / "file").open("rb") as file:
        (d / "file").unlink()
        return os.fstat(file.fileno()).st_nlink, file.read()


def create_and_write(d: Path) -> object:
    with (d / "new").open("xb") as file:
        return file.write(b"new content")


def exchange(d: Path) -> object:
    at_fdcwd, rename_exchange = -100, 2
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.renameat2(at_fdcwd, bytes(d / "file"), at_fdcwd, bytes(d / "other"), rename_exchange)
    return done, ctypes.get_errno()


def append(d: Path) -> object:
    with (d / "file").open("ab") as file:
        file.write(b" and more")
    return (d / "file").read_bytes()


def page_of(path: Path) -> Path:
    """The sync page of an array one directory below the mount."""
    return path.parent.parent / ".arrayfs/sync" / path.parent.name / path.name


def mark_page(path: Path) -> None:
    fd = os.open(page_of(path), os.O_RDWR)
    os.pwrite(fd, b"marked", 4000)
    os.close(fd)


def overwrite_with_a_page(d: Path) -> object:
    mark_page(d / "a.npy")
    np.save(d / "aside.npy", NEW)
    os.rename(d / "aside.npy", d / "a.npy")
    return page_of(d / "a.npy").read_bytes()[4000:4006]


def remove_with_a_page(d: Path) -> object:
    mark_page(d / "a.npy")
    os.unlink(d / "a.npy")
    np.save(d / "a.npy", NEW)
    return page_of(d / "a.npy").read_bytes()[4000:4006]


OPERATIONS: dict[str, Callable[[Path], object]] = {
    "mkdir": lambda d: os.mkdir(d / "new"),
    "mkdir of what is there": lambda d: os.mkdir(d / "empty"),
    "mkfifo": lambda d: os.mkfifo(d / "new"),
    "symlink": lambda d: os.symlink("target", d / "new"),
    "symlink over a file": lambda d: os.symlink("target", d / "file"),
    "link": lambda d: os.link(d / "file", d / "new"),
    "link over a file": lambda d: os.link(d / "file", d / "other"),
    "unlink": lambda d: os.unlink(d / "file"),
    "unlink of nothing": lambda d: os.unlink(d / "nothing"),
    "unlink while open": unlink_while_open,
    "rmdir": lambda d: os.rmdir(d / "empty"),
    "rmdir of what is not empty": lambda d: os.rmdir(d),
    "rename": lambda d: os.rename(d / "file", d / "new"),
    "rename over a file": lambda d: os.rename(d / "file", d / "other"),
    "rename of a directory": lambda d: os.rename(d / "empty", d / "new"),
    "rename of nothing": lambda d: os.rename(d / "nothing", d / "new"),
    "exchange": exchange,
    "create": create_and_write,
    "create of what is there": lambda d: os.open(d / "file", os.O_CREAT | os.O_EXCL),
    "append": append,
    "read": lambda d: (d / "file").read_bytes(),
    "truncate": lambda d: os.truncate(d / "file", 3),
    "grow": lambda d: os.truncate(d / "file", 5000),
    "chmod": lambda d: os.chmod(d / "file", 0o600),
    "setxattr": lambda d: os.setxattr(d / "file", "user.new", b"v", os.XATTR_CREATE),
    "setxattr of what is there": lambda d: os.setxattr(d / "file", "user.there", b"v", os.XATTR_CREATE),
    "setxattr replacing": lambda d: os.setxattr(d / "file", "user.there", b"v", os.XATTR_REPLACE),
    "removexattr": lambda d: os.removexattr(d / "file", "user.there"),
    "removexattr of nothing": lambda d: os.removexattr(d / "file", "user.nothing"),
    "overwrite under a reader": overwrite_under_reader,
    "rename over an array with a sync page": overwrite_with_a_page,
    "remove an array with a sync page": remove_with_a_page,
    "np.save": lambda d: np.save(d / "new.npy", NEW),
    "list": lambda d: sorted(os.listdir(d)),
    "remove all": lambda d: shutil.rmtree(d / "empty"),
}


# On tmpfs the reader dies, and there are no sync pages.
BEYOND_TMPFS = ("overwrite under a reader", "rename over an array with a sync page", "remove an array with a sync page")


class EveryPoint(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.faults = Faults(directory / "faults")
        os.environ["ARRAYFS_FAULT_FILE"] = str(directory / "faults")
        cls.addClassCleanup(os.environ.pop, "ARRAYFS_FAULT_FILE")
        cls.plain = cls.enterClassContext(PlainDirectory()).path
        cls.mount = cls.enterClassContext(Mount(PLANE, size="64M"))
        cls.mount.servers_die = True

    def attempt(self, operation: Callable, place: Path, point: str | None) -> tuple[object, dict]:
        place.mkdir()
        prepare(place)
        self.faults.forget_passed()
        if point is not None:
            self.faults.arm(point)
        gave = outcome(lambda: operation(place))
        os.listdir(place)  # one that dies after its answer dies before the next one
        self.passed = self.faults.passed()
        self.faults.disarm()
        left = picture(place)
        shutil.rmtree(place)
        return gave, left

    def test_every_operation_at_every_point(self):
        deaths = struck = 0
        for number, (name, operation) in enumerate(OPERATIONS.items()):
            model = self.mount.path if name in BEYOND_TMPFS else self.plain
            expected = self.attempt(operation, model / f"{number}-model", None)
            with self.subTest(name):
                self.assertEqual(self.attempt(operation, self.mount.path / str(number), None), expected)
            for turn, point in enumerate(self.passed):
                before = int(self.mount.status()["restarts"])
                with self.subTest(f"{name}, dying at '{point}'"):
                    place = self.mount.path / f"{number}-{turn}"
                    self.assertEqual(self.attempt(operation, place, point), expected)
                    deaths += 1
                    struck += int(self.mount.status()["restarts"]) - before
        # What the kernel forgets, and when, differs from time to time.
        self.assertGreater(struck, deaths * 3 // 4)
        print(f"{len(OPERATIONS)} operations, {deaths} attempts, {struck} deaths", flush=True)

        def nothing_is_left() -> bool:
            status = self.mount.status()
            return (status["nameless_files"], status["open_files"], os.listdir(self.mount.path)) == ("0", "0", [])

        with contextlib.suppress(AssertionError):
            wait_until(nothing_is_left, "everything is let go of")
        status = self.mount.status()
        self.assertEqual((status["nameless_files"], status["open_files"]), ("0", "0"))

    def refused(self, point: str, call: Callable) -> int:
        """The deaths that a call costs, which is given up; what others do meanwhile succeeds."""
        before = int(self.mount.status()["restarts"])
        self.faults.arm_for_all(point)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            calling = pool.submit(outcome, call)
            while not calling.done():
                self.assertEqual((self.mount.path / "kept").read_bytes(), b"kept")
                (self.mount.path / "other").write_bytes(b"written meanwhile")
                (self.mount.path / "other").unlink()
        self.faults.disarm()
        self.assertEqual(calling.result(), "EIO")
        return int(self.mount.status()["restarts"]) - before

    def test_a_request_over_which_servers_crash_is_refused(self):
        (self.mount.path / "kept").write_bytes(b"kept")
        np.save(self.mount.path / "a.npy", NEW)
        view = self.mount.path / ".arrayfs/csv/a.npy.csv"
        self.assertEqual(self.refused("make: before", (self.mount.path / "made").mkdir), 3)
        self.assertEqual(self.refused("view: read", view.read_bytes), 3)
        (self.mount.path / "made").mkdir()
        self.assertIn(b"9", view.read_bytes())
        (self.mount.path / "made").rmdir()
        for name in ("kept", "a.npy"):
            (self.mount.path / name).unlink()


if __name__ == "__main__":
    unittest.main()
