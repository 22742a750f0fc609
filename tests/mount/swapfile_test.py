"""mount-scripts/swapfile.sh, for real where this machine lets root add swap. What cannot be provoked for
real (a file system that copies on write, a step that fails) is provoked by a stand-in for one command,
first on PATH; everything else of those runs is real, too."""

import os
import stat
import tempfile
import unittest
from pathlib import Path

from support.mount import run

SCRIPT = str(Path(__file__).parents[2] / "mount-scripts/swapfile.sh")
MIB = 1 << 20


def swaps() -> list[str]:
    return [line.split()[0] for line in Path("/proc/swaps").read_text().splitlines()[1:]]


def machine_allows_swap() -> bool:
    """Whether swapon(8) itself, without the script, can use a file of the test's directory."""
    with tempfile.TemporaryDirectory() as directory:
        file = f"{directory}/probe"
        made = "umask 077; head -c 1M /dev/zero >$0 && mkswap $0 && swapon $0 && swapoff $0"
        return os.geteuid() == 0 and run("sh", "-c", made, file).returncode == 0


class Swapfile(unittest.TestCase):
    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.tools = self.directory / "tools"
        self.tools.mkdir()
        self.file = self.directory / "swapfile"
        self.fstab = self.directory / "fstab"
        self.fstab.write_text("/dev/vda / ext4 defaults 0 1\n")
        self.before = swaps()
        self.addCleanup(self.leave_nothing)

    def leave_nothing(self):
        if str(self.file) in swaps():
            run("swapoff", str(self.file))

    def swapfile(self, *arguments: str, **environment: str):
        path = f"{self.tools}:{os.environ['PATH']}:/usr/sbin:/sbin"
        return run(SCRIPT, *arguments, env={**os.environ, "PATH": path, "FSTAB": str(self.fstab), **environment})

    def pretend(self, command: str, script: str):
        """Puts a stand-in for a command first on PATH; REAL in it is the command itself."""
        real = run("sh", "-c", f"PATH=$PATH:/usr/sbin:/sbin; command -v {command}").stdout.strip()
        tool = self.tools / command
        tool.write_text(f"#!/bin/sh\nREAL={real}\n{script}\n")
        tool.chmod(0o755)

    def refused(self, *arguments: str, code: int = 1) -> str:
        done = self.swapfile(*arguments)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertEqual(swaps(), self.before)
        return done.stderr

    def refused_without_trace(self, *arguments: str) -> str:
        said = self.refused(*arguments)
        self.assertFalse(self.file.exists())
        self.assertEqual(self.fstab.read_text(), "/dev/vda / ext4 defaults 0 1\n")
        self.assertEqual(sorted(os.listdir(self.directory)), ["fstab", "tools"])
        return said


@unittest.skipUnless(machine_allows_swap(), "this machine refuses swap")
class Real(Swapfile):
    def test_add_status_and_remove(self):
        done = self.swapfile("add", "16M", str(self.file))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(str(self.file), swaps())
        status = self.file.stat()
        self.assertEqual(stat.S_IMODE(status.st_mode), 0o600)
        self.assertEqual(status.st_size, 16 * MIB)
        self.assertGreaterEqual(status.st_blocks * 512, 16 * MIB)
        self.assertIn(str(self.file), self.swapfile("status").stdout)
        self.assertEqual(self.fstab.read_text(), "/dev/vda / ext4 defaults 0 1\n")

        second = self.swapfile("add", "16M", str(self.file))
        self.assertEqual(second.returncode, 1)
        self.assertIn("in use as swap already", second.stderr)
        self.assertIn(str(self.file), swaps())

        removed = self.swapfile("remove", str(self.file))
        self.assertEqual(removed.returncode, 0, removed.stderr)
        self.assertEqual(swaps(), self.before)
        self.assertFalse(self.file.exists())
        self.assertIn("no swap file", self.refused("remove", str(self.file)))

    def test_fstab(self):
        self.assertEqual(self.swapfile("add", "--fstab", "2M", str(self.file)).returncode, 0)
        self.assertEqual(self.fstab.read_text(),
                         f"/dev/vda / ext4 defaults 0 1\n{self.file} none swap sw 0 0\n")
        self.assertEqual(self.swapfile("remove", str(self.file)).returncode, 0)
        self.assertEqual(self.fstab.read_text(), "/dev/vda / ext4 defaults 0 1\n")

    def test_zeros_are_written_where_nothing_can_be_allocated(self):
        self.pretend("fallocate", "exit 1")
        self.assertEqual(self.swapfile("add", "4M", str(self.file)).returncode, 0)
        self.assertGreaterEqual(self.file.stat().st_blocks * 512, 4 * MIB)
        self.assertEqual(self.swapfile("remove", str(self.file)).returncode, 0)

    def test_a_failing_fstab_takes_the_swap_back(self):
        self.pretend("mv", "exit 1")
        self.assertIn("taken back", self.refused_without_trace("add", "--fstab", "2M", str(self.file)))


@unittest.skipUnless(os.geteuid() == 0, "only root may change swap")
class Refusals(Swapfile):
    def test_each_failing_step_is_undone(self):
        for command in ("mkswap", "swapon"):
            with self.subTest(command):
                self.pretend(command, f"echo '{command}: no' >&2; exit 1")
                said = self.refused_without_trace("add", "2M", str(self.file))
                self.assertIn(f"{command}: no", said)
                self.assertIn("taken back", said)
                (self.tools / command).unlink()

    def test_holes(self):
        self.pretend("fallocate", 'for file; do :; done; exec truncate -s 2M "$file"')
        self.assertIn("has holes", self.refused_without_trace("add", "2M", str(self.file)))

    def test_file_systems_that_copy_on_write(self):
        for kind in ("btrfs", "zfs"):
            with self.subTest(kind):
                self.pretend("stat", f'[ "$1" != -f ] || {{ echo {kind}; exit; }}; exec "$REAL" "$@"')
                self.assertIn(f"{kind} copies", self.refused_without_trace("add", "2M", str(self.file)))

    def test_tmpfs(self):
        self.assertIn("tmpfs cannot hold swap", self.refused("add", "2M", "/dev/shm/arrayfs-swap-test"))
        self.assertFalse(os.path.exists("/dev/shm/arrayfs-swap-test"))

    def test_too_little_disk(self):
        free = os.statvfs(self.directory)
        size = str(free.f_bavail * free.f_frsize - 100 * MIB)
        self.assertIn("do not fit", self.refused_without_trace("add", size, str(self.file)))

    def test_what_is_there_stays(self):
        for make in (lambda: self.file.write_text("mine"), lambda: self.file.symlink_to("elsewhere")):
            make()
            self.assertIn("is there already", self.refused("add", "2M", str(self.file)))
            self.assertIn("no swap file", self.refused("remove", str(self.file)))
            self.assertTrue(os.path.lexists(self.file))
            self.file.unlink()

    def test_fstab_that_has_it(self):
        self.fstab.write_text(f"{self.file} none swap sw 0 0\n")
        self.assertIn("has a line", self.refused("add", "--fstab", "2M", str(self.file)))

    def test_arguments(self):
        for arguments in ((), ("add",), ("nonsense",), ("add", "1G", "/a", "b"), ("status", "x")):
            with self.subTest(arguments):
                self.refused(*arguments, code=2)
        for size in ("0", "-1", "8X", "08", "1.5G", "512K", "9999999999999", ""):
            with self.subTest(size):
                self.assertIn("size", self.refused_without_trace("add", size, str(self.file)))
        for path in ("relative", "/with space", "/semi;colon"):
            with self.subTest(path):
                self.assertIn("give a", self.refused("add", "2M", path))


if __name__ == "__main__":
    unittest.main()
