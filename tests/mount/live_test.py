"""`wait/PATH`, `events`, `new/PATH`: programs that wait, and arrays that are made by writing one line."""

import errno
import json
import os
import select
import signal
import subprocess
import threading
import unittest
from collections.abc import Callable
from pathlib import Path

import numpy as np

from support.mount import BINARY, TIMEOUT_S, Mount, arrayfs, run, wait_until

USER = 65534


def read_line(path: Path) -> dict:
    """One line of JSON from a file that may keep the reader waiting."""
    with path.open() as file:
        return json.loads(file.readline())


class Live(unittest.TestCase):
    def setUp(self):
        self.mount = self.enterContext(Mount(size="64M"))
        self.control = self.mount.path / ".arrayfs"
        self.array = self.mount.path / "w.npy"
        np.save(self.array, np.zeros(4))

    def waiting(self, path: str, act: Callable[[], object]) -> dict:
        """What a reader of `wait/PATH` is told when something is done after it began to wait."""
        fd = os.open(self.control / "wait" / path, os.O_RDONLY)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            self.assertEqual(poll.poll(0), [])
            act()
            self.assertEqual([event for _, event in poll.poll(TIMEOUT_S * 1000)], [select.POLLIN])
            line = os.read(fd, 4096)
            self.assertEqual(os.read(fd, 4096), b"")
            return json.loads(line)
        finally:
            os.close(fd)


class Waiting(Live):
    def test_what_ends_the_waiting(self):
        other = self.mount.path / "other.npy"
        changes: dict[str, Callable[[], object]] = {
            "published": lambda: np.save(self.array, np.ones(3)),
            "resized": lambda: os.truncate(self.array, 4096),
            "sealed": lambda: os.setxattr(self.array, "user.array.sealed", b"1"),
            "unsealed": lambda: os.setxattr(self.array, "user.array.sealed", b"0"),
            "notified": lambda: arrayfs("notify", str(self.array)),
            "renamed": lambda: os.rename(other, self.array),
            "removed": lambda: os.unlink(self.array),
        }
        for event, act in changes.items():
            np.save(other, np.arange(5))
            with self.subTest(event):
                told = self.waiting("w.npy", act)
                self.assertEqual((told["event"], told["path"]), (event, "w.npy"))

    def test_a_new_version_under_a_reader(self):
        reader = np.load(self.array, mmap_mode="r")
        told = self.waiting("w.npy", lambda: np.save(self.array, np.ones(7)))
        self.assertEqual((told["event"], told["version"]), ("published", 2))
        self.assertEqual(reader.shape, (4,))

    def test_a_blocked_read_and_small_reads(self):
        command = ["sh", "-c", "echo waits; read line; echo \"$line\""]
        with (self.control / "wait/w.npy").open() as place, \
                subprocess.Popen(command, stdin=place, stdout=subprocess.PIPE, text=True) as reader:
            self.assertEqual(reader.stdout.readline(), "waits\n")
            np.save(self.array, np.ones(3))
            self.assertEqual(json.loads(reader.stdout.readline())["event"], "published")

    def test_signals_end_the_waiting(self):
        with subprocess.Popen(["cat", str(self.control / "wait/w.npy")], stdout=subprocess.DEVNULL) as reader:
            wait_until(lambda: os.path.exists(f"/proc/{reader.pid}/fd/3"), "it is open")
            reader.send_signal(signal.SIGTERM)
            self.assertEqual(reader.wait(TIMEOUT_S), -signal.SIGTERM)

    def test_the_command(self):
        late = run(BINARY, "wait", "--timeout", "0.1", str(self.array))
        self.assertEqual((late.returncode, late.stdout), (1, ""))
        self.assertIn("did not change", late.stderr)
        with subprocess.Popen([BINARY, "wait", str(self.array)], stdout=subprocess.PIPE, text=True) as waiting:
            # It may not wait yet: it is told until it was.
            while waiting.poll() is None:
                arrayfs("notify", str(self.array))
            self.assertEqual(json.loads(waiting.stdout.read())["event"], "notified")

    def test_a_thousand_waiters_none_of_them_lost(self):
        fds = [os.open(self.control / "wait/w.npy", os.O_RDONLY) for _ in range(1000)]
        told: list[bytes] = []
        threads = [threading.Thread(target=lambda fd=fd: told.append(os.read(fd, 4096))) for fd in fds]
        for thread in threads:
            thread.start()
        np.save(self.array, np.ones(3))
        for thread in threads:
            thread.join(TIMEOUT_S)
        for fd in fds:
            os.close(fd)
        self.assertEqual({json.loads(line)["event"] for line in told}, {"published"})
        self.assertEqual(len(told), len(fds))

    def test_waiting_goes_on_under_another_server(self):
        self.mount.servers_die = True
        fd = os.open(self.control / "wait/w.npy", os.O_RDONLY)
        events = os.open(self.control / "events", os.O_RDONLY)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        told = []
        reader = threading.Thread(target=lambda: told.append(read_line(self.control / "wait/w.npy")))
        reader.start()
        poller = threading.Thread(target=lambda: told.append(poll.poll(TIMEOUT_S * 1000)))
        poller.start()
        for _ in range(3):
            os.kill(int(self.mount.status()["server_pid"]), signal.SIGKILL)
        np.save(self.array, np.ones(3))
        for thread in (reader, poller):
            thread.join(TIMEOUT_S)
            self.assertFalse(thread.is_alive())
        self.assertEqual(json.loads(os.read(fd, 4096))["event"], "published")
        seen = [json.loads(line)["event"] for line in os.read(events, 65536).splitlines()]
        self.assertEqual(seen[-1], "published")
        os.close(fd)
        os.close(events)

    def test_only_who_may_write_notifies(self):
        place = self.control / "wait/w.npy"
        self.assertEqual(place.stat().st_mode & 0o777, 0o644)
        pid = os.fork()
        if pid == 0:
            os.setuid(USER)
            try:
                os.open(place, os.O_WRONLY)
            except PermissionError:
                os._exit(0)
            os._exit(1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)


class Events(Live):
    def test_everything_that_happens(self):
        with (self.control / "events").open("rb", buffering=0) as events:
            np.save(self.mount.path / "new.npy", np.zeros(3))
            os.rename(self.mount.path / "new.npy", self.mount.path / "named.npy")
            os.unlink(self.mount.path / "named.npy")
            lines: list[dict] = []
            while not lines or lines[-1]["event"] != "removed":
                lines += [json.loads(line) for line in events.read(65536).splitlines()]
        kinds = [line["event"] for line in lines]
        self.assertEqual([kind for kind in kinds if kind not in ("opened", "released")],
                         ["created", "published", "renamed", "removed"])
        renamed = lines[kinds.index("renamed")]
        self.assertEqual((renamed["path"], renamed["from"]), ("named.npy", "new.npy"))
        self.assertEqual(lines[kinds.index("created")]["pid"], os.getpid())

    def test_pieces_of_any_size_make_the_same_stream(self):
        whole, pieces = (os.open(self.control / "events", os.O_RDONLY) for _ in range(2))
        for turn in range(5):
            np.save(self.array, np.zeros(turn))
        expected = os.read(whole, 65536)
        got = b""
        while len(got) < len(expected):
            got += os.read(pieces, 7)
        self.assertEqual(got, expected)
        os.close(whole)
        os.close(pieces)

    def test_a_slow_reader_is_told_what_it_missed(self):
        fd = os.open(self.control / "events", os.O_RDONLY)
        for _ in range(1500):
            (self.control / "wait/w.npy").write_text("x")
        first = json.loads(os.read(fd, 65536).splitlines()[0])
        self.assertEqual(first["event"], "lost")
        self.assertGreaterEqual(first["count"], 400)
        os.close(fd)

    def test_too_many_readers_are_refused(self):
        fds = []
        with self.assertRaises(OSError) as refused:
            for _ in range(100):
                fds.append(os.open(self.control / "events", os.O_RDONLY))
        self.assertEqual(refused.exception.errno, errno.EMFILE)
        for fd in fds:
            os.close(fd)
        os.close(os.open(self.control / "events", os.O_RDONLY))


class Making(Live):
    def make(self, path: str, line: str) -> None:
        (self.control / "new" / path).write_text(line)

    def test_arrays_of_all_kinds(self):
        lines = {
            "float32 3,4": np.zeros((3, 4), "f4"),
            "float32 3,4 order=F fill=1.5\n": np.full((3, 4), 1.5, "f4", order="F"),
            "[('x', '<f8'), ('name', 'S4')] (2, 2)": np.zeros((2, 2), [("x", "<f8"), ("name", "S4")]),
            "bool () fill=True": np.array(True),
            ">i2 0": np.zeros(0, ">i2"),
            "datetime64[ns] 2 fill=2020-01-01": np.full(2, "2020-01-01", "M8[ns]"),
            "S5 2 fill='a b'": np.full(2, b"a b", "S5"),
        }
        (self.mount.path / "sub").mkdir()
        for number, (line, expected) in enumerate(lines.items()):
            with self.subTest(line):
                path = f"sub/{number}.npy"
                self.make(path, line)
                made = np.load(self.mount.path / path)
                np.testing.assert_array_equal(made, expected)
                self.assertEqual((made.dtype, made.flags.f_contiguous), (expected.dtype, expected.flags.f_contiguous))
                st = (self.mount.path / path).stat()
                self.assertGreaterEqual(st.st_blocks * 512, made.nbytes)
                # What it says of an array makes another one like it.
                self.make(f"sub/{number}-again.npy", (self.control / "new" / path).read_text())
                self.assertEqual(np.load(self.mount.path / f"sub/{number}-again.npy").dtype, expected.dtype)

    def test_what_is_refused(self):
        refused = {
            "": None, "float32": errno.EINVAL, "float33 3": errno.EINVAL, "float32 -3": errno.EINVAL,
            "float32 3 order=X": errno.EINVAL, "float32 3 fill=x": errno.EINVAL, "float32 3 what": errno.EINVAL,
            "[('x' 3": errno.EINVAL, "object 3": errno.EINVAL, "float64 100000000": errno.ENOSPC,
            "float64 9223372036854775807": errno.EOVERFLOW,
        }
        for line, code in refused.items():
            with self.subTest(line):
                if code is None:
                    self.make("new.npy", line)
                else:
                    with self.assertRaises(OSError) as error:
                        self.make("new.npy", line)
                    self.assertEqual(errno.errorcode[error.exception.errno], errno.errorcode[code])
                self.assertEqual(os.listdir(self.mount.path), ["w.npy"])

    def test_it_is_listed_at_once(self):
        for number in range(20):
            names = os.listdir(self.mount.path)
            self.assertEqual(os.listdir(self.mount.path), names)  # what the kernel keeps
            self.make(f"{number}.npy", "float32 3")
            self.assertEqual(set(os.listdir(self.mount.path)) - set(names), {f"{number}.npy"})

    def test_the_reason_is_read_where_the_line_was_written(self):
        reasons = {
            "flot32 3": (errno.EINVAL, "flot32"), "float32 3 order=X": (errno.EINVAL, "order is C or F"),
            "float64 9223372036854775807": (errno.EOVERFLOW, "does not fit 64 bits"),
            "float64 100000000": (errno.ENOSPC, os.strerror(errno.ENOSPC)),
        }
        fd = os.open(self.control / "new/new.npy", os.O_RDWR | os.O_CREAT)
        try:
            for line, (code, reason) in reasons.items():
                with self.subTest(line):
                    with self.assertRaises(OSError) as refused:
                        os.write(fd, line.encode())
                    self.assertEqual(errno.errorcode[refused.exception.errno], errno.errorcode[code])
                    told = os.read(fd, 65536).decode()
                    os.close(fd)
                    fd = os.open(self.control / "new/new.npy", os.O_RDWR | os.O_CREAT)
                    self.assertRegex(told, f"^new.npy: .*{reason}.*\n$")
            # What was refused can be mended.
            with self.assertRaises(OSError):
                os.write(fd, b"flot32 3")
            os.write(fd, b"float32 3")
        finally:
            os.close(fd)
        self.assertEqual(np.load(self.mount.path / "new.npy").dtype, np.float32)

    def test_the_reason_in_a_shell(self):
        line = next(line for line in self.mount.control("README").splitlines() if "cat <&3" in line).strip()
        done = run("sh", "-c", line.replace("PATH", "x.npy"), cwd=self.control)
        self.assertRegex(done.stdout, "^x.npy: .*flot32.*\n$", line)
        self.assertIn("new/x.npy", line.replace("PATH", "x.npy"))
        self.assertEqual(os.listdir(self.mount.path), ["w.npy"])

    def test_names_that_cannot_be(self):
        for path, code in (("x" * 256, errno.ENAMETOOLONG), ("w.npy", errno.EEXIST), ("no/x.npy", errno.ENOENT)):
            with self.subTest(path), self.assertRaises(OSError) as refused:
                self.make(path, "float32 3")
            self.assertEqual(errno.errorcode[refused.exception.errno], errno.errorcode[code])

    def test_nothing_is_overwritten(self):
        with self.assertRaises(FileExistsError):
            self.make("w.npy", "float32 3")
        self.assertEqual(np.load(self.array).shape, (4,))
        self.assertRaises(FileNotFoundError, self.make, "missing/w.npy", "float32 3")

    def test_it_belongs_to_who_made_it(self):
        open_to_all = self.mount.path / "open"
        open_to_all.mkdir()
        open_to_all.chmod(0o1777)
        pid = os.fork()
        if pid == 0:
            os.setgid(USER)
            os.setuid(USER)
            os.umask(0o027)
            try:
                self.make("open/mine.npy", "float32 3")
            except OSError:
                os._exit(1)
            try:
                self.make("root.npy", "float32 3")
            except PermissionError:
                os._exit(0)
            os._exit(2)
        self.mount.path.chmod(0o755)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        st = (open_to_all / "mine.npy").stat()
        self.assertEqual((st.st_uid, st.st_gid, st.st_mode & 0o777), (USER, USER, 0o640))

    def test_a_server_dies_while_it_is_made(self):
        self.mount.servers_die = True
        with (self.control / "new/a.npy").open("w") as file:
            os.kill(int(self.mount.status()["server_pid"]), signal.SIGKILL)
            file.write("float32 3,4 fill=2")
        self.assertEqual(float(np.load(self.mount.path / "a.npy").sum()), 24)


class Users(Live):
    def test_who_has_it_open_and_who_maps_it(self):
        def shown() -> tuple[str, str]:
            info = self.mount.info("w.npy")
            return info["open_by"], info["mapped_by"]

        self.assertEqual(shown(), ("nobody", "nobody"))
        command = Path("/proc/self/comm").read_text().strip()
        with self.array.open("rb"):
            self.assertEqual(shown()[0], f"pid {os.getpid()} ({command}, reads)")
        mapped = np.load(self.array, mmap_mode="r+")
        self.assertEqual(shown()[1], f"pid {os.getpid()} ({command}, writes)")
        told = json.loads(self.mount.control("json/w.npy.json"))
        self.assertEqual(told["mapped_by"], [{"pid": os.getpid(), "command": command, "writes": True}])
        del mapped
        wait_until(lambda: shown() == ("nobody", "nobody"), "it is closed")


if __name__ == "__main__":
    unittest.main()
