"""Mounts that cannot be: one clear line on stderr, exit 1 or 2, and nothing stays."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from support.mount import BINARY, Mount, mounts, open_device_to_users, run

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

# Each hides something in a mount name space of its own, runs the command and tells when a mount was left.
RUN = """
before=$(cat /proc/self/mountinfo)
status=0
"$@" || status=$?
[ "$before" = "$(cat /proc/self/mountinfo)" ] || echo "a mount was left" >&2
exit $status
"""
WITHOUT_DEVICE = """
set -e
mkdir dev
cp -a /dev/null /dev/zero /dev/urandom dev
mkdir -m 1777 dev/shm
mount --bind dev /dev
""" + RUN
WITHOUT_FUSERMOUNT = """
set -e
mount -t tmpfs none "$PWD/layer"
mkdir layer/upper layer/work
mount -t overlay none -o lowerdir=/usr/bin,upperdir="$PWD/layer/upper",workdir="$PWD/layer/work" /usr/bin
rm -f /usr/bin/fusermount3 /usr/bin/fusermount
""" + RUN


def setUpModule():
    open_device_to_users()


class MountErrors(unittest.TestCase):
    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.directory.chmod(0o755)
        self.point = self.directory / "arrays"
        self.point.mkdir()
        self.name = f"{Path(tempfile.gettempdir()).name}-refused-{os.getpid()}"

    def refused(self, *arguments: str, point: Path | None = None) -> str:
        point = point or self.point
        before = mounts()
        done = run(BINARY, "mount", str(point), "--name", self.name, *arguments)
        if done.returncode == 0:
            run(BINARY, "umount", str(point), "--discard")
        self.assertEqual(mounts(), before)
        self.assertFalse(os.path.exists(f"/run/arrayfs/{self.name}"))
        return self.one_line(done)

    def one_line(self, done: subprocess.CompletedProcess) -> str:
        self.assertIn(done.returncode, (1, 2), done)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Aarrayfs: [^\n]{10,}\n\Z")
        return done.stderr

    def test_missing_directory(self):
        self.assertIn("missing", self.refused(point=self.directory / "missing"))

    def test_file(self):
        file = self.directory / "file"
        file.touch()
        self.assertIn(str(file), self.refused(point=file))

    def test_busy_mount_point(self):
        with Mount() as mount:
            (mount.path / "raw.dat").write_bytes(b"x")
            self.assertIn(str(mount.path), self.refused(point=mount.path))
            same = run(BINARY, "mount", str(mount.path), "--name", mount.name)
            self.one_line(same)
            elsewhere = run(BINARY, "mount", str(self.point), "--name", mount.name)
            self.one_line(elsewhere)
            self.assertEqual((mount.path / "raw.dat").read_bytes(), b"x")
            self.assertNotIn(str(self.point), mounts())

    def test_sizes(self):
        for size in ("0", "1T", "abc", "-1", "8X", "1e99", "99999999999999999999", "nan", "8G8"):
            with self.subTest(size):
                self.assertIn("size", self.refused("--size", size))

    def test_options(self):
        for options in (("--io", "nonsense"), ("--huge", "nonsense"), ("--log-level", "nonsense"), ("--nonsense",),
                        ("--store", str(self.directory / "missing")), ("--log-file", "/missing/log")):
            with self.subTest(options):
                self.refused(*options)

    def test_names(self):
        for name in ("a/b", "..", ".", "/", "n" * 300):
            with self.subTest(name):
                self.one_line(run(BINARY, "mount", str(self.point), "--name", name))
                self.assertNotIn(str(self.point), mounts())

    def test_without_device(self):
        done = run("unshare", "-m", "sh", "-c", WITHOUT_DEVICE, "sh", BINARY, "mount", str(self.point),
                   "--name", self.name, cwd=self.directory)
        self.assertIn("/dev/fuse", self.one_line(done))

    def test_without_fusermount(self):
        (self.directory / "layer").mkdir()
        binary = self.directory / "arrayfs"
        binary.write_bytes(Path(BINARY).read_bytes())
        binary.chmod(0o755)
        os.chown(self.point, 65534, 65534)
        done = run("unshare", "-m", "sh", "-c", WITHOUT_FUSERMOUNT, "sh", *NOBODY, str(binary), "mount",
                   str(self.point), "--name", self.name, cwd=self.directory)
        self.assertIn("fusermount3", self.one_line(done))

    def test_other_commands(self):
        for arguments in (
            ("umount", str(self.point)), ("umount", str(self.directory / "missing")), ("ls", str(self.point)),
            ("info", str(self.point / "missing")), ("info", "/etc/passwd"), ("status", str(self.point)),
            ("create", str(self.point / "missing/a.npy"), "float32", "5"), ("nonsense",), ("mount",), ("create",),
        ):
            with self.subTest(arguments):
                self.one_line(run(BINARY, *arguments))


if __name__ == "__main__":
    unittest.main()
