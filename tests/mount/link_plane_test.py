"""The link plane: arrays are symlinks to the store, the promises end there, everything else is as ever."""

import json
import os
import socket
import stat
import unittest
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from support.mount import BINARY, Mount, arrayfs, run
from support.peer import Peer


class LinkPlane(unittest.TestCase):
    def setUp(self):
        self.mount = self.enterContext(Mount("link"))
        self.path = self.mount.path / "a.npy"
        self.store = Path(self.mount.status()["store_path"]) / "arrays"

    def assert_error(self, name: str, call, *arguments, **options):
        with self.assertRaises(OSError) as refused:
            call(*arguments, **options)
        self.assertEqual(os.strerror(refused.exception.errno), name)

    def test_array_is_a_link_to_the_private_store(self):
        np.save(self.path, np.arange(10.0))
        self.assertEqual(os.readlink(self.path), str(self.store / "a.npy"))
        shown = self.path.lstat()
        self.assertTrue(stat.S_ISLNK(shown.st_mode))
        self.assertEqual(shown.st_size, len(os.readlink(self.path)))
        self.assertEqual(self.path.stat().st_size, 128 + 80)
        self.assertEqual(shown.st_ino, self.path.stat().st_ino)
        self.assertNotEqual(shown.st_dev, self.path.stat().st_dev)
        self.assertEqual(self.store.parent.stat().st_mode & 0o077, 0)
        self.assert_error("Too many levels of symbolic links", os.open, self.path, os.O_RDONLY | os.O_NOFOLLOW)

    def test_sync_pages_lie_beside_the_arrays(self):
        np.save(self.path, np.arange(10.0))
        self.assert_error("Operation not supported", os.stat, self.mount.path / ".arrayfs/sync/a.npy")
        arrayfs("lock", str(self.path), "--", "true")
        self.assertTrue((self.store / ".a.npy.sync").exists())
        self.assertEqual(sorted(os.listdir(self.mount.path)), [".a.npy.sync", "a.npy"])

    def test_other_files_are_files(self):
        with (self.mount.path / "raw.dat").open("wb") as raw:
            np.arange(10).tofile(raw)
        (self.mount.path / "directory").mkdir()
        os.mkfifo(self.mount.path / "fifo")
        (self.mount.path / "own_link").symlink_to("raw.dat")
        with socket.socket(socket.AF_UNIX) as server:
            os.chdir(self.mount.path)
            self.addCleanup(os.chdir, "/")
            server.bind("socket")
            os.chdir("/")
        np.save(self.path, np.arange(10))
        self.assertTrue(stat.S_ISREG((self.mount.path / "raw.dat").lstat().st_mode))
        self.assertEqual(os.readlink(self.mount.path / "own_link"), "raw.dat")
        for _ in range(2):  # the kernel asks for attributes only the first time
            kinds = {entry.name: (entry.is_symlink(), entry.is_file(follow_symlinks=False), entry.is_dir())
                     for entry in os.scandir(self.mount.path)}
            self.assertEqual(kinds, {
                "a.npy": (True, False, False), "raw.dat": (False, True, False), "directory": (False, False, True),
                "fifo": (False, False, False), "own_link": (True, False, False), "socket": (False, False, False)})
        found = run("find", str(self.mount.path), "-type", "l").stdout.split()
        self.assertEqual(sorted(found), [str(self.path), str(self.mount.path / "own_link")])
        self.assertIn(f"a.npy -> {self.store}/a.npy", run("ls", "-l", str(self.mount.path)).stdout)

    def test_an_array_is_a_link_from_its_header_on(self):
        with self.path.open("w+b") as file:
            self.assertFalse(self.path.is_symlink())
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f8", "fortran_order": False, "shape": (1_000_000,)})
            file.flush()
            self.assertTrue(self.path.is_symlink())
            self.assertTrue(stat.S_ISREG(os.fstat(file.fileno()).st_mode))
            with self.path.open("r+b") as other:
                other.truncate(128 + 8_000_000)
                file.seek(0, os.SEEK_END)
                self.assertEqual(file.tell(), 128 + 8_000_000)
        with Peer(self.path) as peer:
            peer.do("a[999_999] = 3")
            self.assertEqual(np.load(self.path, mmap_mode="r")[999_999], 3)

    def test_a_link_becomes_a_file_again(self):
        np.save(self.path, np.arange(10))
        self.path.write_text("no array any more")
        self.assertFalse(self.path.is_symlink())
        self.assertEqual(self.path.read_text(), "no array any more")
        self.path.write_text("another text that is a little longer")
        self.assertEqual(self.path.read_text(), "another text that is a little longer")

    def test_bytes_written_past_the_daemon_are_read(self):
        text = self.mount.path / "text"
        text.write_text("before")
        with text.open() as held:
            self.assertEqual(held.read(), "before")
            (self.store / "text").write_text("behind")
            self.assertEqual(text.read_text(), "behind")

    def test_open_memmap_is_shared_from_the_start(self):
        made = open_memmap(self.path, "w+", "f8", (1000, 1000))
        with Peer(self.path) as peer:
            made[3, 3] = 7
            self.assertEqual(peer.ask("a[3, 3]"), "7.0")
            peer.do("a[4, 4] = 8")
            self.assertEqual(made[4, 4], 8)

    def test_rename_of_file_and_directory(self):
        (self.mount.path / "one").mkdir()
        self.path = self.mount.path / "one/a.npy"
        np.save(self.path, np.arange(5))
        mapped = np.load(self.path, mmap_mode="r+")
        self.path.rename(self.mount.path / "one/b.npy")
        (self.mount.path / "one").rename(self.mount.path / "two")
        moved = self.mount.path / "two/b.npy"
        self.assertEqual(os.readlink(moved), str(self.store / "two/b.npy"))
        mapped[0] = 100
        self.assertEqual(np.load(moved).sum(), 110)
        self.assertFalse(self.path.exists())
        np.save(self.mount.path / "c.npy", np.ones(3))
        (self.mount.path / "c.npy").replace(moved)
        self.assertEqual(np.load(moved).sum(), 3)
        self.assertEqual(mapped.sum(), 110)

    def test_hard_links(self):
        np.save(self.path, np.arange(5))
        other = self.mount.path / "other.npy"
        os.link(self.path, other)
        self.assertEqual(self.path.lstat().st_nlink, 2)
        self.assertTrue(os.path.samefile(self.path, other))
        self.path.unlink()
        self.assertEqual(os.readlink(other), str(self.store / "other.npy"))
        self.assertEqual(np.load(other).sum(), 10)
        raw = self.mount.path / "raw"
        raw.write_text("raw")
        os.link(raw, self.mount.path / "raw2")
        raw.unlink()
        self.assertEqual((self.mount.path / "raw2").read_text(), "raw")

    def test_unlink_leaves_mappings(self):
        np.save(self.path, np.arange(5))
        mapped = np.load(self.path, mmap_mode="r+")
        self.path.unlink()
        mapped[0] = 1
        self.assertEqual(mapped.sum(), 11)
        self.assertFalse(os.path.lexists(self.path))
        self.assertEqual(os.listdir(self.store), [])

    def test_modes_and_times_are_those_of_the_file_behind(self):
        np.save(self.path, np.arange(5))
        self.path.chmod(0o600)
        os.utime(self.path, (1, 2))
        os.utime(self.path, (3, 4), follow_symlinks=False)
        self.assertEqual(self.path.stat().st_mode, 0o100600)
        self.assertEqual((self.path.stat().st_atime, self.path.stat().st_mtime), (3, 4))
        self.assertEqual(self.mount.info("a.npy")["mode"], "0600")

    def test_views(self):
        array = np.arange(6.0).reshape(2, 3)
        np.save(self.path, array)
        self.assertEqual(self.mount.info("a.npy")["shape"], "(2, 3)")
        self.assertEqual(json.loads(self.mount.control("json/a.npy.json"))["shape"], [2, 3])
        np.load(self.path, mmap_mode="r+")[0, 0] = 50
        self.assertTrue(self.mount.control("info/a.npy").endswith(f"\n\n{np.load(self.path)}\n"))
        self.assertEqual(arrayfs("info", str(self.path)), self.mount.control("info/a.npy"))
        os.chdir(self.mount.path)
        self.addCleanup(os.chdir, "/")
        self.assertEqual(arrayfs("info", "a.npy"), self.mount.control("info/a.npy"))
        os.chdir("/")
        self.assertRegex(arrayfs("ls", str(self.mount.path)), r"\na\.npy +float64 +\(2, 3\) ")

    def test_raw_files_take_a_type(self):
        raw = self.mount.path / "raw.dat"
        np.arange(24, dtype="f4").tofile(raw)
        os.setxattr(raw, "user.array.dtype", b"<f4")
        os.setxattr(raw, "user.array.shape", b"2,12")
        self.assertEqual(self.mount.info("raw.dat")["shape"], "(2, 12)")
        self.assertTrue(stat.S_ISREG(raw.lstat().st_mode))

    def test_status_says_link_and_why(self):
        status = self.mount.status()
        self.assertEqual(status["plane"], "link")
        self.assertIn("--io link", status["plane_reason"])
        self.assertIn("not guarded", status["plane_reason"])

    def test_seals_and_lifetimes_are_refused(self):
        np.save(self.path, np.arange(5))
        for command in (("seal", str(self.path)), ("unseal", str(self.path)),
                        ("create", str(self.mount.path / "b.npy"), "u1", "5", "--ttl", "60")):
            refused = run(BINARY, *command)
            self.assertEqual((refused.returncode, refused.stdout), (1, ""))
            self.assertRegex(refused.stderr, r"\Aarrayfs: [^\n]*behind a link[^\n]*\n\Z")
        self.assertEqual(os.listdir(self.mount.path), ["a.npy"])

    def test_no_attributes_are_computed_behind_a_link(self):
        np.save(self.path, np.arange(5))
        self.assertEqual([name for name in os.listxattr(self.path) if name.startswith("user.array.")], [])
        self.assert_error("No data available", os.getxattr, self.path, "user.array.shape")

    def test_copies_of_links_are_refused_inside(self):
        np.save(self.path, np.arange(5))
        copy = self.mount.path / "copy.npy"
        copied = run("cp", "-a", str(self.path), str(copy))
        self.assertEqual(copied.returncode, 1)
        self.assertIn("Operation not permitted", copied.stderr)
        self.assertFalse(os.path.lexists(copy))
        self.assertEqual(run("cp", "-aL", str(self.path), str(copy)).returncode, 0)
        np.load(copy, mmap_mode="r+")[0] = 100
        self.assertEqual(np.load(self.path).sum(), 10)

    def test_unpacked_links_are_refused(self):
        np.save(self.path, np.arange(5))
        archive = self.mount.path / "archive.tar"
        there = ("-C", str(self.mount.path))
        self.assertEqual(run("tar", *there, "-cf", str(archive), "a.npy").returncode, 0)
        self.assertEqual(run("tar", *there, "-xf", str(archive)).returncode, 2)
        np.save(self.path, np.arange(5))
        self.assertEqual(run("tar", *there, "-hcf", str(archive), "a.npy").returncode, 0)
        self.path.unlink()
        self.assertEqual(run("tar", *there, "-xf", str(archive)).returncode, 0)
        self.assertEqual(np.load(self.path).sum(), 10)

    def test_umount_keeps_and_links_come_back(self):
        np.save(self.path, np.arange(5))
        (self.mount.path / "raw").write_text("raw")
        mapped = np.load(self.path, mmap_mode="r+")  # behind the link, it does not hold the mount
        self.mount.umount()
        self.assertEqual(os.listdir(self.mount.path), [])
        mapped[0] = 10
        self.mount.mount()
        self.assertTrue(self.path.is_symlink())
        self.assertEqual(np.load(self.path).sum(), 20)
        self.assertEqual((self.mount.path / "raw").read_text(), "raw")
        self.mount.umount("--discard")
        self.assertFalse(self.store.exists())
        mapped[1] = 11
        self.assertEqual(mapped.sum(), 30)
        self.mount.mount()
        self.assertEqual(os.listdir(self.mount.path), [])

    def test_other_planes_show_the_same_store(self):
        np.save(self.path, np.arange(5))
        self.mount.umount()
        self.mount.plane = "cached"
        self.mount.mount()
        self.assertFalse(self.path.is_symlink())
        self.assertEqual(np.load(self.path).sum(), 10)
        self.assertEqual(os.getxattr(self.path, "user.array.shape"), b"5")


if __name__ == "__main__":
    unittest.main()
