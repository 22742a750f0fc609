"""The README's table of troubles: each is made to happen, is seen as the table says, and doctor names it.

What cannot be done to a machine that others use is done in a mount name space of one command: there a file of the
test lies over the kernel's.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

from support.mount import BINARY, PLANE, Mount, ended, mounts, open_device_to_users, run, wait_until

README = Path(__file__).parents[2] / "README.md"
USER, OTHER = 65534, 65533
AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"


def table() -> dict[str, tuple[str, str]]:
    """What is seen, to doctor's name of the finding, and whether it is a mount's."""
    section = README.read_text().split("\n## When something is wrong\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    assert all(len(row) == 4 for row in rows), rows
    return {row[0]: (row[1].strip("`"), row[3]) for row in rows[2:]}


def spoken(cell: str) -> str:
    """What a program says, of what is seen."""
    return re.search("`([^`]+)`", cell)[1]


@unittest.skipUnless(os.geteuid() == 0, "needs mount name spaces and other users")
class Troubles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        open_device_to_users()

    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.directory.chmod(0o755)
        self.user_point = self.directory / "user"
        self.user_point.mkdir()
        os.chown(self.user_point, USER, USER)

    def elsewhere(self, prepare: str, *command: str) -> subprocess.CompletedProcess:
        """Runs a command with mounts of its own, which `prepare` makes."""
        script = f'set -e; mount --make-rprivate /; cd "$1"; shift; {prepare}; exec "$@"'
        return run("unshare", "-m", "sh", "-c", script, "sh", str(self.directory), *command)

    def finding(self, what: str, prepare: str = ":", *prefix: str) -> dict:
        done = self.elsewhere(prepare, *prefix, BINARY, "doctor", "--json")
        findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
        self.assertEqual(len(findings), len(json.loads(done.stdout)))
        missing = [name for name, its in findings.items() if its["state"] == "missing" and not name.startswith("mount ")]
        self.assertEqual(done.returncode, 1 if missing else 0, done.stderr)
        return findings[what]

    def named(self, seen: str, prepare: str = ":", *prefix: str, where: Path | None = None) -> dict:
        """Doctor's finding for a row of the table, which is a trouble with advice."""
        what, _ = table()[seen]
        finding = self.finding(what.replace("DIR", str(where)), prepare, *prefix)
        self.assertNotEqual(finding["state"], "ok", finding)
        self.assertTrue(finding["advice"], finding)
        return finding

    def healthy(self, seen: str, *prefix: str, where: Path | None = None):
        """The same finding, without the trouble."""
        what, _ = table()[seen]
        self.assertEqual(self.finding(what.replace("DIR", str(where)), ":", *prefix)["state"], "ok")

    def mount(self, **options) -> Mount:
        mount = self.enterContext(Mount(PLANE, **options))
        mount.servers_die = True
        return mount

    def says(self, seen: str, done: subprocess.CompletedProcess):
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(spoken(seen), done.stdout + done.stderr)

    def user_mounts(self, *prefix: str):
        """A daemon of an ordinary user, who has access to the device."""
        done = run(*prefix, *AS_USER, BINARY, "mount", str(self.user_point), "--size", "64M")
        self.assertEqual(done.returncode, 0, done.stderr)

        def end():
            run(*AS_USER, BINARY, "umount", "--discard", str(self.user_point))
            self.assertNotIn(str(self.user_point), mounts())

        self.addCleanup(end)

    # ---- one method a row, by the order of the table

    def test_the_table_is_whole(self):
        """Every row has its test: its name ends it in a comment below."""
        source = Path(__file__).read_text()
        for seen in table():
            self.assertIn(f"SEEN({spoken(seen)})", source)

    def row(self, words: str) -> str:
        seen, = (seen for seen in table() if spoken(seen) == words)
        return seen

    def test_no_device(self):
        seen = self.row("the kernel has no FUSE here")  # SEEN(the kernel has no FUSE here)
        prepare = "mount -t tmpfs dev /dev"
        self.says(seen, self.elsewhere(prepare, BINARY, "mount", str(self.user_point)))
        self.assertEqual(self.named(seen, prepare)["state"], "missing")
        self.healthy(seen)

    def test_no_access_to_the_device(self):
        seen = self.row("/dev/fuse: no access for this user")  # SEEN(/dev/fuse: no access for this user)
        prepare = "umount -q /dev/fuse || true; rm -f fuse; mknod -m 600 fuse c 10 229; mount --bind fuse /dev/fuse"
        self.says(seen, self.elsewhere(prepare, *AS_USER, BINARY, "mount", str(self.user_point)))
        self.assertEqual(self.named(seen, prepare, *AS_USER)["state"], "missing")
        self.healthy(seen, *AS_USER)

    def test_no_fusermount(self):
        seen = self.row("an ordinary user needs it to mount")  # SEEN(an ordinary user needs it to mount)
        prepare = "mount --bind /dev/null $(command -v fusermount3)"
        self.says(seen, self.elsewhere(prepare, *AS_USER, BINARY, "mount", str(self.user_point)))
        self.assertEqual(self.named(seen, prepare, *AS_USER)["state"], "missing")
        self.healthy(seen, *AS_USER)

    def test_root_without_its_capability(self):
        seen = self.row("Operation not permitted")  # SEEN(Operation not permitted)
        without = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
        self.says(seen, run(*without, BINARY, "mount", str(self.user_point)))
        self.assertEqual(self.named(seen, ":", *without)["state"], "missing")
        self.assertIn("without CAP_SYS_ADMIN", self.finding("plane passthrough", ":", *without)["found"])
        self.healthy(seen)

    def test_plane_cached(self):
        seen = self.row("plane: cached")  # SEEN(plane: cached)
        old = self.named(seen, ":", "setarch", "--uname-2.6")
        self.assertIn("Linux 2.6", old["found"])
        self.assertIn("needs Linux 6.9", old["advice"])
        self.assertIn("root", self.named(seen, ":", *AS_USER)["advice"])
        self.assertIn("without", self.named(seen, ":", "unshare", "-U", "--map-root-user")["found"])
        self.healthy(seen)

    def test_other_users(self):
        seen = self.row("Permission denied")  # SEEN(Permission denied)
        self.user_mounts()
        other = ("setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups")
        self.says(seen, run(*other, "ls", str(self.user_point)))
        self.named(seen, ":", *AS_USER)
        self.healthy(seen)

    def test_small_pages(self):
        seen = self.row("shmem_enabled: deny")  # SEEN(shmem_enabled: deny)
        prepare = f"echo 'always within_size advise never [deny] force' >fake; mount --bind fake {HUGE_PAGES}"
        self.assertIn("deny", self.named(seen, prepare)["found"])
        what, _ = table()[seen]
        allowed = f"echo 'always within_size [advise] never deny force' >fake; mount --bind fake {HUGE_PAGES}"
        self.assertEqual(self.finding(what, allowed)["state"], "ok")

    def test_few_descriptors(self):
        seen = self.row("Too many open files")  # SEEN(Too many open files)
        few = ("prlimit", "--nofile=200:200")
        self.user_mounts(*few)
        script = "import os, sys; os.chdir(sys.argv[1]); [os.open(f'f{n}', os.O_CREAT | os.O_RDWR) for n in range(300)]"
        self.says(seen, run(*AS_USER, sys.executable, "-c", script, str(self.user_point)))
        self.named(seen, ":", *few, *AS_USER)
        self.healthy(seen)

    def test_full(self):
        seen = self.row("No space left on device")  # SEEN(No space left on device)
        mount = self.mount(size="4M")
        self.healthy(seen, where=mount.path)
        self.says(seen, run("dd", "if=/dev/zero", f"of={mount.path / 'raw'}", "bs=1M", "count=8"))
        self.assertIn("full", self.named(seen, where=mount.path)["found"])

    def test_dead(self):
        seen = self.row("Transport endpoint is not connected")  # SEEN(Transport endpoint is not connected)
        mount = self.mount(size="4M")
        self.healthy(seen, where=mount.path)
        np.save(mount.path / "w.npy", np.eye(3))
        mount.kill()
        self.says(seen, run("ls", str(mount.path)))
        self.assertEqual(self.named(seen, where=mount.path)["state"], "missing")
        mount.umount()
        mount.mount()
        self.assertEqual(np.load(mount.path / "w.npy").sum(), 3)

    def test_no_supervisor(self):
        seen = self.row("supervisor_pid: killed")  # SEEN(supervisor_pid: killed)
        mount = self.mount(size="4M")
        supervisor = mount.status()["supervisor_pid"]
        os.kill(int(supervisor), 9)
        wait_until(lambda: ended(supervisor), "it is dead")
        wait_until(lambda: spoken(seen) in run(BINARY, "status", str(mount.path)).stdout, "it is noticed")
        self.assertIn("supervisor", self.named(seen, where=mount.path)["found"])
        mount.umount()
        mount.mount()
        self.healthy(seen, where=mount.path)

    def test_no_swap(self):
        seen = self.row("of memory and swap; give less or add swap")  # SEEN(of memory and swap; give less or add swap)
        self.says(seen, run(BINARY, "mount", str(self.user_point), "--size", "1000T"))
        none = "sed 's/^SwapTotal:.*/SwapTotal: 0 kB/' /proc/meminfo >fake; mount --bind fake /proc/meminfo"
        self.assertEqual(self.named(seen, none)["found"], "none")
        some = none.replace("SwapTotal: 0 kB", "SwapTotal: 4096 kB")
        self.assertEqual(self.finding("swap", some)["found"], "4.0 MiB")

    def test_a_control_group_below_the_size(self):
        seen = self.row("Memory cgroup out of memory")  # SEEN(Memory cgroup out of memory)
        mount = self.mount(size="64M")
        groups = Path(f"/proc/{mount.status()['server_pid']}/cgroup").read_text().splitlines()
        self.healthy(seen, where=mount.path)
        for file, root in (("memory.max", "/sys/fs/cgroup"), ("memory.limit_in_bytes", "/sys/fs/cgroup/memory")):
            controllers = "" if file == "memory.max" else "memory"
            group = [line.split(":", 2)[2] for line in groups if line.split(":")[1] == controllers]
            prepare = "mount -t tmpfs groups /sys/fs/cgroup"
            for path in group:  # the limit is that of the group above, where there is one
                above = f"{root}{path}".rstrip("/")
                prepare += f"; mkdir -p '{above}'; echo 9223372036854771712 >'{above}/{file}'"
                above = os.path.dirname(above) if path != "/" else above
                prepare += f"; echo 33554432 >'{above}/{file}'"
                with self.subTest(file):
                    found = self.named(seen, prepare, where=mount.path)["found"]
                    self.assertIn("may hold 64.0 MiB, its control group may use 32.0 MiB", found)

    def test_an_older_version(self):
        seen = self.row("keeps its state in another form")  # SEEN(keeps its state in another form)
        mount = self.mount(size="4M")
        old = re.sub(r"(?m)^version: .*", "version: 0.0.1", mount.control("status"))
        (self.directory / "fake").write_text(re.sub(r"(?m)^state_version: .*", "state_version: 0", old))
        prepare = f"mount --bind fake {mount.path}/.arrayfs/status"
        self.says(seen, self.elsewhere(prepare, BINARY, "upgrade", str(mount.path)))
        self.assertIn("served by version 0.0.1", self.named(seen, prepare, where=mount.path)["found"])
        self.healthy(seen, where=mount.path)


if __name__ == "__main__":
    unittest.main()
