"""The store is all that a daemon needs: umount keeps, mount adopts, --discard frees, kill -9 loses nothing."""

import os
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path

import numpy as np

from support.mount import PLANE, Mount, mounts, run, wait_until

XATTRS = ("user.note", "user.array.dtype", "user.array.shape", "user.array.sealed", "user.array.owner_pid",
          "user.array.version")


def acl(path: Path) -> str:
    return run("getfacl", "-c", "-p", str(path)).stdout


def picture(path: Path) -> dict:
    """Everything about a file that is to stay."""
    now = path.lstat()
    plain = now.st_mode, now.st_uid, now.st_gid, now.st_size, now.st_nlink, now.st_mtime_ns, now.st_ino, now.st_rdev
    if path.is_symlink():
        return {"attributes": plain, "target": os.readlink(path)}
    held = {name: os.getxattr(path, name) for name in os.listxattr(path) if name in XATTRS}
    content = path.read_bytes() if path.is_file() else b""
    return {"attributes": plain, "xattrs": held, "acl": acl(path), "content": content}


class Restart(unittest.TestCase):
    def setUp(self):
        self.mount = self.enterContext(Mount(PLANE, size="64M"))
        self.fill(self.mount.path)

    def fill(self, root: Path):
        inner = root / "inner"
        inner.mkdir(mode=0o2751)
        os.chown(inner, 1000, 2000)
        np.save(root / "a.npy", np.arange(10_000))
        for _ in range(2):
            np.save(root / "a.npy", np.arange(5_000))
        np.save(inner / "b.npy", np.asfortranarray(np.ones((30, 40), ">f4")))
        os.chown(inner / "b.npy", 65534, 1234)
        (inner / "b.npy").chmod(0o4640)
        os.setxattr(inner / "b.npy", "user.note", b"a \0 note")
        os.utime(inner / "b.npy", ns=(1, 1_234_567_890_123_456_789))
        os.link(inner / "b.npy", root / "second name.npy")
        os.symlink("inner/b.npy", root / "link")
        os.mkfifo(root / "fifo", 0o600)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(root / "socket"))
        raw = root / "raw.dat"
        raw.write_bytes(bytes(48))
        os.setxattr(raw, "user.array.dtype", b"<f8")
        os.setxattr(raw, "user.array.shape", b"2,3")
        np.save(root / "sealed.npy", np.eye(3))
        os.setxattr(root / "sealed.npy", "user.array.sealed", b"1")
        np.save(root / "limited.npy", np.eye(3))
        os.setxattr(root / "limited.npy", "user.array.ttl", b"1000")
        os.setxattr(root / "limited.npy", "user.array.owner_pid", str(os.getpid()).encode())
        self.assertEqual(run("setfacl", "-m", "u:65533:r,g:77:rw", str(root / "a.npy")).returncode, 0)
        self.assertEqual(run("setfacl", "-d", "-m", "u:65533:rwx", str(inner)).returncode, 0)

    def pictures(self) -> dict[str, dict]:
        root = self.mount.path
        return {str(path.relative_to(root)): picture(path) for path in (root, *sorted(root.rglob("*")))}

    def assert_the_same_after(self, stop):
        before = self.pictures()
        self.assertEqual(before["a.npy"]["xattrs"]["user.array.version"], b"3")
        stop()
        self.mount.mount()
        for name, now in self.pictures().items():
            self.assertEqual(now, before.pop(name), name)
        self.assertEqual(before, {})
        self.assertGreater(int(os.getxattr(self.mount.path / "limited.npy", "user.array.ttl")), 900)
        self.assertEqual(self.mount.info("raw.dat")["shape"], "(2, 3)")
        self.assertRaises(PermissionError, (self.mount.path / "sealed.npy").open, "rb+")
        np.save(self.mount.path / "a.npy", np.zeros(3))
        self.assertEqual(os.getxattr(self.mount.path / "a.npy", "user.array.version"), b"4")

    def test_umount_and_mount(self):
        self.assert_the_same_after(self.mount.umount)

    def test_kill_and_mount(self):
        self.assert_the_same_after(self.mount.kill)

    def test_kill_umount_and_mount(self):
        def stop():
            self.mount.kill()
            self.mount.umount()
        self.assert_the_same_after(stop)

    def test_kill_again_and_again(self):
        def stop():
            for _ in range(3):
                self.mount.kill()
                self.mount.mount()
            self.mount.kill()
        self.assert_the_same_after(stop)

    def test_a_signal_while_many_overwrite(self):
        program = ("import sys, numpy as np\nwhile True:\n    try: np.save(sys.argv[1], np.ones(10))\n"
                   "    except OSError: pass")
        shared = self.mount.path / "shared.npy"
        np.save(shared, np.ones(10))
        writers = [subprocess.Popen([sys.executable, "-c", program, str(shared)], stderr=subprocess.DEVNULL, cwd="/")
                   for _ in range(4)]
        try:
            inode = shared.stat().st_ino
            wait_until(lambda: shared.stat().st_ino > inode + 100, "they overwrite")
            self.mount.stop(signal.SIGTERM)
            self.assertNotIn(str(self.mount.path), mounts())
        finally:
            for writer in writers:
                writer.kill()
                writer.wait(60)
        shared.unlink(missing_ok=True)  # who still wrote wrote to the directory below
        self.mount.mount()

    def test_nothing_is_in_use_after_a_restart(self):
        self.mount.kill()
        self.mount.mount()
        status = self.mount.status()
        self.assertEqual((status["open_files"], status["nameless_files"]), ("0", "0"))

    def test_old_versions_do_not_outlive_the_daemon(self):
        path = self.mount.path / "large.npy"
        np.save(path, np.ones(10 << 20, "u1"))
        with path.open("rb"):
            np.save(path, np.ones(3, "u1"))
            self.assertGreater(int(self.mount.status()["used_bytes"]), 10 << 20)
            self.mount.kill()
        self.mount.mount()
        wait_until(lambda: int(self.mount.status()["used_bytes"]) < 10 << 20, "the old version is freed")

    def test_discard_frees(self):
        store = Path(self.mount.status()["store_path"])
        self.mount.umount("--discard")
        self.assertFalse(store.exists())
        self.assertNotIn(str(store), mounts())
        self.mount.mount()
        self.assertEqual(os.listdir(self.mount.path), [])

    def test_discard_after_umount_and_after_a_kill(self):
        store = Path(self.mount.status()["store_path"])
        for stop in (self.mount.kill, self.mount.kill):
            stop()
            self.mount.umount("--discard")
            self.assertFalse(store.exists())
            self.mount.mount()
            self.assertEqual(os.listdir(self.mount.path), [])
            self.fill(self.mount.path)

    def test_a_larger_size_is_taken_over(self):
        self.mount.umount()
        self.mount.options = ("--size", "96M")
        self.mount.mount()
        self.assertEqual(int(self.mount.status()["capacity_bytes"]), 96 << 20)
        self.assertTrue((self.mount.path / "a.npy").exists())


if __name__ == "__main__":
    unittest.main()
