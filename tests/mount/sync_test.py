"""`.arrayfs/sync/PATH`: the page over which the users of an array meet, and what becomes of it with the array."""

import errno
import mmap
import os
import signal
import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path

import arrayfs as libshm
import numpy as np

from support.mount import TIMEOUT_S, Mount, arrayfs, run, wait_until

USER = 65534
PAGE_BYTES = 4096
HOLDER = """
import sys, arrayfs
with arrayfs.lock(sys.argv[1]):
    print("holds", flush=True)
    sys.stdin.read()
"""
WAITER = """
import sys, arrayfs
seen = arrayfs.generation(sys.argv[1])
print("waits", flush=True)
print(arrayfs.wait(sys.argv[1], seen, timeout=60) - seen, flush=True)
"""


class Process:
    """A Python program that has said its first line."""

    def __init__(self, program: str, path: Path):
        self.process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, cwd="/")
        self.process.stdout.readline()

    def end(self) -> str:
        return self.process.communicate(timeout=TIMEOUT_S)[0]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=TIMEOUT_S)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_) -> None:
        self.kill()


def errno_of(act: Callable[[], object], user: int | None = None) -> str:
    """The name of the errno with which it fails, in a process of that user; "" when it does not."""
    pid = os.fork()
    if pid != 0:
        return errno.errorcode.get(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "")
    code = 0
    try:
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        act()
    except OSError as refused:
        code = refused.errno
    finally:
        os._exit(code)


class Sync(unittest.TestCase):
    def setUp(self):
        self.mount = self.enterContext(Mount(size="64M"))
        self.mount.path.chmod(0o755)
        self.array = self.mount.path / "w.npy"
        np.save(self.array, np.zeros(4))
        self.page = self.mount.path / ".arrayfs/sync/w.npy"
        self.private = Path(self.mount.status()["store_path"]) / "private"

    def pages(self) -> list[str]:
        """The pages that the store has."""
        return os.listdir(self.private)

    def tearDown(self):
        # Whatever the test did, nothing of it lies among the arrays.
        self.assertEqual([name for name in os.listdir(self.mount.path) if name.startswith(".")], [])


class Meeting(Sync):
    def test_a_lock_excludes_other_processes(self):
        with Process(HOLDER, self.array) as holder:
            with self.assertRaises(TimeoutError), libshm.lock(self.array, timeout=0.1):
                pass
            holder.end()
            with libshm.lock(self.array, timeout=TIMEOUT_S) as damaged:
                self.assertFalse(damaged)

    def test_a_killed_holder(self):
        with Process(HOLDER, self.array) as holder:
            holder.kill()
            with libshm.lock(self.array, timeout=TIMEOUT_S) as damaged:
                self.assertTrue(damaged)

    def test_the_command_takes_the_same_lock(self):
        with Process(HOLDER, self.array):
            refused = run(os.environ["ARRAYFS_BIN"], "lock", "--timeout", "0.1", str(self.array), "--", "true")
            self.assertEqual((refused.returncode, refused.stderr.count("\n")), (1, 1), refused.stderr)
        arrayfs("lock", str(self.array), "--", "true")

    def test_meeting_goes_on_under_another_server(self):
        self.mount.servers_die = True
        with Process(HOLDER, self.array) as holder, Process(WAITER, self.array) as waiter:
            for _ in range(3):
                os.kill(int(self.mount.status()["server_pid"]), signal.SIGKILL)
            with self.assertRaises(TimeoutError), libshm.lock(self.array, timeout=0.1):
                pass
            libshm.notify(self.array)
            self.assertEqual(waiter.end(), "1\n")
            holder.kill()
            with libshm.lock(self.array, timeout=TIMEOUT_S) as damaged:
                self.assertTrue(damaged)
        self.assertEqual(len(self.pages()), 1)

    def test_any_program_can_map_it(self):
        def words(fd: int) -> np.ndarray:
            return np.frombuffer(mmap.mmap(fd, PAGE_BYTES), "u8")

        self.assertEqual(self.page.stat().st_size, PAGE_BYTES)
        with self.page.open("rb+") as one, self.page.open("rb+") as other:
            first, second = words(one.fileno()), words(other.fileno())
            first[100] = 7
            self.assertEqual(second[100], 7)
            self.assertEqual(bytes(first[:8]), bytes(64))  # libshm takes zeros for a new page
            self.assertEqual(libshm.notify(self.array), 1)
            self.assertEqual(second[8], 1)


class TheArraysLife(Sync):
    def setUp(self):
        super().setUp()
        libshm.notify(self.array)

    def assert_goes_on(self, path: Path):
        self.assertEqual((libshm.generation(path), len(self.pages())), (1, 1))

    def test_it_follows_the_name(self):
        (self.mount.path / "sub").mkdir()
        moved = self.mount.path / "sub/v.npy"
        os.rename(self.array, moved)
        self.assert_goes_on(moved)
        linked = self.mount.path / "linked.npy"
        linked.hardlink_to(moved)
        moved.unlink()
        self.assert_goes_on(linked)
        os.symlink(linked, self.array)
        self.assert_goes_on(self.array)

    def test_overwriting_keeps_it(self):
        with Process(WAITER, self.array) as waiter:
            reader = np.load(self.array, mmap_mode="r")
            np.save(self.array, np.ones(9))
            np.save(self.mount.path / "aside.npy", np.ones(5))
            os.rename(self.mount.path / "aside.npy", self.array)
            self.assert_goes_on(self.array)
            libshm.notify(self.array)
            self.assertEqual(waiter.end(), "1\n")
            self.assertEqual(reader.shape, (4,))

    def test_a_rename_that_fails_passes_on_nothing(self):
        other = self.mount.path / "other.npy"
        np.save(other, np.ones(5))
        self.mount.path.joinpath("directory").mkdir()
        renamed = run("mv", "-nT", str(other), str(self.array))  # RENAME_NOREPLACE
        self.assertTrue(other.exists(), renamed.stderr)
        self.assertRaises(OSError, os.rename, other, self.mount.path / "directory")
        self.assertEqual((libshm.generation(other), libshm.generation(self.array)), (0, 1))

    def test_another_users_array_takes_over_nothing(self):
        other = self.mount.path / "other.npy"
        np.save(other, np.ones(5))
        os.chown(other, USER, USER)
        os.rename(other, self.array)
        self.assertEqual((libshm.generation(self.array), len(self.pages())), (0, 1))

    def test_an_array_with_a_page_of_its_own_keeps_that(self):
        other = self.mount.path / "other.npy"
        np.save(other, np.ones(5))
        for _ in range(5):
            libshm.notify(other)
        os.rename(other, self.array)
        self.assertEqual((libshm.generation(self.array), len(self.pages())), (5, 1))

    def test_of_linked_arrays_the_new_version_gets_its_own(self):
        linked = self.mount.path / "linked.npy"
        linked.hardlink_to(self.array)
        with linked.open("rb"):
            np.save(self.array, np.ones(9))
        self.assertEqual((libshm.generation(linked), libshm.generation(self.array)), (1, 0))
        linked.unlink()
        self.assertEqual((libshm.generation(self.array), len(self.pages())), (0, 1))

    def test_it_goes_with_the_last_name(self):
        with self.page.open("rb") as page:
            mapped = mmap.mmap(page.fileno(), PAGE_BYTES, prot=mmap.PROT_READ)
            self.array.unlink()
            self.assertEqual(self.pages(), [])
            self.assertEqual(int.from_bytes(mapped[64:72], "little"), 1)
            mapped.close()
        self.assertRaises(FileNotFoundError, self.page.stat)
        np.save(self.array, np.zeros(4))
        self.assertEqual(libshm.generation(self.array), 0)

    def test_it_goes_with_the_arrays_lifetime(self):
        os.setxattr(self.array, "user.array.ttl", b"1")
        wait_until(lambda: not self.array.exists() and not self.pages(), "both are gone")

    def test_pages_that_were_removed_hold_no_memory(self):
        self.array.unlink()
        before = os.statvfs(self.mount.path).f_bfree
        for _ in range(50):
            np.save(self.array, np.zeros(4))
            libshm.notify(self.array)
            self.array.unlink()
        wait_until(lambda: os.statvfs(self.mount.path).f_bfree >= before, "their memory is free")

    def test_the_next_mount(self):
        np.save(self.mount.path / "gone.npy", np.zeros(4))
        libshm.notify(self.mount.path / "gone.npy")
        kept = set(self.pages())
        (self.private / "sync-17").write_bytes(bytes(PAGE_BYTES))  # its array went without the daemon
        self.mount.umount()
        self.mount.mount()
        self.assertEqual(set(self.pages()), kept)
        self.assertEqual(libshm.generation(self.array), 1)


class TheArraysRights(Sync):
    def map_as(self, user: int, access: str) -> str:
        return errno_of(lambda: self.page.open(access).close(), user)

    def test_the_modes_of_the_array(self):
        for mode, reads, writes in ((0o600, "EACCES", "EACCES"), (0o644, "", "EACCES"), (0o666, "", ""),
                                    (0o640, "EACCES", "EACCES")):
            with self.subTest(oct(mode)):
                self.array.chmod(mode)
                self.assertEqual((self.map_as(USER, "rb"), self.map_as(USER, "rb+")), (reads, writes))
                self.assertEqual(self.page.stat().st_mode & 0o777, mode)
        os.chown(self.array, USER, USER)
        self.assertEqual(self.map_as(USER, "rb+"), "")

    def test_the_acl_of_the_array(self):
        self.array.chmod(0o600)
        libshm.notify(self.array)
        self.assertEqual(run("setfacl", "-m", f"u:{USER}:rw", str(self.array)).returncode, 0)
        self.assertEqual((self.map_as(USER, "rb+"), self.map_as(USER - 1, "rb")), ("", "EACCES"))
        self.assertEqual(run("setfacl", "-b", str(self.array)).returncode, 0)
        self.assertEqual(self.map_as(USER, "rb+"), "EACCES")

    def test_users_who_may_write_meet(self):
        self.array.chmod(0o666)
        self.assertEqual(errno_of(lambda: libshm.notify(self.array), USER), "")
        self.assertEqual(libshm.generation(self.array), 1)
        self.array.chmod(0o644)
        self.assertEqual(errno_of(lambda: libshm.notify(self.array), USER), "EACCES")

    def test_what_would_harm_others_is_refused(self):
        libshm.notify(self.array)
        changes = (
            lambda: self.page.open("wb"), lambda: os.truncate(self.page, 0), lambda: os.truncate(self.page, 8192),
            lambda: self.page.chmod(0o777), lambda: os.chown(self.page, USER, USER), self.page.unlink,
            lambda: os.setxattr(self.page, "user.x", b"1"), lambda: os.rename(self.page, self.mount.path / "page"),
            lambda: os.link(self.page, self.mount.path / "page"),
        )
        for number, change in enumerate(changes):
            with self.subTest(number):
                self.assertEqual(errno_of(change), "EPERM")
        self.assertEqual(libshm.generation(self.array), 1)

    def test_nothing_is_made_for_who_only_looks_around(self):
        (self.mount.path / "sub").mkdir()
        np.save(self.mount.path / "sub/v.npy", np.zeros(4))
        self.assertEqual(os.listdir(self.page.parent / "sub"), ["v.npy"])
        self.assertEqual(sorted(os.listdir(self.page.parent)), ["sub", "w.npy"])
        self.assertEqual(self.pages(), [])
        self.assertRaises(FileNotFoundError, (self.page.parent / "missing.npy").stat)


class BesideTheArray(unittest.TestCase):
    def test_a_page_that_was_there_before_stays_in_use(self):
        with Mount(size="64M") as mount:
            array = mount.path / "w.npy"
            np.save(array, np.zeros(4))
            (mount.path / ".w.npy.sync").write_bytes(bytes(PAGE_BYTES))
            libshm.notify(array)
            page = (mount.path / ".w.npy.sync").read_bytes()
            self.assertEqual(int.from_bytes(page[64:72], "little"), 1)


if __name__ == "__main__":
    unittest.main()
