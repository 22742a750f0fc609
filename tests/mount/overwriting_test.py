"""Overwriting never breaks a reader: it keeps its version, who opens later gets the new one."""

import errno
import os
import signal
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from support.mapper import Mapper
from support.mount import Mount, PlainDirectory, arrayfs, run, wait_until
from support.peer import Peer

OLD = np.arange(400_000, dtype="u1")
NEW = np.arange(10, dtype="u1") + 100
PAGE = 4096


class OnTmpfs(unittest.TestCase):
    """What the tests below would see without arrayfs."""

    def test_a_c_reader_dies(self):
        with PlainDirectory() as plain:
            np.save(plain.path / "a.npy", OLD)
            with Mapper(plain.path / "a.npy") as reader:
                np.save(plain.path / "a.npy", NEW)
                self.assertEqual(reader.ask("sum"), -signal.SIGBUS)

    def test_a_python_reader_dies(self):
        program = ("import sys, numpy as np; a = np.load(sys.argv[1], mmap_mode='r');"
                   "np.save(sys.argv[1], np.zeros(10)); print(a.sum())")
        with PlainDirectory() as plain:
            np.save(plain.path / "a.npy", OLD)
            done = run(sys.executable, "-c", program, str(plain.path / "a.npy"))
            self.assertEqual((done.returncode, done.stdout), (-signal.SIGBUS, ""))


class Overwriting(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mount = cls.enterClassContext(Mount(size="128M"))

    def setUp(self):
        self.path = self.mount.path / f"{self._testMethodName}.npy"
        np.save(self.path, OLD)
        self.sum = str(sum(self.path.read_bytes()))

    def nameless(self) -> tuple[int, int]:
        status = self.mount.status()
        return int(status["nameless_files"]), int(status["nameless_bytes"])

    def version(self) -> int:
        return int(os.getxattr(self.path, "user.array.version"))

    def listed_inode(self, path: Path) -> int:
        with os.scandir(path.parent) as entries:
            return next(entry.inode() for entry in entries if entry.name == path.name)

    def assert_nothing_nameless(self):
        wait_until(lambda: self.nameless() == (0, 0), "old versions are freed")

    def assert_refused(self, code: int, change, *arguments):
        with self.assertRaises(OSError) as refused:
            change(*arguments)
        self.assertEqual(refused.exception.errno, code)

    def test_a_python_reader_keeps_its_version(self):
        with Peer(self.path, "r") as reader:
            np.save(self.path, NEW)
            self.assertEqual(reader.ask("int(a.astype('u8').sum())"), str(int(OLD.astype("u8").sum())))
            self.assertEqual(np.load(self.path).tolist(), NEW.tolist())
            self.assertEqual(np.load(self.path, mmap_mode="r").tolist(), NEW.tolist())
        self.assert_nothing_nameless()

    def test_the_new_version_is_listed(self):
        before = self.listed_inode(self.path)
        with Peer(self.path, "r"):
            np.save(self.path, NEW)
            self.assertNotEqual(self.path.stat().st_ino, before)
            wait_until(lambda: self.listed_inode(self.path) == self.path.stat().st_ino, "the listing has its number")

    def test_a_c_reader_keeps_its_version(self):
        with Mapper(self.path) as reader:
            np.save(self.path, NEW)
            self.assertEqual(reader.ask("sum"), self.sum)
            with Mapper(self.path) as later:
                self.assertEqual(later.ask("sum"), str(sum(self.path.read_bytes())))
            self.assertEqual(reader.ask("sum"), self.sum)
        self.assert_nothing_nameless()

    def test_an_open_reader_keeps_its_version(self):
        with self.path.open("rb") as reader:
            np.save(self.path, NEW)
            self.assertEqual(str(sum(reader.read())), self.sum)

    def test_a_writer_keeps_its_version(self):
        with Mapper(self.path, "w") as writer:
            np.save(self.path, NEW)
            self.assertEqual(writer.ask("store 200 9"), "done")
            self.assertEqual(np.load(self.path).tolist(), NEW.tolist())

    def test_every_way_of_overwriting(self):
        source = self.mount.path / "source.npy"
        np.save(source, NEW)
        for command in (f"cat {source} > {self.path}", f"cp {source} {self.path}", f"dd if={source} of={self.path}",
                        f"tee {self.path} < {source} > /dev/null"):
            np.save(self.path, OLD)
            with self.subTest(command), Mapper(self.path) as reader:
                done = run("sh", "-c", command)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(reader.ask("sum"), self.sum)
                self.assertEqual(np.load(self.path).tolist(), NEW.tolist())
        source.unlink()

    def test_a_larger_array_over_a_mapped_one(self):
        with Mapper(self.path) as reader:
            np.save(self.path, np.ones(4_000_000, "u1"))
            self.assertEqual(reader.ask("sum"), self.sum)

    def test_versions_are_counted(self):
        first = self.version()
        for step in range(1, 4):
            np.save(self.path, NEW)
            self.assertEqual(self.version(), first + step)
        self.assertEqual(self.mount.info(self.path.name)["version"], str(first + 3))
        self.path.unlink()
        np.save(self.path, NEW)
        self.assertEqual(self.version(), 1)

    def test_owner_mode_and_xattrs_pass_to_the_new_version(self):
        os.chown(self.path, 1234, 4321)
        self.path.chmod(0o640)
        os.setxattr(self.path, "user.note", b"kept")
        with Mapper(self.path):
            np.save(self.path, NEW)
        now = self.path.stat()
        self.assertEqual((now.st_uid, now.st_gid, now.st_mode & 0o7777), (1234, 4321, 0o640))
        self.assertEqual(os.getxattr(self.path, "user.note"), b"kept")

    def test_old_versions_are_in_the_status(self):
        with Mapper(self.path) as first:
            np.save(self.path, OLD)
            with Mapper(self.path) as second:
                np.save(self.path, NEW)
                files, held = self.nameless()
                self.assertEqual(files, 2)
                self.assertGreaterEqual(held, 2 * OLD.nbytes)
                self.assertEqual((first.ask("sum"), second.ask("sum")), (self.sum, self.sum))
            wait_until(lambda: self.nameless()[0] == 1, "one reader is gone")
        self.assert_nothing_nameless()

    def test_renamed_over_while_mapped(self):
        aside = self.path.with_suffix(".new.npy")
        np.save(aside, NEW)
        with Mapper(self.path) as reader:
            os.rename(aside, self.path)
            self.assertEqual(self.nameless()[0], 1)
            self.assertEqual(reader.ask("sum"), self.sum)
            self.assertEqual(np.load(self.path).tolist(), NEW.tolist())
        self.assert_nothing_nameless()

    def test_removed_while_mapped(self):
        with Mapper(self.path) as reader:
            self.path.unlink()
            self.assertFalse(self.path.exists())
            self.assertEqual(self.nameless()[0], 1)
            self.assertEqual(reader.ask("sum"), self.sum)
        self.assert_nothing_nameless()

    def test_a_look_at_its_info_keeps_nothing(self):
        used = int(self.mount.status()["used_bytes"])
        self.mount.info(self.path.name)
        self.mount.control(f"json/{self.path.name}.json")
        self.path.unlink()
        wait_until(lambda: int(self.mount.status()["used_bytes"]) <= used - OLD.nbytes, "its memory is freed")
        self.assertEqual(self.nameless(), (0, 0))

    def test_of_linked_arrays_in_use_one_name_is_overwritten(self):
        link = self.path.with_suffix(".link")
        os.link(self.path, link)
        with Mapper(self.path) as reader:
            np.save(self.path, NEW)
            self.assertEqual(reader.ask("sum"), self.sum)
            self.assertEqual(np.load(self.path).tolist(), NEW.tolist())
            self.assertEqual(np.load(link).tolist(), OLD.tolist())
        link.unlink()

    def test_an_array_in_use_opened_by_no_name_is_not_overwritten(self):
        with Mapper(self.path) as reader, self.path.open("rb") as file:
            by_no_name = Path(f"/proc/self/fd/{file.fileno()}")
            self.assert_refused(errno.ETXTBSY, by_no_name.write_bytes, b"x")
            self.assertEqual(reader.ask("sum"), self.sum)

    def test_shrinking_a_mapped_array_is_refused(self):
        with Mapper(self.path) as reader:
            self.assert_refused(errno.ETXTBSY, os.truncate, self.path, PAGE)
            self.assertIn("busy", run("truncate", "-s", str(PAGE), str(self.path)).stderr)
            with self.path.open("rb+") as file:
                self.assert_refused(errno.ETXTBSY, file.truncate, PAGE)
            self.assertEqual(reader.ask("sum"), self.sum)
        os.truncate(self.path, PAGE)
        self.assertEqual(self.path.stat().st_size, PAGE)

    def test_shrinking_an_opened_array_is_refused(self):
        with self.path.open("rb"):
            self.assert_refused(errno.ETXTBSY, os.truncate, self.path, 0)
        with self.path.open("rb+") as own:
            own.truncate(PAGE)
        self.assertEqual(self.path.stat().st_size, PAGE)

    def test_growing_a_mapped_array(self):
        with Mapper(self.path) as reader, self.path.open("rb+") as file:
            file.truncate(OLD.nbytes * 2)
            self.assertEqual(reader.ask("sum"), self.sum)
        self.assertEqual(np.load(self.path).tobytes(), OLD.tobytes())

    def test_raw_files_are_as_on_tmpfs(self):
        raw = self.path.with_suffix(".raw")
        raw.write_bytes(b"x" * PAGE)
        with raw.open("rb") as reader:
            raw.write_bytes(b"y")
            self.assertEqual(reader.read(), b"y")
        raw.unlink()

    def test_many_overwriters_and_readers(self):
        """Every array tells its own sum; no reader ever sees a mixture or dies."""
        # All of one shape: np.load opens the name for the header and again for the data.
        program = """
import os, sys, numpy as np
path, seed = sys.argv[1], int(sys.argv[2])
for turn in range(60):
    if seed % 2:
        a = np.full(50_000, seed * turn, "i8")
        a[0] = a[1:].sum()
        np.save(f"{path}.{seed}.npy", a)
        os.rename(f"{path}.{seed}.npy", path)
    else:
        a = np.load(path, mmap_mode="r")
        assert a[0] == a[1:].sum(), (seed, turn)
"""
        np.save(self.path, np.zeros(50_000, "i8"))

        def worker(seed: int) -> subprocess.CompletedProcess:
            return run(sys.executable, "-c", program, str(self.path), str(seed))

        with ThreadPoolExecutor(8) as pool:
            for done in pool.map(worker, range(8)):
                self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_nothing_nameless()

    def test_one_overwriter_in_place_and_many_readers(self):
        program = """
import sys, numpy as np
for turn in range(200):
    try:
        a = np.load(sys.argv[1], mmap_mode="r")
    except (ValueError, EOFError):
        continue  # being written
    first = int(a[0])
    assert (a == first).all(), turn
"""
        np.save(self.path, np.zeros(30_000, "i8"))
        readers = [subprocess.Popen([sys.executable, "-c", program, str(self.path)], stderr=subprocess.PIPE, text=True)
                   for _ in range(4)]
        turn = 0
        while any(reader.poll() is None for reader in readers):
            turn += 1
            np.save(self.path, np.full(30_000, turn, "i8"))
        for reader in readers:
            self.assertEqual(reader.communicate(timeout=60)[1], "")
            self.assertEqual(reader.returncode, 0)
        self.assertGreater(turn, 4)


if __name__ == "__main__":
    unittest.main()
