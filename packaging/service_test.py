"""The unit arrayfs@ under a real systemd, inside the system that packaging/boot.sh boots: everything that a
mount does goes through its filter of system calls, and a mapping outlives reloads, restarts and deaths."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np

ARRAYS = Path("/mnt/arrays")
UNIT = "arrayfs@arrays"
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, timeout=60, stdout=subprocess.PIPE, text=True).stdout


def status() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in (ARRAYS / ".arrayfs/status").read_text().splitlines())


def wait_until(condition, what: str, seconds: float = 60) -> float:
    """How long it took."""
    start = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - start
        except OSError:
            pass  # between two daemons there is no mount
        assert time.monotonic() - start < seconds, f"not in {seconds} s: {what}"
        time.sleep(0.01)


def every_kind_of_operation() -> None:
    os.mkfifo(ARRAYS / "fifo")
    os.mknod(ARRAYS / "device", 0o600 | 0o020000, os.makedev(1, 3))
    os.symlink("w.npy", ARRAYS / "link")
    np.save(ARRAYS / "w.npy", np.arange(10.0))
    os.chown(ARRAYS / "w.npy", 1000, 1000)
    for name, value in (("user.note", b"x"), ("trusted.note", b"x"), ("security.capability", CAPABILITY)):
        os.setxattr(ARRAYS / "w.npy", name, value)
    os.rename(ARRAYS / "w.npy", ARRAYS / "v.npy")
    for arguments in (("info", "v.npy"), ("stats", "v.npy"), ("ls", "-l", ""), ("seal", "v.npy"), ("unseal", "v.npy"),
                      ("create", "c.npy", "float32", "1000,100"), ("create", "t.npy", "u1", "10", "--ttl", "1")):
        command, path, *rest = [word for word in arguments if word != "-l"]
        run("arrayfs", command, str(ARRAYS / path), *rest)
    for ending in ("csv", "png", "bin"):
        run("arrayfs", "export", str(ARRAYS / "c.npy"), f"/tmp/c.{ending}")
    wait_until(lambda: not (ARRAYS / "t.npy").exists(), "its time is over")
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        np.save(ARRAYS / "n.npy", np.ones(3))
        os._exit(0 if (ARRAYS / "n.npy").stat().st_uid == 65534 else 1)
    assert os.waitpid(child, 0)[1] == 0


def main() -> None:
    run("systemctl", "start", UNIT)
    np.save(ARRAYS / "m.npy", np.zeros(100))
    mapped = np.load(ARRAYS / "m.npy", mmap_mode="r+")
    open_file = (ARRAYS / "m.npy").open("rb")
    every_kind_of_operation()
    stores = 0

    def still_shared() -> None:
        nonlocal stores
        stores += 1
        mapped[stores] = stores
        assert np.load(ARRAYS / "m.npy")[stores] == stores

    before = status()
    run("systemctl", "reload", UNIT)
    still_shared()
    assert status()["upgrades"] == "1" and status()["supervisor_pid"] == before["supervisor_pid"]
    os.kill(int(status()["server_pid"]), signal.SIGKILL)
    still_shared()
    assert status()["restarts"] == "1"
    assert len(open_file.read()) == 928, "an open file goes on"
    open_file.close()

    def replaced_after(number: int) -> float:
        old = status()["supervisor_pid"]
        os.kill(int(old), number)
        return wait_until(lambda: status()["supervisor_pid"] not in (old, "killed"), "it is started again")

    run("systemctl", "restart", UNIT)
    still_shared()
    print(f"started again {replaced_after(signal.SIGKILL):.2f} s after kill -9 of the supervisor")
    still_shared()
    print(f"started again {replaced_after(signal.SIGSTOP):.1f} s after the supervisor was stopped (watchdog)")
    still_shared()
    run("systemctl", "stop", UNIT)
    assert not os.path.ismount(ARRAYS)
    run("systemctl", "start", UNIT)
    assert np.load(ARRAYS / "m.npy")[stores] == stores, "the arrays stay"
    Path("/etc/arrayfs/wrong.conf").write_text("dir = /mnt/arrays\nsiz = 8G\n")
    assert subprocess.run(("systemctl", "start", "arrayfs@wrong"), timeout=60, check=False).returncode != 0
    assert "/etc/arrayfs/wrong.conf:2: unknown key 'siz'" in run("journalctl", "--no-pager", "-u", "arrayfs@wrong")


def of_a_user() -> None:
    """The unit of the same name in the service manager of an ordinary user."""
    run("useradd", "--create-home", "--uid", "1234", "carol")
    arrays = Path("/home/carol/arrays")
    config = Path("/home/carol/.config/arrayfs")
    for directory in (arrays, config):
        directory.mkdir(parents=True)
    (config / "mine.conf").write_text(f"dir = {arrays}\nsize = 8M\n")
    run("chown", "-R", "carol:", "/home/carol")
    run("systemctl", "start", "user@1234")
    carol = ("setpriv", "--reuid=1234", "--regid=1234", "--init-groups", "env", "HOME=/home/carol",
             "XDG_RUNTIME_DIR=/run/user/1234")
    run(*carol, "systemctl", "--user", "start", "arrayfs@mine")
    run(*carol, "arrayfs", "create", str(arrays / "w.npy"), "float32", "10")
    for action in ("reload", "restart"):
        run(*carol, "systemctl", "--user", action, "arrayfs@mine")
        assert "w.npy" in run(*carol, "arrayfs", "ls", str(arrays))
    run(*carol, "systemctl", "--user", "stop", "arrayfs@mine")
    assert not os.path.ismount(arrays)


main()
of_a_user()
