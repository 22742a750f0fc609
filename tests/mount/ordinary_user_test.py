"""An ordinary user, without any privilege, mounts and works; nobody else gets in."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from support.mount import BINARY, fields, mounts, open_device_to_users, run

NOBODY = 65534
TESTS = Path(__file__).parents[1]


def setUpModule():
    open_device_to_users()


class OrdinaryUser(unittest.TestCase):
    def setUp(self):
        # Copies: the checkout may lie where only its owner gets to.
        self.home = Path(self.enterContext(tempfile.TemporaryDirectory(prefix=Path(tempfile.gettempdir()).name)))
        shutil.copy(BINARY, self.home / "arrayfs")
        shutil.copytree(TESTS, self.home / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        self.arrays = self.home / "arrays"
        self.arrays.mkdir()
        if os.geteuid() == 0:
            for path in (self.home, self.arrays):
                os.chown(path, NOBODY, NOBODY)
        self.name = f"{Path(tempfile.gettempdir()).name}-user-{os.getpid()}"

    def run_as_user(self, *command: str, plane: str = "cached", **options) -> subprocess.CompletedProcess:
        become = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups") if os.geteuid() == 0 else ()
        environment = {"HOME": str(self.home), "TMPDIR": str(self.home), "PATH": os.environ["PATH"],
                       "ARRAYFS_BIN": str(self.home / "arrayfs"), "ARRAYFS_TEST_PLANE": plane}
        return run(*become, *command, env=environment, cwd=self.home, **options)

    def arrayfs(self, *arguments: str) -> str:
        done = self.run_as_user(str(self.home / "arrayfs"), *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_mount_use_and_umount(self):
        self.arrayfs("mount", str(self.arrays), "--name", self.name, "--size", "64M")
        try:
            status = fields(self.arrayfs("status", str(self.arrays)))
            self.assertEqual(status["plane"], "cached")
            self.assertTrue(status["plane_reason"])
            self.arrayfs("create", str(self.arrays / "a.npy"), "float32", "100,100", "--fill", "2")
            self.assertIn("(100, 100)", self.arrayfs("ls", str(self.arrays)))
            self.assertIn("(100, 100)", self.arrayfs("info", str(self.arrays / "a.npy")))
            if os.geteuid() == 0:
                # Root is another user, too.
                self.assertRaises(PermissionError, os.listdir, self.arrays)
            store = Path(status["store_path"])
            self.assertEqual(store.stat().st_mode & 0o077, 0)
            self.arrayfs("umount", str(self.arrays))
            self.arrayfs("mount", str(self.arrays), "--name", self.name)
            self.assertIn("(100, 100)", self.arrayfs("ls", str(self.arrays)))
        finally:
            self.arrayfs("umount", str(self.arrays), "--discard")
        self.assertNotIn(str(self.arrays), mounts())
        self.assertFalse(store.exists())

    def test_passthrough_needs_root(self):
        refused = self.run_as_user(str(self.home / "arrayfs"), "mount", str(self.arrays), "--io", "passthrough")
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertRegex(refused.stderr, r"\Aarrayfs: [^\n]{10,}\n\Z")
        self.assertNotIn(str(self.arrays), mounts())

    def run_suites(self, plane: str, *modules: str) -> None:
        suites = f"cd tests && exec {sys.executable} -B -m unittest {' '.join(modules)}"
        done = self.run_as_user("sh", "-c", suites, plane=plane, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_numpy_flows_cached(self):
        self.run_suites("cached", "mount.numpy_flows_test", "languages.python.populate_test")

    def test_numpy_flows_link(self):
        self.run_suites("link", "mount.numpy_flows_test", "mount.link_plane_test", "languages.python.populate_test")


if __name__ == "__main__":
    unittest.main()
