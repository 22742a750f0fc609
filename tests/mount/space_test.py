"""Space is promised: what does not fit is refused with an error, and nothing dies or is lost of it."""

import errno
import os
import sys
import unittest
from pathlib import Path

import numpy as np

from support.mapper import Mapper
from support.mount import BINARY, PLANE, Mount, PlainDirectory, run, wait_until
from support.peer import Peer

CAPACITY = 64 << 20
LARGE = 100 << 20

# Each is given the path `p` and the size `n`, and stores into every page if it gets that far.
PYTHON_WAYS = {
    "memmap_w": "np.memmap(p, 'u1', 'w+', shape=(n,))[:] = 1",
    "memmap_grows": "np.ones(9, 'u1').tofile(p); np.memmap(p, 'u1', 'r+', shape=(n,))[:] = 1",
    "open_memmap": "np.lib.format.open_memmap(p, 'w+', 'u1', (n,))[:] = 1",
    "open_memmap_fortran": "np.lib.format.open_memmap(p, 'w+', 'u1', (n // 8, 8), True)[:] = 1",
    "save": "np.save(open(p, 'wb'), np.ones(n, 'u1'))",
    "savez": "np.savez(open(p, 'wb'), np.ones(n, 'u1'))",
    "tofile": "np.ones(n, 'u1').tofile(p)",
    "file_truncate": "f = open(p, 'wb+'); f.truncate(n); mmap.mmap(f.fileno(), n)[:] = bytes(n)",
    "os_truncate": "f = open(p, 'wb+'); os.truncate(p, n); mmap.mmap(f.fileno(), n)[:] = bytes(n)",
    "posix_fallocate":
        "f = open(p, 'wb+'); os.posix_fallocate(f.fileno(), 0, n); mmap.mmap(f.fileno(), n)[:] = bytes(n)",
    "seek_and_close": "f = open(p, 'wb+'); f.seek(n - 1); f.write(b'1'); f.close()",
    "raw_write":
        "f = open(p, 'wb'); f.write(b'{\"a\": [0, 1]}'.ljust(64)); [f.write(bytes(1 << 20)) for _ in range(n >> 20)]",
    "sendfile": "s = open(sys.argv[3], 'rb'); f = open(p, 'wb');"
                "[os.sendfile(f.fileno(), s.fileno(), i << 20, 1 << 20) for i in range(n >> 20)]",
}
PROGRAM = """
import mmap, os, sys
import numpy as np
p, n = sys.argv[1], int(sys.argv[2])
try:
    {way}
except (OSError, ValueError) as error:
    print("refused:", error)
"""
SHELL_WAYS = {
    "dd": "dd if={source} of={path} bs=1M",
    "dd_sparse": "dd if=/dev/zero of={path} bs=1 count=1 seek={size}",
    "cp": "cp {source} {path}",
    "cp_sparse": "cp --sparse=always {source} {path}",
    "cp_sparse_source": "cp --sparse=always {holes} {path}",
    "cat": "cat {source} > {path}",
    "truncate": "truncate -s {size} {path}",
    "fallocate": "fallocate -l {size} {path}",
    "arrayfs_create": "{binary} create {path} uint8 {size}",
    "arrayfs_create_from": "{binary} create {path} --from {source}",
}


class Space(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mount = cls.enterClassContext(Mount(size="64M"))
        plain = cls.enterClassContext(PlainDirectory()).path
        cls.source, cls.holes = plain / "source.npy", plain / "holes"
        np.save(cls.source, np.ones(LARGE, "u1"))
        cls.holes.touch()
        os.truncate(cls.holes, LARGE)
        cls.kept = cls.mount.path / "kept.npy"
        np.save(cls.kept, np.arange(1_000_000))

    def setUp(self):
        self.path = self.mount.path / "large"
        wait_until(lambda: self.used() < 10 << 20, "the memory of the test before is free")
        self.before = self.used()

    def tearDown(self):
        for path in self.mount.path.glob("large*"):
            path.unlink()
        self.assertTrue((np.load(self.kept) == np.arange(1_000_000)).all())
        wait_until(lambda: self.used() <= self.before, "everything is freed")

    def used(self) -> int:
        return int(self.mount.status()["used_bytes"])

    def free(self) -> int:
        usage = os.statvfs(self.mount.path)
        return usage.f_bavail * usage.f_frsize

    def run_way(self, way: str, size: int, path: Path):
        return run(sys.executable, "-c", PROGRAM.format(way=PYTHON_WAYS[way]), str(path), str(size), str(self.source))

    def run_command(self, command: str, size: int):
        words = {"source": self.source, "holes": self.holes, "path": self.path, "size": size, "binary": BINARY}
        return run("sh", "-c", command.format(**words))

    def test_what_does_not_fit_is_refused_in_python(self):
        with Peer(self.kept) as peer:
            for way in PYTHON_WAYS:
                with self.subTest(way):
                    done = self.run_way(way, LARGE, self.path)
                    self.assertEqual(done.returncode, 0, f"{done.returncode} {done.stderr}")
                    self.assertIn("refused:", done.stdout)
                    self.path.unlink(missing_ok=True)
                    wait_until(lambda: self.used() <= self.before, "what was tried is freed")
                    peer.do("a[:] = np.arange(1_000_000)")

    def test_what_does_not_fit_is_refused_by_tools(self):
        for name, command in SHELL_WAYS.items():
            with self.subTest(name):
                done = self.run_command(command, LARGE)
                self.assertEqual(done.returncode, 1, f"{done.returncode} {done.stderr}")
                self.assertRegex(done.stderr, "No space left|larger|space")
                self.path.unlink(missing_ok=True)
                wait_until(lambda: self.used() <= self.before, "what was tried is freed")

    def test_what_fits_is_allocated_at_once(self):
        size = 8 << 20
        for way in PYTHON_WAYS:
            with self.subTest(way):
                done = self.run_way(way, size, self.path)
                self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
                now = self.path.stat()
                self.assertGreaterEqual(now.st_blocks * 512, now.st_size)
                self.assertGreaterEqual(self.used() - self.before, size)
                self.path.unlink()
                wait_until(lambda: self.used() <= self.before, "it is freed")

    def test_tools_allocate_at_once(self):
        for command in ("truncate -s {size} {path}", "cp --sparse=auto {holes} {path}", "fallocate -l {size} {path}"):
            os.truncate(self.holes, 8 << 20)
            with self.subTest(command):
                done = self.run_command(command, 8 << 20)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertGreaterEqual(self.path.stat().st_blocks * 512, 8 << 20)
                self.path.unlink()
        os.truncate(self.holes, LARGE)

    def test_a_refused_growth_leaves_the_file_as_it_was(self):
        np.arange(1000).tofile(self.path)
        with self.path.open("rb+") as file:
            for grow in (lambda: os.truncate(self.path, LARGE), lambda: file.truncate(LARGE)):
                with self.assertRaises(OSError) as refused:
                    grow()
                self.assertEqual(refused.exception.errno, errno.ENOSPC)
                self.assertEqual(np.fromfile(self.path, int).tolist(), list(range(1000)))

    def test_a_mapping_that_follows_a_sparse_write(self):
        """CPython's mmap asks for the size: it is told the one that the file can have."""
        way = ("f = open(p, 'wb+'); f.seek(n - 1); f.write(b'1'); f.flush();"
               "m = mmap.mmap(f.fileno(), n); m[:] = bytes(n)")
        done = run(sys.executable, "-c", PROGRAM.format(way=way), str(self.path), str(LARGE))
        self.assertEqual(done.returncode, 0)
        self.assertIn("refused: mmap length is greater than file size", done.stdout)
        self.assertEqual(self.path.stat().st_size, 0)

    def test_what_was_written_stays_when_a_sparse_write_is_taken_back(self):
        with self.assertRaises(OSError) as refused, self.path.open("wb") as file:
            file.write(b"written" * 1000)
            file.seek(LARGE)
            file.write(b"1")
            file.flush()
            self.assertLess(self.path.stat().st_size, LARGE)
        self.assertEqual(refused.exception.errno, errno.ENOSPC)
        self.assertEqual(self.path.read_bytes()[:7000], b"written" * 1000)

    def test_df_tells_the_truth(self):
        free = self.free()
        np.lib.format.open_memmap(self.path, "w+", "u1", (20 << 20,))
        self.assertLessEqual(self.free(), free - (20 << 20))
        self.assertGreater(self.free(), free - (24 << 20))
        self.assertEqual(os.statvfs(self.mount.path).f_blocks * os.statvfs(self.mount.path).f_frsize, CAPACITY)
        status = self.mount.status()
        self.assertEqual(int(status["capacity_bytes"]), CAPACITY)
        self.assertEqual(int(status["used_bytes"]) + int(status["free_bytes"]), CAPACITY)
        self.assertEqual(int(status["free_bytes"]), self.free())
        self.assertEqual(status["reservation"], "on")

    def test_space_is_freed_when_the_last_mapping_goes(self):
        np.save(self.path.with_suffix(".npy"), np.ones(40 << 20, "u1"))
        with Mapper(self.path.with_suffix(".npy")) as mapper:
            self.path.with_suffix(".npy").unlink()
            self.assertGreaterEqual(self.used(), 40 << 20)
            self.assertIn("refused:", self.run_way("open_memmap", 40 << 20, self.path).stdout)
            self.path.unlink(missing_ok=True)
            self.assertGreater(int(mapper.ask("sum")), 40 << 20)
        wait_until(lambda: self.used() <= self.before, "the last mapping's memory is freed")
        self.assertEqual(self.run_way("open_memmap", 40 << 20, self.path).stdout, "")

    def test_full_to_the_last_page(self):
        files = 0
        for size in (4 << 20, 1 << 16, 4096):
            for _ in range(CAPACITY // size):
                try:
                    np.memmap(self.mount.path / f"large-{files}", "u1", "w+", shape=(size,))
                    files += 1
                except OSError as error:
                    self.assertEqual(error.errno, errno.ENOSPC)
                    (self.mount.path / f"large-{files}").unlink(missing_ok=True)
                    break
        self.assertEqual(self.free(), 0)
        program = ("import sys, numpy as np\nfor p in sys.argv[1:]:\n"
                   "    a = np.memmap(p, 'u1', 'r+'); a[:] = 7; assert (a == 7).all()")
        done = run(sys.executable, "-c", program, *map(str, self.mount.path.glob("large-*")))
        self.assertEqual(done.returncode, 0, done.stderr)
        with Peer(self.kept) as peer:
            peer.do("a += 1; a -= 1")
        self.assertEqual(self.mount.info("kept.npy")["shape"], "(1000000,)")


class Sparse(unittest.TestCase):
    def test_holes_remain(self):
        with Mount(PLANE, "--sparse", size="64M") as mount:
            path = mount.path / "holes"
            array = np.memmap(path, "u1", "w+", shape=(LARGE,))
            array[0] = array[-1] = 1
            del array
            self.assertLess(path.stat().st_blocks * 512, CAPACITY)
            self.assertEqual(path.stat().st_size, LARGE)
            os.truncate(path, 2 * LARGE)
            self.assertEqual(path.stat().st_size, 2 * LARGE)
            self.assertIn("off", mount.status()["reservation"])

    def test_punched_holes_remain(self):
        with Mount(PLANE, size="64M") as mount:
            path = mount.path / "punched"
            path.write_bytes(b"x" * (8 << 20))
            self.assertEqual(run("fallocate", "--punch-hole", "-o", "0", "-l", str(4 << 20), str(path)).returncode, 0)
            with path.open("rb+") as file:
                self.assertLess(os.fstat(file.fileno()).st_blocks * 512, 6 << 20)
            self.assertLess(path.stat().st_blocks * 512, 6 << 20)


if __name__ == "__main__":
    unittest.main()
