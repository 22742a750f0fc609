"""Many users: two unprivileged ones see of each other what modes, groups and ACLs allow, and no more."""

import os
import stat
import subprocess
import unittest
from pathlib import Path

import numpy as np

from support.mount import PLANE, Mount, run

ALICE, BOB, TEAM = 65533, 65534, 4321


def run_as(uid: int, script: str, *, groups: tuple[int, ...] = ()) -> subprocess.CompletedProcess:
    given = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
    return run("setpriv", f"--reuid={uid}", f"--regid={uid}", given, "--", "sh", "-c", script, cwd="/")


@unittest.skipIf(os.geteuid() != 0, "becoming other users needs root")
class Users(unittest.TestCase):
    def setUp(self):
        self.mount = self.enterContext(Mount(PLANE, size="64M"))
        self.root = self.mount.path
        self.path = self.root / "alice.npy"
        np.save(self.path, np.arange(10))
        os.chown(self.path, ALICE, ALICE)
        self.path.chmod(0o600)

    def assert_allowed(self, uid: int, script: str, **options):
        done = run_as(uid, script, **options)
        self.assertEqual(done.returncode, 0, f"{script}: {done.stderr}")
        return done.stdout

    def assert_denied(self, uid: int, script: str, **options):
        done = run_as(uid, script, **options)
        self.assertNotEqual(done.returncode, 0, script)
        self.assertRegex(done.stderr, "denied|not permitted", script)

    def test_modes(self):
        reading, writing = f"cat {self.path} > /dev/null", f"true >> {self.path}"
        for mode, allowed, denied in ((0o600, (), (reading, writing)), (0o604, (reading,), (writing,)),
                                      (0o602, (writing,), (reading,)), (0o666, (reading, writing), ())):
            self.path.chmod(mode)
            self.assert_allowed(ALICE, f"{reading}; {writing}")
            for script in allowed:
                self.assert_allowed(BOB, script)
            for script in denied:
                self.assert_denied(BOB, script)

    def test_what_others_may_not_do(self):
        self.path.chmod(0o644)
        for script in (f"chmod 666 {self.path}", f"chown {BOB} {self.path}", f"truncate -s 0 {self.path}",
                       f"touch -d 2001-01-01 {self.path}", f"setfattr -n user.x -v 1 {self.path}",
                       f"setfattr -n user.array.ttl -v 1 {self.path}", f"setfacl -m u:{BOB}:rw {self.path}",
                       f"dd if=/dev/zero of={self.path} conv=notrunc", f"cp /dev/null {self.path}",
                       f"setfattr -n user.array.owner_pid -v $$ {self.path}"):
            self.assert_denied(BOB, script)
        self.assertEqual(np.load(self.path).tolist(), list(range(10)))

    def test_new_files_belong_to_the_caller(self):
        for uid in (ALICE, BOB):
            base = self.root / str(uid)
            self.assert_allowed(uid, f"umask 027; mkdir {base}; touch {base}/f; mkfifo {base}/p; ln -s x {base}/l;"
                                     f"cp /etc/hostname {base}/c 2>/dev/null || cp /proc/self/comm {base}/c")
            for name in ("", "f", "p", "l", "c"):
                now = (base / name).lstat()
                self.assertEqual((now.st_uid, now.st_gid), (uid, uid), name)
            self.assertEqual(stat.S_IMODE(base.stat().st_mode), 0o750)
            self.assertEqual(stat.S_IMODE((base / "f").stat().st_mode), 0o640)

    def test_a_new_version_stays_its_owners(self):
        self.path.chmod(0o606)
        with self.path.open("rb"):
            self.assert_allowed(BOB, f"cat {self.path} > /dev/null; printf x > {self.path}")
        now = self.path.stat()
        self.assertEqual((now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)), (ALICE, ALICE, 0o606))
        self.assertEqual(self.path.read_bytes(), b"x")

    def test_supplementary_groups(self):
        os.chown(self.path, ALICE, TEAM)
        self.path.chmod(0o640)
        self.assert_denied(BOB, f"cat {self.path}")
        self.assert_allowed(BOB, f"cat {self.path} > /dev/null", groups=(17, TEAM))
        self.assert_denied(BOB, f"true >> {self.path}", groups=(17, TEAM))
        self.path.chmod(0o660)
        self.assert_allowed(BOB, f"true >> {self.path}", groups=(TEAM,))
        info = f"cat {self.root}/.arrayfs/info/alice.npy > /dev/null"
        self.assert_allowed(BOB, info, groups=(TEAM,))
        self.assert_denied(BOB, info)

    def test_acls(self):
        for entry, scripts in ((f"u:{BOB}:r", ("cat {} > /dev/null",)), (f"u:{BOB}:rw", ("true >> {}",))):
            self.assert_denied(BOB, scripts[0].format(self.path))
            self.assert_allowed(ALICE, f"setfacl -m {entry} {self.path}")
            self.assert_allowed(BOB, scripts[0].format(self.path))
        self.assert_allowed(BOB, f"cat {self.root}/.arrayfs/info/alice.npy > /dev/null")
        self.assert_allowed(ALICE, f"setfacl -b {self.path}")
        self.assert_denied(BOB, f"cat {self.path}")
        self.assert_denied(BOB, f"cat {self.root}/.arrayfs/info/alice.npy")

    def test_an_acl_that_denies(self):
        self.path.chmod(0o666)
        self.assert_allowed(BOB, f"cat {self.path} > /dev/null")
        self.assert_allowed(ALICE, f"setfacl -m u:{BOB}:- {self.path}")
        self.assert_denied(BOB, f"cat {self.path}")
        self.assert_denied(BOB, f"cat {self.root}/.arrayfs/json/alice.npy.json")

    def test_default_acls(self):
        inner = self.root / "inner"
        self.assert_allowed(ALICE, f"mkdir -m 755 {inner}; setfacl -d -m u:{BOB}:rw {inner}")
        self.assert_allowed(ALICE, f"umask 077; echo > {inner}/f")
        self.assert_allowed(BOB, f"cat {inner}/f; true >> {inner}/f")
        self.assert_denied(BOB, f"touch {inner}/g")

    def test_the_control_tree_shows_nothing_that_is_not_theirs(self):
        for view in ("info/alice.npy", "json/alice.npy.json"):
            self.assert_allowed(ALICE, f"cat {self.root}/.arrayfs/{view} > /dev/null")
            self.assert_denied(BOB, f"cat {self.root}/.arrayfs/{view}")
            self.assert_denied(BOB, f"true > {self.root}/.arrayfs/{view}")
        hidden = self.root / "hidden"
        self.assert_allowed(ALICE, f"mkdir -m 700 {hidden}; cp {self.path} {hidden}/a.npy; chmod 644 {hidden}/a.npy")
        self.assert_allowed(ALICE, f"cat {self.root}/.arrayfs/info/hidden/a.npy > /dev/null")
        for script in (f"ls {self.root}/.arrayfs/info/hidden", f"cat {self.root}/.arrayfs/info/hidden/a.npy",
                       f"cat {self.root}/.arrayfs/json/hidden/a.npy.json", f"cat {hidden}/a.npy"):
            self.assert_denied(BOB, script)

    def test_directories_without_search_or_write(self):
        inner = self.root / "inner"
        self.assert_allowed(ALICE, f"mkdir -m 711 {inner}; echo > {inner}/f; chmod 644 {inner}/f")
        self.assert_allowed(BOB, f"cat {inner}/f")
        for script in (f"ls {inner}", f"touch {inner}/g", f"rm -f {inner}/f", f"mv {inner}/f {inner}/g"):
            self.assert_denied(BOB, script)

    def test_the_root_directory_is_sticky(self):
        self.assertEqual(stat.S_IMODE(self.root.stat().st_mode), 0o1777)
        self.path.chmod(0o666)
        for script in (f"rm -f {self.path}", f"mv {self.path} {self.root}/b",
                       f"touch {self.root}/b; mv {self.root}/b {self.path}"):
            self.assert_denied(BOB, script)
        self.assert_allowed(ALICE, f"mv {self.path} {self.root}/own; rm {self.root}/own")

    def test_setgid_directories(self):
        inner = self.root / "team"
        inner.mkdir()
        os.chown(inner, ALICE, TEAM)
        inner.chmod(0o2777)
        self.assert_allowed(BOB, f"touch {inner}/f; mkdir {inner}/d; touch {inner}/d/f")
        for name in ("f", "d", "d/f"):
            self.assertEqual((inner / name).stat().st_gid, TEAM, name)
        self.assertTrue((inner / "d").stat().st_mode & stat.S_ISGID)

    def test_the_store_is_out_of_reach(self):
        store = Path(self.mount.status()["store_path"])
        for uid in (ALICE, BOB):
            for script in (f"ls {store}", f"cat {store}/arrays/alice.npy", f"ls {store.parent}", f"touch {store}/x"):
                self.assert_denied(uid, script)
        for directory in (store, store.parent):
            self.assertEqual((directory.stat().st_uid, stat.S_IMODE(directory.stat().st_mode)), (0, 0o700))

    def test_hard_links_need_what_they_need_on_tmpfs(self):
        native = Path("/proc/sys/fs/protected_hardlinks").read_text().strip() == "1"
        done = run_as(BOB, f"ln {self.path} {self.root}/taken")
        self.assertEqual(done.returncode != 0, native, done.stderr)


if __name__ == "__main__":
    unittest.main()
