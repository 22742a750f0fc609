"""The tools that walk a tree do on the mount what they do on the same tmpfs, and none of them meets `.arrayfs`."""

import os
import shutil
import tempfile
import unittest
from pathlib import Path

import numpy as np

from support.mount import PLANE, Mount, PlainDirectory, run

LISTING = r"find {} -printf '%P %y %m %U %G %n %s %TY-%Tm-%Td %TT %l\n' | LC_ALL=C sort"
CONTENT = "cd {} && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum"


def make_tree(root: Path) -> None:
    (root / "deep/er").mkdir(parents=True)
    np.save(root / "w.npy", np.arange(100_000.0))
    np.save(root / "deep/v.npy", np.arange(6).reshape(2, 3))
    np.save(root / "deep/er/empty.npy", np.zeros(0))
    (root / "deep/notes.txt").write_text("not an array\n")
    (root / ".hidden").write_text("seen by those who ask\n")
    (root / "name with blanks.npy").write_bytes((root / "w.npy").read_bytes()[:1000])
    os.link(root / "w.npy", root / "deep/w_again.npy")
    (root / "link").symlink_to("deep/v.npy")
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "fifo")
    (root / "deep/v.npy").chmod(0o600)
    (root / "deep/er").chmod(0o2750)
    os.setxattr(root / "w.npy", "user.origin", b"here")
    for path in sorted(root.rglob("*"), reverse=True):
        os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    os.utime(root, (1_000_000_000, 1_000_000_000))


class Tools(unittest.TestCase):
    def setUp(self):
        self.mount = self.enterContext(Mount(PLANE, size="64M"))
        plain = self.enterContext(PlainDirectory()).path
        self.scratch = self.enterContext(PlainDirectory()).path
        self.roots = (plain, self.mount.path)
        for root in self.roots:
            root.chmod(0o755)
            make_tree(root)

    def shell(self, command: str, root: Path) -> tuple[int, str, str]:
        """What a command gives in one of the trees; its paths are as if the tree had one name."""
        done = run("sh", "-c", command, cwd=root)
        return done.returncode, done.stdout.replace(str(root), "ROOT"), done.stderr.replace(str(root), "ROOT")

    def same(self, command: str) -> str:
        """Runs the command in both trees, which must give the same; returns its output."""
        plain, mounted = (self.shell(command, root) for root in self.roots)
        self.assertEqual(mounted, plain, command)
        self.assertEqual((mounted[0], mounted[2]), (0, ""), command)
        self.assertNotIn(".arrayfs", mounted[1])
        return mounted[1]

    def same_copies(self, copy: str) -> None:
        """Copies both trees out, and each of the copies into the other kind of place; all are alike."""
        looks = []
        for number, root in enumerate(self.roots):
            out = self.scratch / str(number)
            back = self.roots[1 - number] / "back"
            for source, target in ((root, out), (out, back)):
                target.mkdir()
                done = run("sh", "-c", copy.format(source=source, target=target))
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""), copy)
                looks.append([run("sh", "-c", look.format(target)).stdout for look in (LISTING, CONTENT)])
                self.assertEqual(os.getxattr(target / "w.npy", "user.origin"), b"here")
            shutil.rmtree(out)
            shutil.rmtree(back)
            os.utime(self.roots[1 - number], (1_000_000_000, 1_000_000_000))
        self.assertEqual(looks[1:], looks[:1] * 3)
        self.assertNotIn(".arrayfs", str(looks))

    def test_find(self):
        self.assertEqual(len(self.same(LISTING.format(".")).splitlines()), 13)
        self.same(CONTENT.format("."))
        self.same("find . -xdev -newermt 2001-01-01 -name '*.npy' | LC_ALL=C sort")
        self.same("find . -samefile w.npy | LC_ALL=C sort")

    def test_du(self):
        self.assertIn("w.npy", self.same("du -a | LC_ALL=C sort"))
        for options in ("-s", "-ab", "--inodes", "-sl", "-h"):
            self.same(f"du {options} . | LC_ALL=C sort")

    def test_ls_and_grep(self):
        self.same("ls -lRA --time-style=full-iso")
        self.same("grep -rl array . --exclude=fifo --exclude-dir=nothing | LC_ALL=C sort")
        self.assertNotIn(".arrayfs", self.same("echo * .[!.]*"))

    def test_tar(self):
        listing = self.same("tar --sort=name -cf - . | tar -tvf -")
        self.assertEqual(len(listing.splitlines()), 13)
        self.same("tar --sort=name --format=ustar -cf - . | sha256sum")
        self.same_copies("tar --xattrs --xattrs-include=user.origin -C {source} -cf - . | tar --xattrs -C {target} -xf -")

    def test_cp(self):
        self.same_copies("cp -a {source}/. {target}")

    def test_rsync(self):
        target = f"{self.scratch}/$(stat -c %i .)"
        self.assertIn(".hidden", self.same(f"mkdir {target} && rsync -aHi --out-format='%i %n%L' ./ {target}/"))
        self.assertEqual(self.same(f"rsync -aHic --delete --out-format='%i %n%L' ./ {target}/"), "")
        self.same_copies("rsync -aHX --filter='-x! user.origin' {source}/ {target}")

    def test_rm_removes_everything_but_the_control_tree(self):
        self.same("rm -rf -- *")
        self.assertEqual(self.same("ls -A"), ".hidden\n")
        self.same("rm -rf .[!.]*")
        self.assertEqual(self.same("ls -A"), "")
        self.assertIn("arrays: 0", self.mount.control("status"))

    def test_find_delete_and_moving_all_away(self):
        target = Path(tempfile.mkdtemp(dir=self.scratch))
        self.same(f"mkdir {target}/$(stat -c %i .) && mv -- * .[!.]* {target}/$(stat -c %i .)/")
        self.assertEqual(self.same("ls -A"), "")
        for root in self.roots:
            make_tree(root)
        self.same("find . -mindepth 1 -delete")
        self.assertEqual(self.same("ls -A"), "")


if __name__ == "__main__":
    unittest.main()
