"""packaging/container/entrypoint.sh between mount name spaces laid out as an engine lays them out for `-v
DIR:/arrays:rshared` and `:rslave`; there is no container engine in it."""

import ctypes
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from support.mount import BINARY, PLANE, fields, mounts, run, wait_until

ENTRYPOINT = Path(__file__).parents[2] / "packaging/container/entrypoint.sh"
CLONE_NEWNS = 0x20000


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("only root lays out name spaces")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(("mount", "--make-rprivate", "/"), check=True, timeout=60)


class Container(unittest.TestCase):
    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.shared = self.directory / "shared"  # /srv/shared of the host, /shared of the containers
        self.shared.mkdir()
        self.arrays = self.shared / "arrays"
        (self.directory / "arrayfs").symlink_to(BINARY)
        subprocess.run(("mount", "--bind", str(self.shared), str(self.shared)), check=True, timeout=60)
        self.addCleanup(run, "umount", "-R", str(self.shared))
        self.name = f"{Path(tempfile.gettempdir()).name}-container-{os.getpid()}"

    def container(self, propagation: str, *command: str) -> subprocess.Popen:
        environment = {**os.environ, "PATH": f"{self.directory}:{os.environ['PATH']}", "ARRAYFS_DIR": str(self.arrays)}
        return subprocess.Popen(("unshare", "-m", "--propagation", propagation, *command), env=environment,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_arrays_of_one_container_in_another(self):
        subprocess.run(("mount", "--make-shared", str(self.shared)), check=True, timeout=60)
        # Started before there is a mount.
        program = 'echo there; while read -r name; do cat "$ARRAYFS_DIR/$name"; done'
        worker = self.container("slave", "sh", "-c", program)
        self.addCleanup(worker.communicate, timeout=60)
        self.assertEqual(worker.stdout.readline(), "there\n")
        # The store goes with the name space; its empty directory stays.
        self.addCleanup(os.rmdir, f"/run/arrayfs/{self.name}")
        server = self.container("unchanged", str(ENTRYPOINT), "--name", self.name, "--size", "64M", "--io", PLANE)
        self.addCleanup(server.communicate, timeout=60)
        self.addCleanup(server.terminate)
        wait_until(lambda: str(self.arrays) in mounts() or server.poll() is not None, "the mount comes out")
        self.assertEqual(fields((self.arrays / ".arrayfs/status").read_text())["supervisor_pid"], str(server.pid))
        (self.arrays / "note").write_text("from the host\n")
        worker.stdin.write("note\n")
        worker.stdin.flush()
        self.assertEqual(worker.stdout.readline(), "from the host\n")
        server.terminate()
        self.assertEqual(server.wait(60), 0)
        self.assertNotIn(str(self.arrays), mounts())
        self.assertFalse((self.arrays / "note").exists())

    def test_a_directory_that_is_not_shared_is_refused(self):
        subprocess.run(("mount", "--make-private", str(self.shared)), check=True, timeout=60)
        server = self.container("unchanged", str(ENTRYPOINT), "--name", self.name)
        _, said = server.communicate(timeout=60)
        self.assertEqual(server.returncode, 1)
        self.assertIn("rshared", said)


if __name__ == "__main__":
    unittest.main()
