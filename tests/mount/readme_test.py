"""The README's transcripts, run as written in mount name spaces of their own, show what the README shows.

What differs from run to run is left out on both sides: times, process numbers, and how much memory the huge pages of
this machine round up to.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
from PIL import Image

from support.mount import BINARY, TIMEOUT_S

README = Path(__file__).parents[2] / "README.md"
PICTURE = README.parent / "packaging/images/heatmap.png"
# Whatever is mounted there, and what other daemons keep, is out of sight; the rest ends with the name space.
PREPARE = """
mount --make-rprivate /
mount -t tmpfs none /mnt
mount -t tmpfs -o mode=755 none /run
exec 2>&1
"""
END = "arrayfs umount --discard /mnt/demo\n"
MARK = "---- command "
VARYING = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\b\d+ (s|min|h) ago", "AGO"),
    (r"(pid:?|_pid:|acquired by) \d+", r"\1 PID"),
    (r'"number":\d+', '"number":N'),
    (r"allocated: \d+", "allocated: BYTES"),
    (r"(kept \d+ files) \([^)]+\)", r"\1 (BYTES)"),
    (r"MiB +\d+\.\d MiB|AGO +\d+\.\d MiB", "ALLOCATED"),
    (r"[ \t]+", " "),
)


def transcripts() -> list[tuple[str, str]]:
    """Each command of the README, with its further lines, and what is shown below it."""
    found = []
    for block in re.findall(r"^```\n([$#] .*?)^```", README.read_text(), re.MULTILINE | re.DOTALL):
        for part in re.split(r"^[$#] ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines(keepends=True)
            further = [line for line in lines[1:] if line.startswith("> ")]
            found.append((lines[0] + "".join(line[2:] for line in further), "".join(lines[1 + len(further):])))
    return found


def lasting(text: str) -> str:
    """What should be the same in every run."""
    for pattern, name in VARYING:
        text = re.sub(pattern, name, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


@unittest.skipUnless(os.geteuid() == 0, "needs mount name spaces")
class Readme(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        commands = self.directory / "bin"
        commands.mkdir()
        (commands / "arrayfs").symlink_to(BINARY)
        (commands / "python3").symlink_to(sys.executable)
        self.environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}

    def shown(self, commands: list[str]) -> list[str]:
        """What each of the commands prints, one after the other in one shell."""
        script = PREPARE + "".join(f"echo '{MARK}'\n{command}" for command in commands) + f"echo '{MARK}'\n" + END
        done = subprocess.run(["unshare", "-m", "bash", "-c", script], cwd=self.directory, env=self.environment,
                              stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False)
        return done.stdout.split(MARK + "\n")[1:-1]

    def test_transcripts(self):
        expected = transcripts()
        self.assertGreater(len(expected), 20)
        shown = self.shown([command for command, _ in expected])
        self.assertEqual(len(shown), len(expected), shown)
        self.assertEqual(lasting("".join(f"$ {command}{text}" for (command, _), text in zip(expected, shown))),
                         lasting("".join(f"$ {command}{text}" for command, text in expected)))
        with Image.open(self.directory / "heatmap.png") as made, Image.open(PICTURE) as kept:
            self.assertTrue(np.array_equal(np.asarray(made), np.asarray(kept)), f"{PICTURE} is another picture")


if __name__ == "__main__":
    unittest.main()
