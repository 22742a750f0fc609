"""Limited lives: a ttl that runs out, an owner that ends; the name goes, mappings stay."""

import errno
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

from support.mapper import Mapper
from support.mount import PLANE, Mount, wait_until

TTL, OWNER = "user.array.ttl", "user.array.owner_pid"


class Owner:
    """A process that may own arrays, and end."""

    def __enter__(self) -> "Owner":
        self._process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd="/")
        self.pid = str(self._process.pid).encode()
        return self

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait(60)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(60)

    def __exit__(self, *_) -> None:
        self.kill()
        self._process.stdin.close()


class Lifetimes(unittest.TestCase):
    def setUp(self):
        logs = self.enterContext(tempfile.TemporaryDirectory(prefix=Path(tempfile.gettempdir()).name))
        self.log = Path(logs) / "log"
        self.mount = self.enterContext(Mount(PLANE, "--log-file", str(self.log), size="64M"))
        self.path = self.new("a.npy")

    def new(self, name: str) -> Path:
        np.save(self.mount.path / name, np.arange(100_000))
        return self.mount.path / name

    def used(self) -> int:
        return int(self.mount.status()["used_bytes"])

    def assert_goes(self, path: Path):
        wait_until(lambda: not path.exists(), f"{path.name} is removed")
        self.assertNotIn(path.name, os.listdir(path.parent))

    def test_a_listing_that_the_kernel_keeps(self):
        self.assertEqual(os.listdir(self.mount.path), os.listdir(self.mount.path))
        os.setxattr(self.path, TTL, b"1")
        wait_until(lambda: self.path.name not in os.listdir(self.mount.path), "it is listed no more")
        self.assertFalse(self.path.exists())

    def test_ttl(self):
        used = self.used()
        os.setxattr(self.path, TTL, b"1")
        self.assertIn(int(os.getxattr(self.path, TTL)), (0, 1))
        self.assertIn("ttl", self.mount.info("a.npy"))
        self.assert_goes(self.path)
        self.assertRaises(FileNotFoundError, np.load, self.path)
        wait_until(lambda: self.used() < used, "its memory is freed")
        wait_until(lambda: "a.npy" in self.log.read_text(), "it is in the log")
        self.assertIn("ttl", self.log.read_text())

    def test_owner_pid(self):
        with Owner() as owner:
            os.setxattr(self.path, OWNER, owner.pid)
            self.assertEqual(os.getxattr(self.path, OWNER), owner.pid)
            self.assertTrue(self.path.exists())
            owner.end()
        self.assert_goes(self.path)
        wait_until(lambda: owner.pid.decode() in self.log.read_text(), "it is in the log")

    def test_a_killed_owner(self):
        with Owner() as owner:
            os.setxattr(self.path, OWNER, owner.pid)
            owner.kill()
            self.assert_goes(self.path)

    def test_mappings_keep_working(self):
        total = str(sum(self.path.read_bytes()))
        with Mapper(self.path, "w") as mapper, self.path.open("rb") as opened:
            os.setxattr(self.path, TTL, b"1")
            self.assert_goes(self.path)
            self.assertEqual(mapper.ask("sum"), total)
            self.assertEqual(mapper.ask("store 128 0"), "done")
            self.assertEqual(len(opened.read()), 800_128)
            wait_until(lambda: self.mount.status()["nameless_files"] == "1", "it is shown as in use")
        wait_until(lambda: self.mount.status()["nameless_files"] == "0", "it is freed")

    def test_a_process_that_looks_all_the_time(self):
        program = "import os, sys\nwhile os.path.exists(sys.argv[1]): pass"
        with subprocess.Popen([sys.executable, "-c", program, str(self.path)]) as watcher:
            os.setxattr(self.path, TTL, b"1")
            self.assertEqual(watcher.wait(60), 0)

    def test_a_longer_ttl_is_honoured(self):
        os.setxattr(self.path, TTL, b"1")
        os.setxattr(self.path, TTL, b"1000")
        witness = self.new("witness.npy")
        os.setxattr(witness, TTL, b"2")
        self.assert_goes(witness)
        self.assertTrue(self.path.exists())
        self.assertGreater(int(os.getxattr(self.path, TTL)), 900)

    def test_a_shorter_ttl_is_honoured(self):
        os.setxattr(self.path, TTL, b"1000")
        os.setxattr(self.path, TTL, b"1")
        self.assert_goes(self.path)

    def test_taken_back(self):
        os.setxattr(self.path, TTL, b"1")
        os.removexattr(self.path, TTL)
        with Owner() as owner:
            os.setxattr(self.path, OWNER, owner.pid)
            os.removexattr(self.path, OWNER)
            owner.end()
        witness = self.new("witness.npy")
        os.setxattr(witness, TTL, b"2")
        self.assert_goes(witness)
        self.assertTrue(self.path.exists())
        self.assertFalse({TTL, OWNER} & set(os.listxattr(self.path)))

    def test_follows_a_rename(self):
        os.setxattr(self.path, TTL, b"1")
        (self.mount.path / "inner").mkdir()
        moved = self.path.rename(self.mount.path / "inner/moved.npy")
        self.assert_goes(moved)

    def test_passes_to_the_next_version(self):
        with Owner() as owner:
            os.setxattr(self.path, OWNER, owner.pid)
            np.save(self.path, np.zeros(3))
            self.assertEqual(os.getxattr(self.path, OWNER), owner.pid)
            owner.end()
        self.assert_goes(self.path)

    def test_a_limited_file_that_is_removed_keeps_no_memory(self):
        used = self.used()
        os.setxattr(self.path, TTL, b"1000")
        self.path.unlink()
        wait_until(lambda: self.used() <= used - 800_000, "its memory is freed")

    def test_another_process_with_the_pid_of_the_owner(self):
        store = Path(self.mount.status()["store_path"])
        with Owner() as owner:
            os.setxattr(self.path, OWNER, owner.pid)
            self.mount.umount()
            backing = store / "arrays/a.npy"
            name = next(name for name in os.listxattr(backing) if name.endswith("array.owner"))
            pid, started = os.getxattr(backing, name).split()
            os.setxattr(backing, name, b"%s %d" % (pid, int(started) - 1))
            self.mount.mount()
            self.assert_goes(self.path)

    def test_a_restart_in_between(self):
        for stop in (self.mount.umount, self.mount.kill):
            with self.subTest(stop.__name__), Owner() as owner:
                by_ttl, by_owner, kept = self.new("ttl.npy"), self.new("owner.npy"), self.new("kept.npy")
                os.setxattr(by_ttl, TTL, b"1")
                os.setxattr(by_owner, OWNER, owner.pid)
                os.setxattr(kept, TTL, b"1000")
                stop()
                self.mount.mount()
                self.assertEqual(os.getxattr(by_owner, OWNER), owner.pid)
                self.assertGreater(int(os.getxattr(kept, TTL)), 900)
                self.assert_goes(by_ttl)
                owner.end()
                self.assert_goes(by_owner)
                self.assertTrue(kept.exists())

    def test_an_owner_that_ends_while_nobody_watches(self):
        with Owner() as owner:
            os.setxattr(self.path, OWNER, owner.pid)
            self.mount.umount()
            owner.end()
        self.mount.mount()
        self.assert_goes(self.path)

    def test_what_is_no_lifetime(self):
        for name, values in ((TTL, (b"-1", b"soon", b"1.5", b"99999999999999999999")),
                             (OWNER, (b"-1", b"me", b"4194305", b"99999999999999999999"))):
            for value in values:
                with self.subTest(name, value=value), self.assertRaises(OSError) as refused:
                    os.setxattr(self.path, name, value)
                self.assertEqual(refused.exception.errno, errno.EINVAL)
        self.assertTrue(self.path.exists())


if __name__ == "__main__":
    unittest.main()
