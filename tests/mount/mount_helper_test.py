"""mount(8) with mount-scripts/mount.arrayfs in /sbin, in a mount name space of this process's own."""

import ctypes
import errno
import os
import pwd
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np

from support.mount import BINARY, PLANE, ended, fields, mounts, run, wait_until

HELPER = Path(__file__).parents[2] / "mount-scripts/mount.arrayfs"
SBIN = os.path.realpath("/sbin")
CLONE_NEWNS = 0x20000
layer = tempfile.TemporaryDirectory()


def setUpModule():
    """/sbin is overlaid: mount(8) looks for its helpers there alone. /usr/local/bin, too: it gives them its own PATH."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("only root may put a helper into /sbin")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    script = """
    mount --make-rprivate /
    mount -t tmpfs none "$0"
    mkdir "$0/sbin" "$0/bin" "$0/work" "$0/work2"
    cp "$1" "$0/sbin/mount.arrayfs"
    ln -s "$2" "$0/bin/arrayfs"
    mount -t overlay none -o "lowerdir=$3,upperdir=$0/sbin,workdir=$0/work" "$3"
    mount -t overlay none -o "lowerdir=/usr/local/bin,upperdir=$0/bin,workdir=$0/work2" /usr/local/bin
    """
    subprocess.run(("sh", "-eu", "-c", script, layer.name, str(HELPER), BINARY, SBIN), check=True, timeout=60)


def tearDownModule():
    for overlaid in ("/usr/local/bin", SBIN, layer.name):
        run("umount", overlaid)
    layer.cleanup()


class MountHelper(unittest.TestCase):
    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.directory.chmod(0o755)
        self.point = self.directory / "arrays"
        self.point.mkdir()
        self.name = f"{Path(tempfile.gettempdir()).name}-helper-{os.getpid()}"
        self.options = f"name={self.name},size=64M,io={PLANE}"
        self.addCleanup(self.discard)

    def discard(self):
        if str(self.point) in mounts():
            run(BINARY, "umount", "--discard", str(self.point))
        elif os.path.exists(f"/run/arrayfs/{self.name}"):
            run(BINARY, "mount", str(self.point), "--name", self.name)
            run(BINARY, "umount", "--discard", str(self.point))

    def mount(self, options: str, *flags: str, source: str = "none"):
        return run("mount", *flags, "-t", "arrayfs", source, str(self.point), "-o", options)

    def must_mount(self, options: str, *flags: str, source: str = "none"):
        done = self.mount(options, *flags, source=source)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(str(self.point), mounts())

    def refused(self, code: int, options: str, *flags: str) -> str:
        done = self.mount(options, *flags)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertNotIn(str(self.point), mounts())
        self.assertFalse(os.path.exists(f"/run/arrayfs/{self.name}"))
        return done.stderr

    def status(self) -> dict[str, str]:
        return fields((self.point / ".arrayfs/status").read_text())

    def test_mount_use_and_umount(self):
        self.must_mount(f"{self.options},huge=within_size,user=nobody")
        status = self.status()
        self.assertEqual((status["capacity_bytes"], status["name"]), (str(64 << 20), self.name))
        root = self.point.stat()
        nobody = pwd.getpwnam("nobody")
        self.assertEqual((root.st_uid, stat.S_IMODE(root.st_mode)), (nobody.pw_uid, 0o700))
        np.save(self.point / "w.npy", np.eye(3))
        done = run("umount", str(self.point))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertNotIn(str(self.point), mounts())
        wait_until(lambda: ended(status["supervisor_pid"]), "the daemon ends with its mount")
        self.must_mount(self.options)
        self.assertEqual(np.load(self.point / "w.npy").tolist(), np.eye(3).tolist())

    def test_every_option(self):
        log = self.directory / "log"
        self.must_mount(f"{self.options},mode=0750,sparse,show_control,log_file={log},log_level=debug,log_format=json")
        self.assertEqual(stat.S_IMODE(self.point.stat().st_mode), 0o750)
        self.assertIn(".arrayfs", os.listdir(self.point))
        self.assertIn("off", self.status()["reservation"])
        self.assertIn("serves", log.read_text())

    def test_options_of_others_are_tolerated(self):
        self.must_mount(f"defaults,rw,nosuid,nodev,exec,noauto,nofail,_netdev,relatime,comment=mine,user,"
                        f"x-systemd.automount,x-systemd.requires=a.service,{self.options}")

    def test_unknown_options_are_refused_by_name(self):
        for option in ("nonsense", "nonsense=1", "size", "sizes=8G", "foreground"):
            with self.subTest(option):
                self.assertIn(f"'{option}'", self.refused(1, f"{self.options},{option}"))
        self.must_mount(f"{self.options},nonsense", "-s")

    def test_what_arrayfs_refuses(self):
        self.assertIn("give bytes", self.refused(32, "size=nonsense"))
        self.assertIn("nobody-at-all", self.refused(32, f"{self.options},user=nobody-at-all"))

    def test_fake_and_verbose(self):
        done = self.mount(self.options, "-f", "-v")
        self.assertEqual(done.returncode, 0)
        self.assertIn(f"arrayfs mount {self.point} --name {self.name}", done.stdout)
        self.assertNotIn(str(self.point), mounts())

    def test_the_kernel_guards_what_it_can(self):
        self.must_mount(f"{self.options},ro,noexec")
        with self.assertRaises(OSError) as refused:
            (self.point / "a").write_bytes(b"")
        self.assertEqual(refused.exception.errno, errno.EROFS)
        self.assertIn("noexec", run("findmnt", "-no", "OPTIONS", str(self.point)).stdout)

    def test_a_path_with_spaces(self):
        self.point = self.directory / "my arrays"
        self.point.mkdir()
        done = self.mount(self.options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.status()["name"], self.name)
        self.assertEqual(run(BINARY, "umount", "--discard", str(self.point)).returncode, 0)

    def test_fstab(self):
        fstab = self.directory / "fstab"
        for source, options in ((f"arrayfs:{self.name}", "size=64M"), ("none", self.options)):
            fstab.write_text(f"{source} {self.point} arrayfs {options},nofail,_netdev,x-systemd.automount 0 0\n")
            with self.subTest(source):
                done = run("mount", "-T", str(fstab), str(self.point))
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual(self.status()["name"], self.name)
                self.assertEqual(run("umount", str(self.point)).returncode, 0)
        fstab.write_text(f"arrayfs:{self.name} {self.point} arrayfs size=64M 0 0\n")
        for _ in range(2):  # the second time it is mounted already
            done = run("mount", "-a", "-T", str(fstab))
            self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
