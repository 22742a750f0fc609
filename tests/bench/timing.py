"""Taking turns: each way of doing something once, then each again, so that what else the machine does meets all.

Each round has an order of its own: what one leaves behind, as memory in small pages, is not always the next one's lot.
"""

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

Way = Callable[[], float]  # does it once and returns the figure, seconds mostly


def repeat(action: Callable[[], object], for_s: float = 0) -> tuple[float, int]:
    """Does it once, and again until so many seconds are over; returns those that it took, and how often it was done."""
    begin, calls, elapsed_s = time.perf_counter(), 0, 0.0
    while calls == 0 or elapsed_s < for_s:
        action()
        calls += 1
        elapsed_s = time.perf_counter() - begin
    return elapsed_s, calls


def timed(action: Callable[[], object], for_s: float = 0, after: Callable[[], object] = lambda: None) -> Way:
    """A way that takes the time of the action, in a turn of so many seconds, and cleans up after it untimed."""
    def way() -> float:
        elapsed_s, calls = repeat(action, for_s)
        after()
        return elapsed_s / calls
    return way


def medians(ways: dict[str, Way], repetitions: int) -> dict[str, float]:
    """Of each way, after a first round that does not count."""
    order = random.Random(1)
    rounds = [{name: ways[name]() for name in order.sample(list(ways), len(ways))} for _ in range(repetitions + 1)][1:]
    return {name: statistics.median(figures[name] for figures in rounds) for name in ways}


def cpu_seconds(*pids: int) -> float:
    """What the present threads of these processes have run so far."""
    threads = [thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) * 1e-9


def memory_bytes(pid: int, name: str = "VmRSS") -> int:
    """A line of /proc/PID/status that is in kB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/{pid}/status: no {name}")
