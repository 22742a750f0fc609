"""The mount as a service: its file, what it tells the service manager, reloads, and what it may."""

import os
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np

from support.mount import BINARY, PLANE, ended, fields, mounts, run, wait_until

# What fs/privileges.cpp names, and nothing else.
KEPT = {"CHOWN": 0, "DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "FOWNER": 3, "FSETID": 4, "SETGID": 6, "SETUID": 7,
        "SYS_PTRACE": 19, "SYS_ADMIN": 21, "MKNOD": 27, "LEASE": 28,
        "SETFCAP": 31}
KEPT_BITS = sum(1 << bit for bit in KEPT.values())


def process_status(pid: str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in lines)}


class ConfigFile(unittest.TestCase):
    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.directory.chmod(0o755)
        self.point = self.directory / "arrays"
        self.point.mkdir()
        self.file = self.directory / "data.conf"
        self.name = f"{Path(tempfile.gettempdir()).name}-service-{os.getpid()}"

    def write(self, *lines: str):
        self.file.write_text("\n".join(lines) + "\n")

    def refused(self, *lines: str) -> str:
        self.write(*lines)
        done = run(BINARY, "mount", "--config", str(self.file))
        self.assertIn(done.returncode, (1, 2))
        self.assertNotIn(str(self.point), mounts())
        self.assertRegex(done.stderr, r"\Aarrayfs: [^\n]{10,}\n\Z")
        return done.stderr

    def test_every_key(self):
        self.write("# a comment", "", f'dir = "{self.point}"', f"  name={self.name}", "size = 64M", f"io = {PLANE}",
                   "huge = never", "mode = 0755", "sparse = yes", "show-control = true", "log-level = debug",
                   f"log-file = {self.directory}/log")
        self.assertEqual(run(BINARY, "mount", "--config", str(self.file)).returncode, 0)
        try:
            status = fields((self.point / ".arrayfs/status").read_text())
            self.assertEqual((status["name"], status["capacity_bytes"]), (self.name, str(64 << 20)))
            self.assertIn("huge=never", status["store"])
            self.assertIn("off", status["reservation"])
            self.assertEqual(self.point.stat().st_mode & 0o7777, 0o755)
            self.assertIn(".arrayfs", os.listdir(self.point))
        finally:
            self.assertEqual(run(BINARY, "umount", "--discard", str(self.point)).returncode, 0)

    def test_the_command_line_has_precedence(self):
        self.write("dir = /nonexistent", "size = 1G", f"name = {self.name}", "sparse = no")
        done = run(BINARY, "mount", str(self.point), "--size", "32M", "--config", str(self.file))
        self.assertEqual(done.returncode, 0, done.stderr)
        status = fields((self.point / ".arrayfs/status").read_text())
        self.assertEqual(run(BINARY, "umount", "--discard", str(self.point)).returncode, 0)
        self.assertEqual((status["capacity_bytes"], status["reservation"]), (str(32 << 20), "on"))

    def test_refused_with_the_line(self):
        good = f"dir = {self.point}"
        for line, words in (("siz = 8G", "unknown key 'siz'"), ("foreground = yes", "unknown key 'foreground'"),
                            ("config = x", "unknown key 'config'"), ("size = nonsense", "give bytes"),
                            ("size =", "'size' has no value"), ("= 8G", "give a line as"),
                            ("size 8G", "give a line as"),
                            ("io = fast", "fast"), ("mode = 99", "octal"), ("sparse = maybe", "give yes or no"),
                            ("owner = nobody-at-all", "nobody-at-all"), (good, "in line 2 already"),
                            ("-h = 1", "unknown key"), ("DIR = /x", "unknown key 'DIR'")):
            with self.subTest(line):
                said = self.refused("# first", good, "", line)
                self.assertIn(f"{self.file}:4: ", said)
                self.assertIn(words, said)

    def test_refused_as_a_whole(self):
        self.assertIn("has no line 'dir", self.refused("size = 64M"))
        self.assertIn("has the size", self.refused(f"dir = {self.point}", "store = /tmp", "size = 64M"))
        self.file.unlink()
        done = run(BINARY, "mount", "--config", str(self.file))
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(self.file), done.stderr)
        self.assertEqual(run(BINARY, "mount").returncode, 2)

    def test_owner_and_group(self):
        for owner, expected in ((":65533", (0, 65533, 0o2770)), ("65534", (65534, 0, 0o700)),
                                ("nobody:nogroup", (65534, 65534, 0o2770))):
            with self.subTest(owner):
                done = run(BINARY, "mount", str(self.point), "--name", self.name, "--size", "8M", "--owner", owner)
                self.assertEqual(done.returncode, 0, done.stderr)
                status = self.point.stat()
                self.assertEqual(run(BINARY, "umount", "--discard", str(self.point)).returncode, 0)
                self.assertEqual((status.st_uid, status.st_gid, status.st_mode & 0o7777), expected)


class Service(unittest.TestCase):
    """The daemon as systemd starts it: in the foreground, with $NOTIFY_SOCKET."""

    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.point = self.directory / "arrays"
        self.point.mkdir()
        self.name = f"{Path(tempfile.gettempdir()).name}-service-{os.getpid()}"
        self.file = self.directory / "data.conf"
        self.file.write_text(f"dir = {self.point}\nname = {self.name}\nsize = 64M\nio = {PLANE}\n")
        self.socket = self.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.settimeout(60)

    def start(self, address: str | None = None) -> subprocess.Popen:
        address = address or str(self.directory / "notify")
        self.socket.bind(address.replace("@", "\0", 1))
        command = (BINARY, "mount", "--foreground", "--config", str(self.file))
        daemon = subprocess.Popen(command, env={**os.environ, "NOTIFY_SOCKET": address}, stderr=subprocess.DEVNULL)
        self.addCleanup(self.end, daemon)
        return daemon

    def end(self, daemon: subprocess.Popen):
        if daemon.poll() is None:
            daemon.terminate()
        daemon.wait(60)
        run(BINARY, "umount", "--lazy", str(self.point))
        if os.path.exists(f"/run/arrayfs/{self.name}"):
            run(BINARY, "mount", str(self.point), "--name", self.name)
            self.assertEqual(run(BINARY, "umount", "--discard", str(self.point)).returncode, 0)

    def heard(self) -> tuple[str, int]:
        """The next message, and who sent it."""
        data, ancillary, _, _ = self.socket.recvmsg(4096, 256)
        return data.decode(), int.from_bytes(ancillary[0][2][:4], "little")

    def hear(self, message: str) -> int:
        while True:
            heard, pid = self.heard()
            if heard == message:
                return pid

    def status(self) -> dict[str, str]:
        return fields((self.point / ".arrayfs/status").read_text())

    def test_ready_watchdog_and_stopping(self):
        daemon = self.start()
        self.hear("READY=1")
        np.save(self.point / "w.npy", np.eye(3))
        for _ in range(2):
            self.assertEqual(self.hear("WATCHDOG=1"), daemon.pid)
        daemon.terminate()
        self.assertEqual(self.hear("STOPPING=1"), daemon.pid)
        self.assertEqual(daemon.wait(60), 0)
        self.assertNotIn(str(self.point), mounts())

    def test_an_abstract_socket(self):
        self.start(f"@arrayfs-test-{self.name}")
        self.hear("READY=1")

    def test_a_socket_that_is_not_there(self):
        command = (BINARY, "mount", "--foreground", "--config", str(self.file))
        done = run(*command, env={**os.environ, "NOTIFY_SOCKET": "/nonexistent"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("NOTIFY_SOCKET=/nonexistent", done.stderr)
        self.assertNotIn(str(self.point), mounts())
        self.assertFalse(os.path.exists(f"/run/arrayfs/{self.name}"))

    def test_reload_again_and_again(self):
        daemon = self.start()
        self.hear("READY=1")
        np.save(self.point / "w.npy", np.zeros(1000))
        mapped = np.load(self.point / "w.npy", mmap_mode="r+")
        descriptors = 0
        for count in range(1, 4):
            done = run(BINARY, "upgrade", "--config", str(self.file))
            self.assertEqual(done.returncode, 0, done.stderr)
            mapped[count] = count
            self.assertEqual(self.status()["upgrades"], str(count))
            self.assertEqual(self.status()["supervisor_pid"], str(daemon.pid))
            self.hear("WATCHDOG=1")
            now = len(os.listdir(f"/proc/{daemon.pid}/fd"))
            self.assertTrue(count == 1 or now <= descriptors, "descriptors stay")
            descriptors = now
        with (self.point / "w.npy").open("rb") as file:
            self.assertEqual(np.load(file)[:4].tolist(), [0, 1, 2, 3])
        del mapped

    def test_a_killed_daemon_is_started_again(self):
        daemon = self.start()
        self.hear("READY=1")
        np.save(self.point / "w.npy", np.eye(3))
        server = self.status()["server_pid"]
        daemon.kill()
        os.kill(int(server), 9)  # systemd ends the whole control group
        daemon.wait(60)
        wait_until(lambda: ended(server), "it is dead")
        self.socket.close()
        os.unlink(self.directory / "notify")
        self.socket = self.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.settimeout(60)
        self.start()
        self.hear("READY=1")
        self.assertEqual(np.load(self.point / "w.npy").tolist(), np.eye(3).tolist())

    @unittest.skipUnless(os.geteuid() == 0, "an ordinary user's daemon has no capabilities")
    def test_only_the_capabilities_that_it_needs(self):
        own = int(process_status("self")["CapEff"], 16)
        self.start()
        self.hear("READY=1")
        for moment in ("started", "server killed", "upgraded"):
            status = self.status()
            for pid in (status["supervisor_pid"], status["server_pid"]):
                with self.subTest(moment, pid=pid):
                    process = process_status(pid)
                    self.assertEqual(process["NoNewPrivs"], "1")
                    for kind in ("CapEff", "CapPrm", "CapBnd"):
                        self.assertEqual(int(process[kind], 16), KEPT_BITS & own, kind)
                    self.assertEqual((process["CapInh"], process["CapAmb"]), ("0" * 16,) * 2)
            if moment == "started":
                os.kill(int(status["server_pid"]), 9)
                wait_until(lambda before=status["server_pid"]: self.status()["server_pid"] != before, "replaced")
            else:
                self.assertEqual(run(BINARY, "upgrade", str(self.point)).returncode, 0)


if __name__ == "__main__":
    unittest.main()
