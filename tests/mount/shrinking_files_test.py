"""Commands whose file becomes smaller while they read it, or has holes for which there is no memory."""

import json
import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np

from support.mount import BINARY, TIMEOUT_S, Mount, PlainDirectory, run, wait_until

COUNT = 2_000_000


def ended_or_maps(process: subprocess.Popen, path: Path) -> bool:
    try:
        mapped = str(path) in Path(f"/proc/{process.pid}/maps").read_text()
    except OSError:
        mapped = False
    return mapped or process.poll() is not None


class ShrinkingFiles(unittest.TestCase):
    def setUp(self):
        self.shared = self.enterContext(PlainDirectory()).path
        self.files = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.path = self.shared / "w.npy"

    def start(self, *arguments: str) -> subprocess.Popen:
        process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        return process

    def assert_says(self, status: int, error: str, path: Path, reason: str) -> None:
        self.assertEqual((status, len(error.splitlines())), (1, 1), error)
        self.assertTrue(error.startswith(f"arrayfs: {path}: {reason}"), error)

    def interrupted(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, output and errors of a command that was stopped while its file was cut off."""
        while True:
            np.save(self.path, np.arange(COUNT, dtype="f8"))
            process = self.start(*arguments)
            wait_until(lambda: ended_or_maps(process, self.path), "the file is mapped")
            process.send_signal(signal.SIGSTOP)
            os.truncate(self.path, 4096)
            process.send_signal(signal.SIGCONT)
            output, error = process.communicate(timeout=TIMEOUT_S)
            if process.returncode != 0:  # 0: it had read everything before it was stopped
                return process.returncode, output, error

    def test_every_command_says_it_in_one_line(self):
        made = self.files / "made"
        for arguments in (("show", "--full", "PATH"), ("stats", "PATH"), ("stats", "PATH", "[::-3]"), ("plot", "PATH"),
                          ("plot", "PATH", "-o", f"{made}.png"), ("create", f"{made}.npy", "--from", "PATH"),
                          ("import", "PATH", f"{made}.npy")):
            with self.subTest(arguments):
                status, output, error = self.interrupted(*(str(self.path) if word == "PATH" else word for word in arguments))
                self.assert_says(status, error, self.path, "became smaller while it was read")
                self.assertEqual((output, os.listdir(self.files)), ("", []))

    def test_json_is_left_unfinished(self):
        np.save(self.path, np.arange(COUNT, dtype="f8"))
        process = self.start("show", "--json", str(self.path))
        begun = process.stdout.read(100)  # the rest does not fit into the pipe
        os.truncate(self.path, 4096)
        rest, error = process.communicate(timeout=TIMEOUT_S)
        self.assert_says(process.returncode, error, self.path, "became smaller while it was read")
        with self.assertRaises(json.JSONDecodeError):
            json.loads(begun + rest)

    def test_a_file_cut_off_within_its_last_page(self):
        np.save(self.path, np.arange(200, dtype="f8"))
        whole = self.path.read_bytes()
        (self.shared / "cut.npy").write_bytes(whole[:1000])
        done = run(BINARY, "show", str(self.shared / "cut.npy"))
        self.assertEqual((done.returncode, len(done.stderr.splitlines()), done.stdout), (1, 1, ""), done)

    def test_holes_for_which_there_is_no_memory(self):
        with Mount("passthrough", "--sparse", size="8M") as mount:
            path = mount.path / "holes.npy"
            np.lib.format.open_memmap(path, "w+", "f8", (8_000_000,)).flush()
            for arguments in (("stats", str(path)), ("plot", str(path)), ("show", str(path), "[:4000000:100]", "--full"),
                              ("import", str(path), str(self.files / "copy.npy"))):
                with self.subTest(arguments[0]):
                    done = run(BINARY, *arguments)
                    self.assert_says(done.returncode, done.stderr, path, "a part of it could not be read")
                    self.assertEqual((done.stdout, os.listdir(self.files)), ("", []))


if __name__ == "__main__":
    unittest.main()
