"""Random calls of several clients against a model of the contract, while the server dies.

Each example works in a fresh directory of one mount. Three processes, the last of them an ordinary user's, hold open
files, mappings and directory streams; every value and errno must be what model.py says. Two calls at the same moment
must end as one after the other would. The server is killed, stopped and upgraded between calls and during calls.
Hypothesis shrinks what fails to a short script.

    ARRAYFS_MODEL_EXAMPLES   how many examples
    ARRAYFS_MODEL_SEED       others than those of ctest
    ARRAYFS_TEST_PLANE=tmpfs the model against native tmpfs, where nobody dies
"""

import contextlib
import copy
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from model.model import ROOT, UNSAID, USER, Model
from support.mount import BINARY, PLANE, SKIPPED, Mount, PlainDirectory, run, wait_until

EXAMPLES = int(os.environ.get("ARRAYFS_MODEL_EXAMPLES", "60"))
SEED = int(os.environ.get("ARRAYFS_MODEL_SEED", "1"))
STEPS = 40
UIDS = (ROOT, ROOT, USER)
HANG_S = 30  # longer than any pause that the death of a server makes
SETTLE_S = 10
LIMIT_S = 300 + 5 * EXAMPLES

if os.geteuid() != 0:
    print("clients of several users need root: skipped", file=sys.stderr)
    sys.exit(SKIPPED)


# ---- what clients do: the simplest first, to which hypothesis shrinks

clients = st.integers(0, len(UIDS) - 1)
slots = st.integers(0, 1)
files = st.sampled_from(("a", "b", "d/a", "u/a", "u/b"))
directories = st.sampled_from(("d", "u", "u/d", "a"))
paths = st.sampled_from(("a", "b", "d/a", "u/a", "u/b", "d", "u", "u/d", "u/d/a"))
targets = st.sampled_from(("a", "b", "d", "u/a", "../a", "missing"))
offsets = st.sampled_from((0, 130, 4096, 5000))
sizes = st.sampled_from((0, 1, 130, 4096, 9000))
words = st.sampled_from((b"x", b"raw!"))
flags = st.sampled_from(("", "NOREPLACE", "EXCHANGE"))
xattrs = st.sampled_from(("user.x", "user.y"))
xattr_flags = st.sampled_from(("", "CREATE", "REPLACE"))
values = st.integers(0, 9)
dtypes = st.sampled_from(("|u1", "<i4", "<f8"))
shapes = st.sampled_from(((3,), (), (0,), (2, 5), (1200,)))


def call(name: str, *arguments: st.SearchStrategy) -> st.SearchStrategy:
    return st.tuples(st.just(name), *arguments)


np_save = call("np_save", files, dtypes, shapes, values)
mkdir = call("mkdir", st.sampled_from(("d", "u/d", "a")))
names = st.one_of(
    mkdir, call("unlink", files), call("rmdir", paths), call("rename", paths, paths, flags),
    call("rename", files, files, flags), call("link", files, files), call("link", paths, paths),
    call("symlink", targets, paths), call("readlink", paths), call("lstat", paths))
modes = st.sampled_from(("r", "r+", "w", "w+", "x", "a"))
handles = st.one_of(
    call("reopen", slots, files, modes), call("read", slots, offsets, sizes), call("fstat", slots),
    call("write", slots, offsets, words, st.sampled_from((1, 1500))),
    call("ftruncate", slots, sizes), call("truncate", files, sizes),
    call("reopen_emptied", slots), call("close", slots))
mappings = st.one_of(
    call("map", slots, slots), call("load", slots), call("store", slots, st.integers(0, 9000), values),
    call("unmap", slots))
arrays = st.one_of(np_save, call("np_load", files), call("np_store", files, values))
listings = st.one_of(
    call("opendir", slots, directories), call("readdir", slots, st.sampled_from((4096, 64))))
attributes = st.one_of(
    call("setxattr", paths, xattrs, words, xattr_flags), call("getxattr", paths, xattrs),
    call("removexattr", paths, xattrs), call("listxattr", paths),
    call("chmod", paths, st.sampled_from((0o644, 0o600, 0o666))))
seals = st.one_of(call("seal", files), call("unseal", files), call("version", files))
views = st.one_of(call("info", files), call("json", files), call("raw", files))
anything = st.one_of(names, handles, mappings, arrays, listings, attributes, seals, views)

# What is there at first; any of it may be missing.
FURNITURE = [
    (0, ("np_save", "a", "|u1", (3,), 1)), (0, ("mkdir", "d")), (0, ("np_save", "d/a", "<f8", (1200,), 2)),
    (0, ("link", "d/a", "b")), (2, ("np_save", "u/a", "<i4", (2, 5), 3)), (2, ("mkdir", "u/d")),
    (2, ("open", 0, "u/b", "w")), (2, ("write", 0, 0, b"raw!", 1)), (0, ("setxattr", "a", "user.x", b"x", "")),
    (0, ("open", 0, "a", "r")), (0, ("open", 1, "u/a", "r+")), (1, ("open", 0, "d/a", "r+")),
    (1, ("open", 1, "b", "a")), (2, ("open", 1, "d/a", "r")), (1, ("map", 0, 0)), (2, ("map", 1, 0)),
    (0, ("map", 1, 1)), (1, ("opendir", 0, "u")),
]
there = st.sampled_from((False, True, True, True, True))


def chosen(which: tuple[bool, ...]) -> list[tuple]:
    return list(itertools.compress(FURNITURE, which))


furniture = st.tuples(*[there] * len(FURNITURE)).map(chosen)

# Each of these is one step for the kernel, once its path has been walked, and none of a group changes the path of
# another: so two at the same moment happen one after the other.
one_name = st.one_of(
    mkdir, call("unlink", files), call("rmdir", files), call("rename", files, files, flags),
    call("symlink", targets, files), call("open", slots, files, st.just("x")))
one_attribute = st.one_of(
    call("setxattr", files, xattrs, words, xattr_flags), call("removexattr", files, xattrs),
    call("getxattr", files, xattrs), call("chmod", files, st.sampled_from((0o644, 0o600))))
one_seal = st.one_of(
    call("seal", files), call("unseal", files), call("open", slots, files, st.sampled_from(("r", "r+", "a"))))
one_size = st.one_of(
    call("write", slots, offsets, words, st.just(1)), call("ftruncate", slots, sizes), call("truncate", files, sizes))
groups = (one_name, one_attribute, one_size) if PLANE == "tmpfs" else (one_name, one_attribute, one_seal, one_size)
pairs = st.one_of([st.tuples(group, group) for group in groups])
pairs_of_clients = st.sampled_from(list(itertools.combinations(range(len(UIDS)), 2)))
killed = st.sampled_from(("KILL", "STOP", "SEGV", "ABRT"))
delays_us = st.integers(0, 800)
deaths = st.one_of(killed, st.just("UPGRADE"))


def agree(gave: object, expected: object) -> bool:
    return expected is UNSAID or (expected(gave) if callable(expected) else gave == expected)


class Peer:
    """A client in a process of its own."""

    def __init__(self, uid: int):
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-B", "-m", "model.client", str(theirs.fileno()), str(uid)],
                cwd=Path(__file__).parents[1], pass_fds=(theirs.fileno(),))
        self._connection = Connection(ours.detach())

    def send(self, *call: object) -> None:
        self._connection.send(call)

    def answer(self) -> object:
        """Errors: EOFError when the process ended, TimeoutError."""
        if not self._connection.poll(HANG_S):
            raise TimeoutError(f"no answer in {HANG_S} s")
        return self._connection.recv()

    def ask(self, *call: object) -> object:
        self.send(*call)
        return self.answer()

    def end(self) -> None:
        self._connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(HANG_S)
        self._process.kill()
        self._process.wait()


class World:
    """The mount of the whole run and its clients; a new one when a call hangs or a client dies."""

    def __init__(self):
        self.counts = Counter()
        self.history: list[str] = []  # of the present example
        self.first_failure = ""
        self.log = Path(tempfile.gettempdir()) / f"model-{os.getpid()}.log"
        self.start()

    def start(self) -> None:
        if PLANE == "tmpfs":
            self.mount = PlainDirectory()
        else:
            self.mount = Mount(PLANE, "--log-file", str(self.log), size="256M", limit_s=LIMIT_S)
            self.mount.servers_die = True
        self.mount.__enter__()
        self.mount.path.chmod(0o755)
        self.peers = [Peer(uid) for uid in UIDS]
        self.killed = 0

    def end(self) -> None:
        for peer in self.peers:
            peer.end()
        self.mount.__exit__(None, None, None)
        self.log.unlink(missing_ok=True)

    def start_again(self) -> None:
        """Breaks off what hangs, and gives up what is there."""
        if PLANE != "tmpfs":
            self.mount.abort()
            self.mount.mount()  # so that it can be discarded
        self.end()
        self.start()

    def enter(self) -> Path:
        """A fresh directory for one example."""
        self.counts["examples"] += 1
        self.history.clear()
        directory = self.mount.path / f"example-{self.counts['examples']}"
        (directory / "top/u").mkdir(parents=True)
        os.chown(directory / "top/u", USER, USER)
        for peer in self.peers:
            peer.ask("enter", str(self.mount.path), f"{directory.name}/top")
        return directory

    def claim(self, holds: object, what: str) -> None:
        if not holds:
            self.first_failure = self.first_failure or "\n".join([*self.history, what])
            raise AssertionError(what)

    def status(self) -> dict[str, str]:
        """Errors: AssertionError when a server died that nobody killed, which no client sees."""
        status = self.mount.status()
        if int(status["restarts"]) > self.killed:
            self.killed = int(status["restarts"])
            # A machine that is too busy may keep a server from working for five seconds.
            said = "\n".join(self.log.read_text().splitlines()[-8:])
            self.claim("stuck" in status["last_restart"], f"a server died that nobody killed; its log:\n{said}")
            self.counts["stuck"] += 1
        return status

    def die(self, how: str) -> None:
        """Another server serves afterwards."""
        if how == "UPGRADE":
            done = run(BINARY, "upgrade", str(self.mount.path))
            self.claim(done.returncode == 0, done.stderr)
            self.counts[how] += 1
            self.history.append("the server is upgraded")
        else:
            self.die_during(how, 0, lambda strike: strike())

    def die_during(self, how: str, after_us: int, work: Callable[[Callable], None]) -> None:
        """The server dies that long after `work` has called what it is given; another one serves afterwards."""
        before = self.status()["server_pid"]

        def strike() -> None:
            moment = time.perf_counter() + after_us / 1e6
            while time.perf_counter() < moment:
                pass
            os.kill(int(before), getattr(signal, f"SIG{how}"))
            self.counts[how] += 1
            self.killed += 1
            self.history.append(f"the server dies of {how} after {after_us} us")

        work(strike)
        wait_until(lambda: self.status()["server_pid"] != before, "another server serves")

    def strays(self) -> dict[str, str]:
        """What the daemon still holds though nobody does."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            status = self.status()
            found = {key: status[key] for key in ("open_files", "nameless_files") if status[key] != "0"}
            if not found or time.monotonic() > deadline:
                return found
            os.sched_yield()


class Example(RuleBasedStateMachine):
    """One directory, and the model that says what clients must see there."""

    world: World
    model_class = Model

    def __init__(self):
        super().__init__()
        self.model = self.model_class(UIDS, PLANE, promises=PLANE != "tmpfs")
        self.directory = self.world.enter()
        self.wrong = False

    def claim(self, holds: object, what: str) -> None:
        if not holds:
            self.wrong = True
        self.world.claim(holds, what)

    def answers(self, clients_and_calls: list[tuple[int, tuple]], meanwhile=lambda: None) -> list[object]:
        """What the clients give, who are asked at once; `meanwhile` is called before they have answered."""
        self.world.counts["calls"] += len(clients_and_calls)
        said = (f"client {client}: {call}" for client, call in clients_and_calls)
        self.world.history.append(" at once with ".join(said))
        try:
            for client, call in clients_and_calls:
                self.world.peers[client].send(*call)
            meanwhile()
            return [self.world.peers[client].answer() for client, _ in clients_and_calls]
        except (TimeoutError, EOFError, ConnectionError) as error:
            self.world.start_again()
            self.claim(False, f"a client hangs or has died: {error!r}")

    def completed(self, client: int, call: tuple) -> tuple:
        """A mapping must not be touched where its file ends; where that is, the model knows."""
        if call[0] not in ("load", "store"):
            return call
        name, mapping, *arguments = call
        return (name, mapping, self.model.reach(client, mapping), *arguments)

    def do(self, client: int, call: tuple, meanwhile=lambda: None) -> None:
        call = self.completed(client, call)
        gave, = self.answers([(client, call)], meanwhile)
        expected = self.model.outcome(client, call)
        self.claim(agree(gave, expected), f"client {client}, {call}: gave {gave!r}, the contract says {expected!r}")

    def both(self, asked: list[tuple[int, tuple]], meanwhile=lambda: None) -> None:
        if self.model.is_link("d"):
            return meanwhile()  # it may lead through `a`, which these calls change
        self.world.counts["pairs"] += 1
        gave = self.answers(asked, meanwhile)
        possible = []
        for order in ((0, 1), (1, 0)):
            model = copy.deepcopy(self.model)
            expected = {at: model.outcome(*asked[at]) for at in order}
            possible.append((model, [expected[at] for at in (0, 1)]))
        fitting = [model for model, expected in possible if all(map(agree, gave, expected))]
        says = " or ".join(str(expected) for _, expected in possible)
        self.claim(fitting, f"{asked} at once: gave {gave}, the contract says {says}")
        seen, = self.answers([(0, ("tree",))])
        fitting = [model for model in fitting if model.outcome(0, ("tree",)) == seen]
        self.claim(fitting, f"{asked} at once gave {gave}, and left what neither order leaves: {seen}")
        self.model = fitting[0]

    def teardown(self):
        try:
            if not self.wrong:
                self.compare_tree()
        finally:
            self.clean_up()

    def compare_tree(self) -> None:
        seen, = self.answers([(0, ("tree",))])
        expected = self.model.outcome(0, ("tree",))
        wrong = [f"{path}: {seen.get(path)}, the contract says {expected.get(path)}"
                 for path in sorted(seen.keys() | expected.keys()) if seen.get(path) != expected.get(path)]
        self.claim(not wrong, "\n".join(wrong))

    def clean_up(self) -> None:
        if not self.directory.exists():  # the mount was given up
            return
        self.answers([(client, ("leave",)) for client in range(len(UIDS))])
        shutil.rmtree(self.directory)
        if PLANE != "tmpfs":
            strays = self.world.strays()
            if strays:
                self.world.start_again()
            self.claim(not strays, f"nobody holds anything, but status says: {strays}")


class Contract(Example):
    """Everything that clients do."""

    @initialize(made=furniture)
    def prepare(self, made):
        for client, call in made:
            self.do(client, call)

    @rule(client=clients, call=names)
    def name(self, client, call):
        self.do(client, call)

    @rule(client=clients, call=handles)
    def handle(self, client, call):
        self.do(client, call)

    @rule(client=clients, call=mappings)
    def mapping(self, client, call):
        self.do(client, call)

    @rule(client=clients, call=arrays)
    def array(self, client, call):
        self.do(client, call)

    @rule(client=clients, call=listings)
    def listing(self, client, call):
        self.do(client, call)

    @rule(client=clients, call=attributes)
    def attribute(self, client, call):
        self.do(client, call)

    @rule(clients=pairs_of_clients, calls=pairs)
    def together(self, clients, calls):
        """Two calls at the same moment: as one after the other, in whichever order."""
        self.both(list(zip(clients, calls, strict=True)))


class Promises(Contract):
    """Beyond tmpfs: seals, views, and servers that die."""

    @rule(client=clients, call=seals)
    def seal(self, client, call):
        self.do(client, call)

    @rule(client=clients, call=views)
    def view(self, client, call):
        self.do(client, call)

    @rule(how=deaths)
    def server_dies(self, how):
        self.world.die(how)

    @rule(how=killed, after_us=delays_us, client=clients, call=anything)
    def server_dies_during(self, how, after_us, client, call):
        self.world.die_during(how, after_us, lambda strike: self.do(client, call, strike))

    @rule(how=killed, after_us=delays_us, clients=pairs_of_clients, calls=pairs)
    def server_dies_during_both(self, how, after_us, clients, calls):
        self.world.die_during(how, after_us, lambda strike: self.both(list(zip(clients, calls, strict=True)), strike))


class RenameKeepsTheTarget(Model):
    """A model that is wrong."""

    def rename(self, who, path, new_path, flag=""):
        target = self.walk(new_path, False).inode
        super().rename(who, path, new_path, flag)
        if target and not flag and target.names == 0:
            self._add(self.walk(new_path, False), target)


class WrongContract(Example):
    model_class = RenameKeepsTheTarget

    @rule(client=clients, call=st.one_of(np_save, names))
    def step(self, client, call):
        self.do(client, call)


def check(machine: type[Example], examples: int, steps: int) -> None:
    """Errors: what the machine raises in the end; its notes are the short script."""
    machine.world.first_failure = ""
    try:
        run_state_machine_as_test(seed(SEED)(machine), settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None, print_blob=True,
            report_multiple_bugs=False, suppress_health_check=list(HealthCheck)))
    except Flaky as error:
        failure = machine.world.first_failure
        raise AssertionError(f"seen once and not again, so nothing is shrunk:\n{failure}") from error


class ModelTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        Example.world = World()
        cls.addClassCleanup(Example.world.end)

    def test_calls_of_several_clients_give_what_the_contract_says(self):
        counts, start = Example.world.counts, time.monotonic()
        before = counts.copy()
        try:
            check(Contract if PLANE == "tmpfs" else Promises, EXAMPLES, STEPS)
        finally:
            made = ", ".join(f"{value} {key}" for key, value in sorted((counts - before).items()))
            print(f"{PLANE}, seed {SEED}: {made}, {time.monotonic() - start:.0f} s", flush=True)

    def test_a_wrong_model_is_found_and_shrunk_to_a_short_script(self):
        """Otherwise the test above would assert nothing."""
        with self.assertRaises(AssertionError) as found:
            check(WrongContract, 500, 10)
        script = "\n".join(found.exception.__notes__)
        steps = re.findall(r"^state\.(?!teardown).*", script, re.MULTILINE)
        self.assertIn("'rename'", steps[-1], script)
        self.assertLessEqual(len(steps), 3, script)


if __name__ == "__main__":
    unittest.main()
