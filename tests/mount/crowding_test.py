"""What some users do with views holds up nobody else: readers that stall, statistics of large arrays by many at once."""

import json
import os
import subprocess
import threading
import unittest

import numpy as np

from support.mount import TIMEOUT_S, Mount, run, wait_until

OTHER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
# More than the daemon has threads for views, and for everything else.
STALLED = 40
AT_ONCE = 32
# Who has to wait for the statistics that were asked for before has an answer when all but a few are done.
NEARLY_ALL = AT_ONCE - 6


class Crowding(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mount = cls.enterClassContext(Mount(size="384M"))
        cls.mount.path.chmod(0o777)
        cls.large = cls.mount.path / "large.npy"
        np.save(cls.large, np.arange(16_000_000, dtype="f8"))
        np.save(cls.mount.path / "small.npy", np.arange(6).reshape(2, 3))
        cls.control = cls.mount.path / ".arrayfs"

    def other_user(self, *command: str) -> str:
        done = run(*OTHER, *command)
        self.assertEqual((done.returncode, done.stderr), (0, ""), command)
        return done.stdout

    def answer_the_other_user(self):
        """Everything that another user may want of the daemon meanwhile."""
        small = self.mount.path / "small.npy"
        new = self.mount.path / "new.dat"
        self.assertEqual(self.other_user("stat", "-c", "%s", str(small)), f"{128 + 48}\n")
        self.assertEqual(self.other_user("tail", "-c", "+129", str(small)).count("\0"), 48 - 5)
        self.assertIn("shape: (2, 3)", self.other_user("cat", str(self.control / "info/small.npy")))
        self.assertEqual(json.loads(self.other_user("cat", str(self.control / "json/small.npy.json")))["shape"], [2, 3])
        self.other_user("truncate", "-s", "1M", str(new))
        self.other_user("rm", str(new))
        self.assertIn("plane", self.other_user("cat", str(self.control / "status")))


class Stalled(Crowding):
    def test_readers_that_stall(self):
        path = self.control / "csv/large.npy.csv"
        fds = [os.open(path, os.O_RDONLY) for _ in range(STALLED)]
        try:
            for fd in fds:
                self.assertTrue(os.read(fd, 65536).startswith(b"0.0\n1.0\n"))
            self.answer_the_other_user()
            self.assertEqual(self.other_user("cat", str(self.control / "csv/small.npy.csv")), "0,1,2\n3,4,5\n")
        finally:
            for fd in fds:
                os.close(fd)

    def test_programs_that_are_stopped(self):
        readers = [subprocess.Popen(["cat", str(self.control / "csv/large.npy.csv")], stdout=subprocess.PIPE)
                   for _ in range(STALLED)]
        try:
            for reader in readers:  # nobody takes more of it: the pipe is full
                self.assertEqual(reader.stdout.read(4), b"0.0\n")
            self.answer_the_other_user()
        finally:
            for reader in readers:
                reader.kill()
                reader.communicate(timeout=TIMEOUT_S)


class Statistics(Crowding):
    def setUp(self):
        self.begun = 0
        self.done = 0
        self.threads = [threading.Thread(target=self.ask) for _ in range(AT_ONCE)]
        for thread in self.threads:
            thread.start()
        wait_until(lambda: self.begun == AT_ONCE, "all have asked")

    def ask(self):
        self.begun += 1
        text = (self.control / "stats/large.npy").read_text()
        self.done += 1
        assert "count: 16000000" in text, text

    def tearDown(self):
        for thread in self.threads:
            thread.join(4 * TIMEOUT_S)
            self.assertFalse(thread.is_alive())

    def test_quick_things_go_on(self):
        self.answer_the_other_user()
        self.assertLess(self.done, NEARLY_ALL)

    def test_slow_views_of_others_go_on(self):
        self.assertEqual(self.other_user("cat", str(self.control / "csv/small.npy.csv")), "0,1,2\n3,4,5\n")
        self.assertIn("count: 6", self.other_user("cat", str(self.control / "stats/small.npy")))
        self.assertLess(self.done, NEARLY_ALL)


if __name__ == "__main__":
    unittest.main()
