"""What outlives the daemon: mappings, arrays, and nothing else."""

import os
import signal
import subprocess
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import numpy as np

from support.mount import BINARY, PLANE, Mount, ended, mounts, run, wait_until
from support.peer import Peer


class Survival(unittest.TestCase):
    def setUp(self):
        self.mount = self.enterContext(Mount(PLANE, size="64M"))
        self.mount.servers_die = True
        self.path = self.mount.path / "a.npy"
        self.pid = self.mount.status()["supervisor_pid"]
        np.save(self.path, np.arange(1000.0))

    def test_umount_keeps_the_arrays(self):
        inner = self.mount.path / "inner"
        inner.mkdir(mode=0o750)
        np.save(inner / "b.npy", np.eye(3))
        (inner / "b.npy").chmod(0o640)
        os.link(inner / "b.npy", self.mount.path / "c.npy")
        os.symlink("a.npy", self.mount.path / "link")
        raw = self.mount.path / "raw.dat"
        raw.write_bytes(bytes(48))
        os.setxattr(raw, "user.array.dtype", b"<f8")
        os.setxattr(raw, "user.array.shape", b"2,3")
        os.setxattr(raw, "user.note", b"kept")
        before = sorted((p.name, p.lstat().st_mode, p.lstat().st_size, p.lstat().st_nlink, p.lstat().st_mtime_ns)
                        for p in self.mount.path.rglob("*"))
        done = run(BINARY, "umount", str(self.mount.path))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--discard", done.stdout)
        self.assertNotIn(str(self.mount.path), mounts())
        self.assertEqual(list(self.mount.path.iterdir()), [])
        wait_until(lambda: ended(self.pid), "the daemon ends")
        self.mount.mount()
        after = sorted((p.name, p.lstat().st_mode, p.lstat().st_size, p.lstat().st_nlink, p.lstat().st_mtime_ns)
                       for p in self.mount.path.rglob("*"))
        self.assertEqual(before, after)
        self.assertEqual(np.load(self.path).sum(), 499_500)
        self.assertEqual(self.mount.info("raw.dat")["shape"], "(2, 3)")
        self.assertEqual(os.getxattr(raw, "user.note"), b"kept")

    def test_discard_frees_the_arrays(self):
        store = self.mount.status()["store_path"]
        self.mount.umount("--discard")
        wait_until(lambda: ended(self.pid), "the daemon ends")
        self.assertFalse(os.path.exists(store))
        self.assertNotIn(store, mounts())
        self.mount.mount()
        self.assertEqual(list(self.mount.path.iterdir()), [])

    def test_killed_daemon(self):
        with Peer(self.path) as peer:
            self.mount.kill()
            if PLANE == "passthrough":
                peer.do("a[0] = 500; a[999] += 1")
                self.assertEqual(peer.ask("a.sum()"), "500001.0")
            self.mount.mount()
            self.assertNotEqual(self.mount.status()["supervisor_pid"], self.pid)
            if PLANE == "passthrough":
                self.assertEqual(np.load(self.path).sum(), 500_001)
                again = np.load(self.path, mmap_mode="r+")
                peer.do("a[1] = -1")
                self.assertEqual(again[1], -1)
                del again
            else:
                self.assertEqual(np.load(self.path).sum(), 499_500)

    def test_killed_server(self):
        """It is replaced, and programs notice nothing: not even one that has a file open on the cached plane."""
        raw = self.mount.path / "raw"
        with Peer(self.path) as peer, raw.open("wb+", buffering=0) as file, os.scandir(self.mount.path) as entries:
            for death, number in enumerate((signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGSTOP), 1):
                os.kill(int(self.mount.status()["server_pid"]), number)
                file.write(b"x")
                peer.do(f"a[0] = {death}")
                self.assertEqual(np.load(self.path)[0], death)
                self.assertEqual(raw.stat().st_size, death)
            self.assertEqual(sorted(entry.name for entry in entries), ["a.npy", "raw"])
            status = self.mount.status()
            self.assertEqual((status["restarts"], status["supervisor_pid"]), ("4", self.pid))
            self.assertIn("stopped", status["last_restart"])
        raw.unlink()
        self.assertEqual(self.mount.status()["open_files"], "0")

    def test_killed_supervisor(self):
        """The server goes on alone, until it ends too."""
        with Peer(self.path) as peer:
            os.kill(int(self.pid), signal.SIGKILL)
            wait_until(lambda: self.mount.status()["supervisor_pid"] == "killed", "it is noticed")
            np.save(self.mount.path / "b.npy", np.eye(2))
            server = self.mount.status()["server_pid"]
            os.kill(int(server), signal.SIGKILL)
            wait_until(lambda: ended(server), "the server is dead")
            if PLANE == "passthrough":
                self.assertEqual(peer.ask("a.sum()"), "499500.0")
            self.mount.mount()
            self.assertEqual(np.load(self.mount.path / "b.npy").sum(), 2)

    def test_a_view_goes_on_under_another_server(self):
        with (self.mount.path / ".arrayfs/info/a.npy").open("rb", buffering=0) as view:
            first = view.read(10)
            os.kill(int(self.mount.status()["server_pid"]), signal.SIGKILL)
            self.assertIn(b"(1000,)", first + view.read())

    def test_upgrade(self):
        with Peer(self.path) as peer:
            before = self.mount.status()
            done = run(BINARY, "upgrade", str(self.mount.path))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("is served by version", done.stdout)
            status = self.mount.status()
            self.assertEqual((status["upgrades"], status["supervisor_pid"]), ("1", self.pid))
            self.assertNotEqual(status["server_pid"], before["server_pid"])
            peer.do("a[0] = 1")
            self.assertEqual(np.load(self.path)[0], 1)
        refused = run(BINARY, "upgrade", "/")
        self.assertEqual((refused.returncode, len(refused.stderr.splitlines())), (1, 1))

    def test_a_new_program_that_cannot_take_over(self):
        """The old one goes on, and can be upgraded again."""
        switch = Path(self.enterContext(tempfile.TemporaryDirectory())) / "fault"
        raw = self.mount.path / "raw"
        self.mount.umount()
        with unittest.mock.patch.dict(os.environ, ARRAYFS_FAULT_FILE=str(switch)):
            self.mount.mount()
        before = self.mount.status()
        for fault, why in (("resume: adopted", "ended by signal 9"), ("!resume: adopted", "ended by signal 6")):
            switch.write_bytes(fault.encode().ljust(65536, b"\0"))
            with self.subTest(why), Peer(self.path) as peer, raw.open("wb+", buffering=0) as file:
                restarts = int(self.mount.status()["restarts"])
                done = run(os.environ["ARRAYFS_FAULTY"], "upgrade", str(self.mount.path))
                self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), done.stderr)
                self.assertIn(f"the new program could not take over: {why}", done.stderr)
                file.write(b"x")
                peer.do("a[0] = 1")
                self.assertEqual(np.load(self.path)[0], 1)
            status = self.mount.status()
            self.assertIn(why, status["last_restart"])
            self.assertEqual((status["upgrades"], status["supervisor_pid"], int(status["restarts"])),
                             ("0", before["supervisor_pid"], restarts + 1))
            for pid in (status["supervisor_pid"], status["server_pid"]):
                self.assertEqual(os.readlink(f"/proc/{pid}/exe"), os.path.realpath(BINARY))
                self.assertEqual(Path(f"/proc/{pid}/comm").read_text(), "arrayfs\n")
        os.kill(int(self.mount.status()["server_pid"]), signal.SIGKILL)
        self.assertEqual(np.load(self.path)[0], 1)
        switch.write_bytes(bytes(65536))
        self.assertEqual(run(os.environ["ARRAYFS_FAULTY"], "upgrade", str(self.mount.path)).returncode, 0)
        status = self.mount.status()
        self.assertEqual((status["upgrades"], status["last_restart"]), ("1", "upgraded"))
        self.assertNotEqual(os.readlink(f"/proc/{status['server_pid']}/exe"), os.path.realpath(BINARY))

    def test_killed_daemon_then_umount(self):
        self.mount.kill()
        self.mount.umount()
        self.assertNotIn(str(self.mount.path), mounts())
        self.mount.mount()
        self.assertEqual(np.load(self.path).sum(), 499_500)

    def test_signals_stop_it_cleanly(self):
        for stop in (signal.SIGTERM, signal.SIGINT):
            self.mount.stop(stop)
            self.assertNotIn(str(self.mount.path), mounts())
            self.mount.mount()
            self.assertEqual(np.load(self.path).sum(), 499_500)

    def test_plain_umount_stops_it(self):
        self.assertEqual(run("umount", str(self.mount.path)).returncode, 0)
        wait_until(lambda: ended(self.pid), "the daemon ends")
        self.mount.mount()
        self.assertEqual(np.load(self.path).sum(), 499_500)

    def test_foreground(self):
        self.mount.umount()
        server = subprocess.Popen(
            [BINARY, "mount", str(self.mount.path), "--name", self.mount.name, "--io", PLANE, "--foreground"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        wait_until(lambda: str(self.mount.path) in mounts(), "mounted")
        self.assertEqual(self.mount.status()["supervisor_pid"], str(server.pid))
        self.assertEqual(np.load(self.path).sum(), 499_500)
        server.send_signal(signal.SIGINT)
        self.assertEqual((server.wait(60), str(self.mount.path) in mounts()), (0, False))
        server.stderr.close()
        self.mount.mount()

    def test_umount_of_a_mount_in_use(self):
        with Peer(self.path) as peer:
            refused = run(BINARY, "umount", str(self.mount.path))
            self.assertEqual((refused.returncode, len(refused.stderr.splitlines())), (1, 1), refused.stderr)
            self.assertIn(str(self.mount.path), mounts())
            peer.do("a[0] = 1")
            self.mount.umount("--lazy")
            self.assertNotIn(str(self.mount.path), mounts())
            peer.do("a[0] = 2")
            self.assertEqual(peer.ask("a[0]"), "2.0")
        wait_until(lambda: ended(self.pid), "the daemon ends after the last user")
        self.mount.mount()
        self.assertEqual(np.load(self.path)[0], 2)

    def test_the_daemon_holds_nothing_of_its_caller(self):
        process = Path(f"/proc/{self.pid}")
        self.assertEqual(os.readlink(process / "cwd"), "/")
        targets = [os.readlink(process / f"fd/{number}") for number in (0, 1, 2)]
        self.assertEqual(targets, ["/dev/null"] * 3)


if __name__ == "__main__":
    unittest.main()
