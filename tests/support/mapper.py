"""A C program that holds a file by nothing but a mapping."""

import os
import select
import subprocess
from pathlib import Path

from support.mount import BINARY, TIMEOUT_S

PROGRAM = os.environ.get("ARRAYFS_MAPPER") or str(Path(BINARY).with_name("mapper"))


class Mapper:
    """`with Mapper(path, "w") as mapper: mapper.ask("store 128 7"); mapper.ask("sum")`"""

    def __init__(self, path: Path, mode: str = "r"):
        self._process = subprocess.Popen(
            [PROGRAM, mode, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd="/",
        )
        assert self._line() == "mapped"

    def ask(self, question: str) -> str | int:
        """The answer, or the exit code when the program died of the question."""
        self._process.stdin.write(f"{question}\n")
        return self._line() or self._process.wait(TIMEOUT_S)

    def _line(self) -> str:
        readable, _, _ = select.select([self._process.stdout], [], [], TIMEOUT_S)
        assert readable, "the C program does not answer"
        return self._process.stdout.readline().rstrip("\n")

    def __enter__(self) -> "Mapper":
        return self

    def __exit__(self, *_) -> None:
        try:
            self._process.stdin.close()
            self._process.wait(TIMEOUT_S)
        finally:
            self._process.kill()
            self._process.stdout.close()
