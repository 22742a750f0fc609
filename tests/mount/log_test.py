"""The daemon's log: its levels, also while the mount is served, its forms, and where the lines go."""

import ctypes
import errno
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from support.mount import BINARY, PLANE, TIMEOUT_S, Mount, arrayfs, ended, fields, run, wait_until

HOSTILE = b'nl\nquote" back\\slash \xff\xfe tab\t'


def refuse_a_seal(directory: Path) -> None:
    """Something that the daemon logs as debug."""
    with (directory / "written").open("wb") as file:
        try:
            os.setxattr(file.fileno(), "user.array.sealed", b"2")
        except OSError:
            return
    raise AssertionError("sealed")


def expire(path: bytes) -> None:
    """Something that it logs as info, with a path."""
    owner = subprocess.Popen(["sleep", "infinity"])
    with open(path, "wb"):
        pass
    os.setxattr(path, b"user.array.owner_pid", str(owner.pid).encode())
    owner.kill()
    owner.wait()
    wait_until(lambda: not os.path.lexists(path), "its name is removed")


class LogFile(unittest.TestCase):
    def setUp(self):
        directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        directory.chmod(0o755)
        self.log = directory / "log"

    def mount(self, *options: str) -> Mount:
        mount = self.enterContext(Mount(PLANE, "--log-file", str(self.log), *options, size="64M"))
        mount.servers_die = True
        return mount

    def lines(self) -> list[str]:
        return self.log.read_text(errors="surrogateescape").splitlines()

    def wait_for_line(self, text: str) -> str:
        wait_until(lambda: any(text in line for line in self.lines()), text)
        return next(line for line in self.lines() if text in line)

    def refusals(self) -> int:
        return sum("refused" in line for line in self.lines())


class Levels(LogFile):
    def test_a_level_holds_from_now_on_whatever_ends(self):
        mount = self.mount()
        self.assertEqual(mount.status()["log_level"], "info")
        refuse_a_seal(mount.path)
        self.assertEqual(self.refusals(), 0)
        arrayfs("log", "debug", str(mount.path))
        refuse_a_seal(mount.path)
        seen = self.refusals()
        self.assertGreater(seen, 0)
        os.kill(int(mount.status()["server_pid"]), signal.SIGKILL)
        self.assertEqual(mount.status()["log_level"], "debug")
        refuse_a_seal(mount.path)
        self.assertGreater(self.refusals(), seen)
        seen = self.refusals()
        arrayfs("upgrade", str(mount.path))
        self.assertEqual(mount.status()["log_level"], "debug")
        refuse_a_seal(mount.path)
        self.assertGreater(self.refusals(), seen)
        arrayfs("log", "off", str(mount.path / "written"))  # any path of the mount
        seen = len(self.lines())
        refuse_a_seal(mount.path)
        os.kill(int(mount.status()["server_pid"]), signal.SIGKILL)
        self.assertEqual((mount.status()["log_level"], len(self.lines())), ("off", seen))

    def test_a_server_that_is_alone_obeys(self):
        mount = self.mount()
        os.kill(int(mount.status()["supervisor_pid"]), signal.SIGKILL)
        wait_until(lambda: mount.status()["supervisor_pid"] == "killed", "it is noticed")
        arrayfs("log", "trace", str(mount.path))
        refuse_a_seal(mount.path)
        self.assertGreater(self.refusals(), 0)

    def test_a_signal_without_a_level_changes_nothing(self):
        mount = self.mount("--log-level", "warning")
        for pid in ("supervisor_pid", "server_pid"):
            os.kill(int(mount.status()[pid]), signal.SIGURG)
        arrayfs("log", "error", str(mount.path))
        self.assertEqual((mount.status()["log_level"], mount.status()["restarts"]), ("error", "0"))

    @unittest.skipUnless(os.geteuid() == 0, "an ordinary user has no other users")
    def test_only_who_runs_the_daemon_may(self):
        mount = self.mount()
        done = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BINARY, "log", "debug",
                   str(mount.path))
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), done.stderr)
        self.assertEqual(mount.status()["log_level"], "info")

    def test_what_is_refused(self):
        for arguments, status in ((("log", "loud", "/"), 2), (("log", "debug"), 2), (("log", "debug", "/"), 1)):
            done = run(BINARY, *arguments)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (status, 1), done.stderr)


class Rotation(LogFile):
    def test_a_truncated_log_goes_on_from_its_beginning(self):
        """As after logrotate's `copytruncate`; a sparse file would begin with zeros."""
        mount = self.mount("--log-level", "debug")
        refuse_a_seal(mount.path)
        for server_dies in (False, True):
            os.truncate(self.log, 0)
            if server_dies:
                os.kill(int(mount.status()["server_pid"]), signal.SIGKILL)
            refuse_a_seal(mount.path)
            self.assertGreater(self.refusals(), 0)
            self.assertRegex(self.log.read_bytes(), rb"\A\[\d{4}-\d\d-\d\d ")


class Forms(LogFile):
    def objects(self) -> list[dict]:
        done = run("jq", "-ce", ".", str(self.log))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(done.stdout.splitlines()), len(self.log.read_bytes().splitlines()))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_json_of_hostile_names(self):
        mount = self.mount("--log-format", "json", "--log-level", "debug")
        (mount.path / "inner").mkdir()
        expire(os.fsencode(mount.path) + b"/inner/" + HOSTILE)
        refuse_a_seal(mount.path)
        wait_until(lambda: any("path" in line for line in self.objects()), "the removal is logged")
        for line in self.objects():
            self.assertRegex(line["time"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z\Z")
            self.assertEqual(line["mount"], str(mount.path))
            self.assertIn(line["level"], ("trace", "debug", "info"))
        removal = next(line for line in self.objects() if "path" in line)
        self.assertEqual(removal["path"], "inner/" + HOSTILE.decode(errors="replace"))
        self.assertEqual(removal["level"], "info")
        os.kill(int(mount.status()["server_pid"]), signal.SIGKILL)
        server = int(mount.status()["server_pid"])
        self.assertIn(server, [line.get("pid") for line in self.objects() if line["level"] == "warning"])

    def test_json_of_a_refusal(self):
        mount = self.mount("--log-format", "json", "--log-level", "debug")
        refuse_a_seal(mount.path)
        with self.assertRaises(OSError):
            (mount.path / ".arrayfs/new/a.npy").write_text("no_such_type 3\n")
        for text in ("refused to process", "new array a.npy: "):
            wait_until(lambda text=text: any(text in line["message"] for line in self.objects()), text)
            line = next(line for line in self.objects() if text in line["message"])
            self.assertEqual((line["pid"], line["errno"]), (os.getpid(), errno.EINVAL), line)
            self.assertIn(f"process {os.getpid()}", line["message"])

    def test_text_is_one_line_of_a_hostile_name(self):
        mount = self.mount("--log-format", "text")
        with self.assertRaises(OSError):
            (mount.path / ".arrayfs/new/a\nb.npy").write_text("no_such_type 3\n")
        self.assertIn("a\\nb.npy", self.wait_for_line("new array"))
        for line in self.lines():
            self.assertRegex(line, r"\A\[\d{4}-\d\d-\d\d .*\] \[arrayfs\] \[\w+\] ")

    def test_a_hostile_mount_point_and_stderr(self):
        point = os.fsencode(self.log.parent) + b"/" + HOSTILE
        os.mkdir(point)
        name = f"{Path(tempfile.gettempdir()).name}-log-{os.getpid()}"
        with self.log.open("wb") as stderr:
            daemon = subprocess.Popen([BINARY, "mount", point, "--foreground", "--size", "64M", "--name", name,
                                       "--log-format", "json"], stderr=stderr)
        try:
            wait_until(lambda: os.path.ismount(point) and os.path.exists(point + b"/.arrayfs"), "mounted")
            with open(point + b"/.arrayfs/status", errors="surrogateescape") as status:
                self.assertEqual(fields(status.read())["log"], "stderr")
            self.assertEqual(self.objects()[0]["mount"].encode("utf-8", "replace").count(b"\n"), 1)
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(TIMEOUT_S), 0)
            self.assertIn("is unmounted", self.objects()[-1]["message"])
        finally:
            daemon.kill()
            daemon.wait()
            other = self.log.parent / "other"
            other.mkdir()
            arrayfs("mount", str(other), "--name", name)
            arrayfs("umount", "--discard", str(other))


@unittest.skipUnless(os.geteuid() == 0, "needs a /run and a /dev of its own")
class SystemLogs(unittest.TestCase):
    """In a mount name space of this process's own, whose journal and syslog are sockets of the test."""

    @classmethod
    def setUpClass(cls):
        clone_newns = 0x20000
        if ctypes.CDLL(None, use_errno=True).unshare(clone_newns) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        cls.devices = Path(tempfile.mkdtemp())
        for command in (("mount", "--make-rprivate", "/"), ("mount", "-t", "tmpfs", "-o", "mode=755", "run", "/run"),
                        ("mount", "-t", "tmpfs", "-o", "mode=755", "dev", str(cls.devices))):
            subprocess.run(command, check=True, timeout=TIMEOUT_S)
        for name in ("fuse", "null", "urandom"):
            (cls.devices / name).touch()
            subprocess.run(("mount", "--bind", f"/dev/{name}", str(cls.devices / name)), check=True, timeout=TIMEOUT_S)
        subprocess.run(("mount", "--rbind", str(cls.devices), "/dev"), check=True, timeout=TIMEOUT_S)
        os.makedirs("/run/systemd/journal")

    def listen(self, path: str) -> socket.socket:
        listener = self.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        listener.bind(path)
        self.addCleanup(os.unlink, path)
        listener.settimeout(TIMEOUT_S)
        return listener

    def start(self, *options: str) -> Path:
        """A daemon whose standard error is the journal's, as that of a service."""
        point = Path(self.enterContext(tempfile.TemporaryDirectory()))
        stream, other = socket.socketpair()
        self.enterContext(stream)
        self.enterContext(other)
        st = os.fstat(stream.fileno())
        daemon = subprocess.Popen(
            [BINARY, "mount", str(point), "--foreground", "--size", "64M", "--io", PLANE, *options], stderr=stream,
            env={**os.environ, "JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"})

        def end():
            daemon.terminate()
            self.assertEqual(daemon.wait(TIMEOUT_S), 0)
            arrayfs("mount", str(point))
            arrayfs("umount", "--discard", str(point))

        self.addCleanup(end)
        wait_until(lambda: os.path.ismount(point) and (point / ".arrayfs").exists(), "mounted")
        return point

    def hear(self, journal: socket.socket, text: bytes) -> dict[bytes, bytes]:
        """The first entry whose message holds `text`, by the journal's own protocol."""
        while True:
            data, entry = journal.recv(1 << 18), {}
            while data:
                line, _, data = data.partition(b"\n")
                key, equals, value = line.partition(b"=")
                if not equals:
                    size = int.from_bytes(data[:8], "little")
                    value, end, data = data[8:8 + size], data[8 + size:9 + size], data[9 + size:]
                    self.assertEqual(end, b"\n")
                entry[key] = value
            if text in entry[b"MESSAGE"]:
                return entry

    def test_the_journal_gets_fields(self):
        journal = self.listen("/run/systemd/journal/socket")
        point = self.start()
        self.assertEqual(fields((point / ".arrayfs/status").read_text())["log"], "journal")
        entry = self.hear(journal, b"serves")
        self.assertEqual((entry[b"PRIORITY"], entry[b"ARRAYFS_MOUNT"], entry[b"SYSLOG_IDENTIFIER"]),
                         (b"6", os.fsencode(point), b"arrayfs"))
        expire(os.fsencode(point) + b"/" + HOSTILE)
        self.assertEqual(self.hear(journal, b"removed")[b"ARRAYFS_PATH"], HOSTILE)
        server = fields((point / ".arrayfs/status").read_text())["server_pid"]
        os.kill(int(server), signal.SIGKILL)
        entry = self.hear(journal, b"takes over")
        self.assertEqual(entry[b"PRIORITY"], b"4")
        self.assertEqual(entry[b"OBJECT_PID"].decode(),
                         fields((point / ".arrayfs/status").read_text())["server_pid"])

    def test_a_journal_that_reads_nothing_holds_nobody_up(self):
        journal = self.listen("/run/systemd/journal/socket")
        point = self.start("--log-level", "trace")
        for _ in range(2000):  # many more lines than a socket holds
            refuse_a_seal(point)
        lost = 0
        journal.setblocking(False)
        with self.assertRaises(BlockingIOError):
            while True:
                journal.recv(1 << 18)
        journal.settimeout(TIMEOUT_S)
        refuse_a_seal(point)
        while lost == 0:
            lost = int(self.hear(journal, b"").get(b"ARRAYFS_LOST_LINES", b"0"))
        self.assertEqual(fields((point / ".arrayfs/status").read_text())["restarts"], "0")

    def test_syslog(self):
        syslog = self.listen("/dev/log")
        with Mount(PLANE, "--log-format", "json", size="64M") as mount:
            said = syslog.recv(1 << 16).decode()
            line = json.loads(re.sub(r"\A<\d+>.*?arrayfs\[\d+\]: ", "", said))
            self.assertEqual((line["mount"], line["level"]), (str(mount.path), "info"))
            self.assertEqual(mount.status()["log"], "syslog")


if __name__ == "__main__":
    unittest.main()
