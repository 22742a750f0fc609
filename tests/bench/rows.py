"""What is measured, beside whom, and what is to be reached: the one table behind report, JSON and plots.

A figure is seconds, bytes or a count, and less is better. A ratio is the peer's figure divided by ours: at 1 both
are the same, at 2 ours is half of the peer's.
"""

from dataclasses import dataclass, field
from enum import StrEnum

OURS = "arrayfs"
MIB = 1 << 20

Figures = dict[str, dict[str, float]]  # by measure, then by who: OURS or a peer


class Unit(StrEnum):
    SECONDS = "s"
    BYTES = "B"
    COUNT = ""


@dataclass(frozen=True)
class Row:
    """One measure: our figure, and those of the peers in the same run."""

    subject: str
    measure: str
    peers: dict[str, float | None] = field(default_factory=dict)  # the ratio to be reached; None: for comparison
    limit: float | None = None  # our own figure at most
    unit: Unit = Unit.SECONDS


SAME = 0.97  # the same, but for what two runs of one program differ by
NEVER_SLOWER = SAME
FASTER = 1.0


def within(times: float) -> float:
    """The ratio at which ours is so many times the peer's."""
    return 1 / times


def _libshm() -> list[Row]:
    queues = {"boost": FASTER, "pipe": None, "eventfds and slots": None}
    mutexes = {"pthreads, robust": None, "boost": None}
    return [
        *(Row("libshm", f"queue, items of {size} bytes", queues) for size in (64, 4096, 150528)),
        Row("libshm", "wake and be woken", {"eventfds": within(1.5)}),
        Row("libshm", "mutex, not contended", mutexes),
        Row("libshm", "mutex, contended", mutexes),
        Row("libshm", "create and remove an array of 4096 bytes", {"tmpfs": within(4)}),
        Row("libshm", f"create and remove an array of {MIB} bytes", {"tmpfs": within(4)}),
        Row("libshm", "open and map an array", {"tmpfs": None}),
        Row("libshm", f"sum of a mapped array of {64 * MIB} bytes", {"tmpfs": NEVER_SLOWER}),
    ]


def _files() -> list[Row]:
    like_a_server = {"minimal server": within(1.2), "tmpfs": None}
    rate = {"minimal server": None, "tmpfs": within(4)}
    return [
        Row("files", "open + close", like_a_server),
        Row("files", "stat, asked for", like_a_server),
        Row("files", "stat, kept by the kernel", like_a_server),
        Row("files", "np.load(mmap_mode) of a small array", like_a_server),
        Row("files", "waits of open + close", limit=1, unit=Unit.COUNT),
        Row("files", "waits of stat, asked for", limit=1, unit=Unit.COUNT),
        Row("files", "create + write + close", rate),
        Row("files", "create aside + rename over", rate),
        Row("files", "rename", rate),
        Row("files", "unlink", rate),
    ]


def _directory() -> list[Row]:
    return [
        *(Row("directory", f"{command}, second time", {"tmpfs": within(3)})
          for command in ("ls -l", "find", "find -size")),
        Row("directory", "the daemon's memory per array", limit=300, unit=Unit.BYTES),
    ]


def _bulk() -> list[Row]:
    calls = {"tmpfs as the store": SAME, "/dev/shm": None}

    def mapping(times: float) -> dict[str, float | None]:
        return {"tmpfs as the store": None, "/dev/shm": times}

    return [
        *(Row("bulk", call, calls) for call in (
            "read(2) of the whole", "write(2) of the whole", "sendfile(2) to a socket", "sendfile(2) to /dev/null")),
        Row("bulk", "np.save", mapping(1.5)),
        Row("bulk", "map and sum", mapping(1.5)),
        Row("bulk", "map and touch each page to read", mapping(5)),
        Row("bulk", "map and touch each page to write", mapping(20)),
        *(Row("bulk", f"{access} what is mapped", mapping(NEVER_SLOWER))
          for access in ("sum", "read here and there", "store here and there", "fill")),
    ]


def _views() -> list[Row]:
    arrays = ("an array of 10x10", "the same, open and mapped", "a sparse one of 100 GB")
    looks = [f"{view} of {array}" for view in ("info", "json") for array in arrays]
    return [
        Row("views", f"{look}{what}", limit=100e-6)
        for look in (*looks, "info of an open one among many others") for what in ("", ", the server's CPU time")
    ]


def _streams() -> list[Row]:
    return [
        Row("streams", "stats", {"NumPy": NEVER_SLOWER, "NumPy, one sum": None}),
        Row("streams", "png", {"NumPy and PIL": NEVER_SLOWER, "NumPy, one sum": None}),
        Row("streams", "csv of a sixteenth", {"NumPy": NEVER_SLOWER}),
        *(Row("streams", f"the server's memory for {view}", limit=64 * MIB, unit=Unit.BYTES)
          for view in ("stats", "png", "csv")),
    ]


def _memory() -> list[Row]:
    array = {"the array": 1.0}
    return [
        Row("memory", "tmpfs pages for 4 readers", array, unit=Unit.BYTES),
        Row("memory", "proportional set size of 4 readers", array, unit=Unit.BYTES),
        Row("memory", "the daemon at rest", limit=20 * MIB, unit=Unit.BYTES),
        Row("memory", "CPU time of the daemon at rest", limit=0),
    ]


def _pool() -> list[Row]:
    shared_and_named = ("multiprocessing.shared_memory", "np.memmap on /dev/shm", "np.memmap on disk")
    others = ("ctypes RawArray", "fork copy-on-write", "joblib", "pickled")
    return [Row("pool", "sum by four workers", dict.fromkeys(shared_and_named, FASTER) | dict.fromkeys(others))]


ROWS = [
    *_files(), *_directory(), *_bulk(), *_views(), *_streams(), *_memory(), *_pool(), *_libshm(),
    Row("deaths", "longest wait for a killed server", limit=0.05),
]
SUBJECTS = list(dict.fromkeys(row.subject for row in ROWS))
