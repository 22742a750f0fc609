"""What the daemon does on a kernel that lacks features which it uses where they are: the mount still works."""

import errno
import os
import signal
import threading
import unittest
from unittest import mock

import numpy as np

from support.mount import BINARY, Mount, ended, mounts, run, wait_until

PASSTHROUGH = 1 << 37  # FUSE_INIT flags that came with Linux 6.9
RESEND = 1 << 39


class BeforeLinux69(unittest.TestCase):
    def setUp(self):
        self.enterContext(mock.patch.dict(os.environ, ARRAYFS_KERNEL_LACKS=hex(PASSTHROUGH | RESEND)))
        self.mount = self.enterContext(Mount("auto", size="64M"))
        self.path = self.mount.path / "a.npy"
        np.save(self.path, np.arange(1000.0))

    def test_the_plane_that_works(self):
        status = self.mount.status()
        self.assertEqual((status["plane"], status["resend"]), ("cached", "no (Linux 6.9 or later has it)"))
        self.assertIn("does not offer FUSE passthrough", status["plane_reason"])

    def test_the_server_dies(self):
        """Who waits for an answer gets an error instead; the mount goes, and the next one has every array."""
        status = self.mount.status()
        array = np.load(self.path, mmap_mode="r+")
        array[7] = -1
        array.flush()
        open_file = self.enterContext(self.path.open("rb"))
        waiting = self.enterContext((self.mount.path / ".arrayfs/wait/a.npy").open("rb", buffering=0))
        errors = []

        def wait_for_ever():
            try:
                waiting.read()
            except OSError as error:
                errors.append(error.errno)

        waiter = threading.Thread(target=wait_for_ever, daemon=True)
        waiter.start()
        os.kill(int(status["server_pid"]), signal.SIGKILL)
        waiter.join(60)
        self.assertFalse(waiter.is_alive())
        self.assertIn(errors, ([errno.ENOTCONN], [errno.ECONNABORTED]))
        wait_until(lambda: ended(status["supervisor_pid"]), "the supervisor has ended")
        self.assertNotIn(str(self.mount.path), mounts())
        with self.assertRaises(OSError) as refused:
            os.getxattr(open_file.fileno(), "user.array.dtype")
        self.assertIn(refused.exception.errno, (errno.ENOTCONN, errno.ECONNABORTED))

        self.mount.mount()
        loaded = np.load(self.path)
        self.assertEqual((loaded[7], loaded[8], loaded.size), (-1, 8, 1000))

    def test_upgrade_is_refused(self):
        before = self.mount.status()
        done = run(BINARY, "upgrade", str(self.mount.path))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(f"{self.mount.path}: this kernel would lose", done.stderr)
        os.kill(int(before["supervisor_pid"]), signal.SIGUSR2)
        np.save(self.mount.path / "b.npy", np.eye(2))
        self.assertEqual(self.mount.status()["server_pid"], before["server_pid"])


if __name__ == "__main__":
    unittest.main()
