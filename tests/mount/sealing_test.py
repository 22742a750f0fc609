"""Sealed means immutable: refused while somebody can write, and then nobody writes, root included."""

import errno
import os
import signal
import unittest
from pathlib import Path

import numpy as np

from support.mapper import Mapper
from support.mount import BINARY, PLANE, Mount, run, wait_until
from support.peer import Peer

SEALED = "user.array.sealed"
USER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


def seal(path: Path) -> None:
    os.setxattr(path, SEALED, b"1")


class Sealing(unittest.TestCase):
    def setUp(self):
        self.mount = self.enterContext(Mount(PLANE, size="64M"))
        self.path = self.mount.path / "a.npy"
        np.save(self.path, np.arange(1000))
        self.content = self.path.read_bytes()

    def assert_refused(self, code: int, change, *arguments):
        with self.assertRaises(OSError) as refused:
            change(*arguments)
        self.assertEqual(refused.exception.errno, code)

    def assert_immutable(self):
        for change in (
            lambda: self.path.open("rb+"), lambda: self.path.open("wb"), lambda: self.path.open("ab"),
            lambda: os.truncate(self.path, 10), lambda: os.truncate(self.path, 1 << 20),
            lambda: os.truncate(self.path, len(self.content)),
            lambda: os.open(self.path, os.O_RDONLY | os.O_TRUNC), lambda: os.open(self.path, os.O_WRONLY),
            lambda: np.save(self.path, np.zeros(3)), lambda: np.load(self.path, mmap_mode="r+"),
            lambda: np.memmap(self.path, "u1", "w+", shape=(10,)),
        ):
            self.assert_refused(errno.EPERM, change)
        self.assertEqual(self.path.read_bytes(), self.content)

    def test_sealed_is_immutable(self):
        seal(self.path)
        self.assert_immutable()
        self.assertEqual(os.getxattr(self.path, SEALED), b"1")
        self.assertEqual(self.mount.info("a.npy")["sealed"], "yes")

    def test_sealed_is_immutable_for_its_owner(self):
        os.chown(self.path, 65534, 65534)
        seal(self.path)
        for command in (f"echo >> {self.path}", f"echo > {self.path}", f"truncate -s 1 {self.path}",
                        f"dd if=/dev/zero of={self.path} conv=notrunc count=1"):
            done = run(*USER, "sh", "-c", command)
            self.assertNotEqual(done.returncode, 0, command)
            self.assertIn("not permitted", done.stderr)
        self.assertEqual(self.path.read_bytes(), self.content)

    def test_others_cannot_seal_or_unseal(self):
        self.assertNotEqual(run(*USER, "setfattr", "-n", SEALED, "-v", "1", str(self.path)).returncode, 0)
        seal(self.path)
        self.assertNotEqual(run(*USER, "setfattr", "-n", SEALED, "-v", "0", str(self.path)).returncode, 0)
        self.assertNotEqual(run(*USER, "setfattr", "-x", SEALED, str(self.path)).returncode, 0)
        self.assert_immutable()

    def test_sealed_can_be_read(self):
        with Peer(self.path, "r") as before, Mapper(self.path) as mapper:
            seal(self.path)
            self.assertEqual(before.ask("a[999]"), "999")
            self.assertEqual(mapper.ask("sum"), str(sum(self.content)))
        for mode in (None, "r", "c"):
            self.assertEqual(np.load(self.path, mmap_mode=mode).sum(), 499_500)
        private = np.load(self.path, mmap_mode="c")
        private[0] = 5
        self.assertEqual((private[0], np.load(self.path)[0]), (5, 0))

    def test_a_reader_cannot_make_its_mapping_writable(self):
        seal(self.path)
        with Mapper(self.path) as mapper:
            self.assertEqual(mapper.ask("store 200 1"), -signal.SIGSEGV)
        self.assertEqual(self.path.read_bytes(), self.content)

    def test_refused_while_open_for_writing(self):
        for mode in ("rb+", "ab"):
            with self.path.open(mode):
                self.assert_refused(errno.EBUSY, seal, self.path)
                refused = run(BINARY, "seal", str(self.path))
                self.assertEqual(refused.returncode, 1)
                self.assertIn(str(os.getpid()), refused.stderr)
        seal(self.path)

    def test_refused_while_mapped_for_writing(self):
        with Mapper(self.path, "w") as mapper:
            self.assert_refused(errno.EBUSY, seal, self.path)
            self.assertEqual(mapper.ask("store 200 1"), "done")
            self.assertNotIn(SEALED, os.listxattr(self.path))
        wait_until(lambda: self.seals(), "the last writer is gone")
        with Mapper(self.path, "r"):
            self.assertEqual(os.getxattr(self.path, SEALED), b"1")

    def seals(self) -> bool:
        try:
            seal(self.path)
        except OSError as error:
            self.assertEqual(error.errno, errno.EBUSY)
            return False
        return True

    def test_a_writer_of_the_old_version_does_not_count(self):
        with Mapper(self.path, "w") as writer:
            np.save(self.path, np.arange(1000))
            seal(self.path)
            self.assertEqual(writer.ask("store 200 77"), "done")
            self.assertEqual(self.path.read_bytes(), self.content)

    def test_unsealing(self):
        for unseal in (lambda: os.removexattr(self.path, SEALED), lambda: os.setxattr(self.path, SEALED, b"0"),
                       lambda: self.assertEqual(run(BINARY, "unseal", str(self.path)).returncode, 0)):
            self.assertEqual(run(BINARY, "seal", str(self.path)).returncode, 0)
            self.assert_immutable()
            unseal()
            self.assertEqual(self.mount.info("a.npy")["sealed"], "no")
            np.load(self.path, mmap_mode="r+")[0] = 0
        np.save(self.path, np.zeros(3))

    def test_only_one_and_nought_are_values(self):
        for value in (b"", b"2", b"yes", b"1\n"):
            self.assert_refused(errno.EINVAL, os.setxattr, self.path, SEALED, value)
        np.load(self.path, mmap_mode="r+")

    def test_every_name_is_sealed(self):
        link = self.mount.path / "link.npy"
        os.link(self.path, link)
        seal(link)
        self.assert_immutable()

    def test_names_of_sealed_files_change_as_on_tmpfs(self):
        seal(self.path)
        moved = self.mount.path / "moved.npy"
        self.path.rename(moved)
        self.assert_refused(errno.EPERM, moved.open, "rb+")
        moved.unlink()

    def test_seals_outlive_the_daemon(self):
        seal(self.path)
        self.mount.umount()
        self.mount.mount()
        self.assert_immutable()
        self.mount.kill()
        self.mount.mount()
        self.assert_immutable()

    def test_a_copy_is_not_sealed(self):
        seal(self.path)
        copy = self.mount.path / "copy.npy"
        self.assertEqual(run("cp", str(self.path), str(copy)).returncode, 0)
        copy.open("rb+").close()


if __name__ == "__main__":
    unittest.main()
