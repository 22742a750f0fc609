"""`arrayfs lock`: a command runs while the lock is held, in an ordinary directory, too."""

import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import arrayfs

BINARY = os.environ["ARRAYFS_BIN"]


class LockCommand(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = str(Path(directory.name) / "w.npy")
        arrayfs.create(self.path, "int64", (200, 3))

    def start(self, *arguments: str) -> subprocess.Popen:
        """Begins to hold the lock until its standard input is closed; returns once it does."""
        command = [BINARY, "lock", *arguments, self.path, "--", "sh", "-c", "echo held; read line"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.assertEqual(process.stdout.readline(), "held\n")
        return process

    def run_locked(self, *arguments: str, command=("true",)) -> subprocess.CompletedProcess:
        full = [BINARY, "lock", *arguments, self.path, "--", *command]
        return subprocess.run(full, capture_output=True, text=True, timeout=60, check=False)

    def test_exit_status_and_options_of_the_command(self):
        self.assertEqual(self.run_locked().returncode, 0)
        self.assertEqual(self.run_locked(command=["sh", "-c", "exit 7"]).returncode, 7)
        self.assertEqual(self.run_locked(command=["sh", "-c", "kill -TERM $$"]).returncode, 128 + 15)
        missing = self.run_locked(command=["/missing/command"])
        self.assertEqual((missing.returncode, "/missing/command" in missing.stderr), (127, True))

    def test_excludes_python_and_itself(self):
        self.start()
        with self.assertRaises(TimeoutError):
            arrayfs.lock(self.path, timeout=0).__enter__()
        refused = self.run_locked("--timeout", "0")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("w.npy: held by another", refused.stderr)

    def test_readers_share(self):
        self.start("--shared")
        with arrayfs.lock(self.path, shared=True, timeout=0):
            self.assertEqual(self.run_locked("--shared", "--timeout", "0").returncode, 0)
        self.assertEqual(self.run_locked("--timeout", "0").returncode, 1)

    def test_rows(self):
        self.start("--range", "0:100")
        self.assertEqual(self.run_locked("--range", "100:200", "--timeout", "0").returncode, 0)
        self.assertEqual(self.run_locked("--range", "99:101", "--timeout", "0").returncode, 1)
        with self.assertRaises(TimeoutError):
            arrayfs.lock(self.path, rows=(5, 6), timeout=0).__enter__()

    def test_killed_it_takes_the_command_along_and_the_next_is_told(self):
        holder = self.start()
        holder.send_signal(signal.SIGKILL)
        # The command held the pipe's other end until it was killed.
        self.assertEqual(holder.stdout.read(), "")
        holder.wait()
        told = self.run_locked()
        self.assertEqual(told.returncode, 0)
        self.assertIn("the last owner of the lock died", told.stderr)
        self.assertEqual(self.run_locked().stderr, "")

    def test_refusals(self):
        for rows in ["", "5", "5:5", "7:3", "0:201", "a:b", "0:10:2", "-1:4"]:
            with self.subTest(rows=rows):
                done = self.run_locked(f"--range={rows}")
                self.assertIn(done.returncode, (1, 2))
                self.assertNotEqual(done.stderr, "")
        self.path += ".missing"
        done = self.run_locked()
        self.assertEqual((done.returncode, "w.npy.missing" in done.stderr), (1, True))
        usage = subprocess.run([BINARY, "lock", self.path], capture_output=True, check=False)
        self.assertEqual(usage.returncode, 2)


if __name__ == "__main__":
    unittest.main()
