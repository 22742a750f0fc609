"""A second process that maps an array and answers questions about it."""

import select
import subprocess
import sys
from pathlib import Path

from support.mount import TIMEOUT_S

_PROGRAM = """
import sys
import numpy as np
a = np.load(sys.argv[1], mmap_mode=sys.argv[2])
print("mapped", flush=True)
for line in sys.stdin:
    exec(line)
"""


class Peer:
    """`with Peer(path) as peer: peer.do("a[0] = 7"); peer.ask("a[1]")`"""

    def __init__(self, path: Path, mode: str = "r+"):
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(path), mode],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd="/",
        )
        self.pid = self._process.pid
        self._expect("mapped")

    def do(self, statement: str) -> None:
        self._process.stdin.write(f"{statement}; print('done', flush=True)\n")
        self._expect("done")

    def ask(self, expression: str) -> str:
        """What `str` makes of the expression, on one line."""
        self._process.stdin.write(f"print(str({expression}).replace(chr(10), ' '), flush=True)\n")
        return self._line()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(TIMEOUT_S)

    def _expect(self, word: str) -> None:
        answer = self._line()
        assert answer == word, f"the other process said {answer!r}, not {word!r}"

    def _line(self) -> str:
        # One line answers one question, so that nothing waits in a buffer where select() does not see it.
        readable, _, _ = select.select([self._process.stdout], [], [], TIMEOUT_S)
        assert readable, "the other process does not answer"
        return self._process.stdout.readline().rstrip("\n")

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(TIMEOUT_S)
        finally:
            self._process.kill()
            self._process.stdout.close()
