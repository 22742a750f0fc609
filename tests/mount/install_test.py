"""What `cmake --install` with DESTDIR gives: every file, and that each is what its reader expects."""

import os
import re
import shutil
import tempfile
import unittest
from pathlib import Path

from support.mount import BINARY, run

BUILD = os.environ["ARRAYFS_BUILD"]
SOURCES = Path(__file__).parents[2]
HEADER = SOURCES / "libshm/include/shm/shm.h"
CONTROL_README = SOURCES / "fs/views/readme.cpp"
PREFIX = "usr/local"
FILES = (
    "bin/arrayfs", "sbin/mount.arrayfs", "include/shm/shm.h", "share/arrayfs/swapfile.sh",
    "share/bash-completion/completions/arrayfs", "share/zsh/vendor-completions/_arrayfs",
    "share/fish/vendor_completions.d/arrayfs.fish", "share/man/man1/arrayfs.1", "share/man/man3/libshm.3",
    "share/man/man5/arrayfs.conf.5", "share/man/man7/arrayfs-control.7", "share/man/man8/mount.arrayfs.8",
    "lib/systemd/system/arrayfs@.service", "lib/systemd/user/arrayfs@.service", "lib/tmpfiles.d/arrayfs.conf",
    "lib/sysusers.d/arrayfs.conf", "lib/python3/dist-packages/arrayfs.py", "share/doc/arrayfs/example.conf",
)


def printed(page: Path) -> str:
    """The page as a reader sees it, in one line."""
    done = run("man", "--warnings", "-E", "UTF-8", "-l", str(page), env={**os.environ, "MANWIDTH": "2000"})
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return re.sub(r"\s+", " ", re.sub(".\b", "", done.stdout))


def options_of(*command: str) -> set[str]:
    """The options that a command's --help lists."""
    lines = run(BINARY, *command, "--help").stdout.split("\nExamples:")[0].splitlines()
    listed = [re.match(r"  (-\S+)", line) for line in lines]
    return {name for match in listed if match for name in match[1].split(",")}


def commands() -> list[str]:
    after = run(BINARY, "--help").stdout.split("Subcommands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in after.splitlines() if line.strip()]


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        done = run("cmake", "--install", BUILD, "--prefix", f"/{PREFIX}", env={**os.environ, "DESTDIR": str(cls.tree)})
        assert done.returncode == 0, done.stderr
        cls.root = cls.tree / PREFIX


class Install(Installed):
    def test_every_file_and_none_elsewhere(self):
        for name in FILES:
            self.assertTrue((self.root / name).is_file(), name)
        self.assertEqual(os.listdir(self.tree), ["usr"])
        libraries = {path.name for path in self.root.rglob("*") if "libshm" in path.name}
        self.assertTrue({"libshm.so", "libshm.so.1", "libshm++.a", "libshm.pc"} <= libraries, libraries)

    def test_the_command_runs(self):
        self.assertIn("arrayfs ", run(str(self.root / "bin/arrayfs"), "--version").stdout)

    def test_completions_are_read_by_their_shells(self):
        for shell, file in (("bash", "bash-completion/completions/arrayfs"), ("zsh", "zsh/vendor-completions/_arrayfs"),
                            ("fish", "fish/vendor_completions.d/arrayfs.fish")):
            with self.subTest(shell):
                if shutil.which(shell) is None:
                    self.skipTest(f"no {shell} here")
                text = (self.root / "share" / file).read_text()
                self.assertIn("umount", text)
                self.assertNotIn("resume", text)
                self.assertEqual(run(shell, "-n", str(self.root / "share" / file)).returncode, 0)

    @unittest.skipIf(shutil.which("systemd-analyze") is None, "no systemd-analyze here")
    def test_units(self):
        for manager in ("system", "user"):
            unit = self.root / f"lib/systemd/{manager}/arrayfs@.service"
            text = unit.read_text()
            self.assertIn("ExecStart=/usr", text)
            # At the place where it will be, there is nothing yet.
            unit.write_text(re.sub(r"/usr\S*/bin/arrayfs", BINARY, text))
            done = run("systemd-analyze", "verify", "--man=no", f"--{manager}", str(unit),
                       env={**os.environ, "XDG_RUNTIME_DIR": str(self.tree)})
            self.assertEqual((done.returncode, done.stderr), (0, ""), manager)
        unit = self.root / "lib/systemd/system/arrayfs@.service"
        done = run("systemd-analyze", "security", "--offline=yes", "--threshold=50", str(unit))
        self.assertEqual(done.returncode, 0, done.stdout[-500:])

    @unittest.skipIf(shutil.which("systemd-sysusers") is None, "no systemd-sysusers here")
    def test_sysusers_and_tmpfiles(self):
        for directory in ("etc", "run"):
            (self.tree / directory).mkdir(exist_ok=True)
        self.addCleanup(shutil.rmtree, self.tree / "etc")
        self.addCleanup(shutil.rmtree, self.tree / "run")
        for tool, file in (("systemd-sysusers", "sysusers.d"), ("systemd-tmpfiles", "tmpfiles.d")):
            create = ("--create",) if tool == "systemd-tmpfiles" else ()
            done = run(tool, *create, f"--root={self.tree}", str(self.root / f"lib/{file}/arrayfs.conf"))
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("arrayfs:", (self.tree / "etc/group").read_text())
        self.assertEqual((self.tree / "run/arrayfs").stat().st_mode & 0o7777, 0o700)


class Manual(Installed):
    def page(self, name: str) -> str:
        return printed(self.root / f"share/man/man{name[-1]}" / name)

    def test_every_page_is_clean(self):
        for page in (self.root / "share/man").glob("man*/*"):
            with self.subTest(page.name):
                self.assertIn("NAME", printed(page))

    def test_the_command_and_its_page_say_the_same(self):
        page = self.page("arrayfs.1")
        section = page.split(" COMMANDS ")[1].split(" EXIT STATUS ")[0]
        found = re.findall(r"arrayfs ([a-z]+) \[OPTIONS\]", section)
        self.assertEqual(found, commands())
        for command, text in zip(found, re.split(r"arrayfs [a-z]+ \[OPTIONS\]", section)[1:], strict=True):
            with self.subTest(command):
                listed = text.split(" Examples:")[0]
                of_page = set(re.findall(r"(?<=[ ,])(--?[a-zA-Z][a-z-]*)(?=[ ,])", f" {listed} "))
                # --help is said of all commands at once; a description may name another option.
                self.assertEqual(options_of(command) - {"-h", "--help"} - of_page, set())
                self.assertEqual(of_page - options_of(command), set())

    def test_configuration_has_the_options_of_mount(self):
        keys = self.page("arrayfs.conf.5").split(" KEYS ")[1].split(" EXAMPLES ")[0]
        options = {option[2:] for option in options_of("mount") if option.startswith("--")}
        for key in options - {"help", "config", "foreground"} | {"dir"}:
            self.assertRegex(keys, rf"(^| ){key} ")
        helper = self.page("mount.arrayfs.8")
        for key in options - {"help", "foreground"}:
            self.assertIn(key.replace("-", "_"), helper)

    def test_the_page_of_the_control_tree_has_what_its_readme_has(self):
        listed = CONTROL_README.read_text().split("What is here", 1)[1]
        names = set(re.findall(r"(?:^  |, )([a-z]+)(?:/|,|  )", listed, re.MULTILINE))
        self.assertTrue({"status", "info", "zarr"} <= names, names)
        page = self.page("arrayfs-control.7").split(" FILES ")[1]
        self.assertEqual({name for name in names if not re.search(rf"[ ,]{name}[ /,]", page)}, set())

    def test_the_page_of_the_library_has_every_function(self):
        declared = set(re.findall(r"\b(shm_[a-z_]+)\(", HEADER.read_text()))
        self.assertEqual(set(re.findall(r"\b(shm_[a-z_]+)\(", self.page("libshm.3"))), declared)


if __name__ == "__main__":
    unittest.main()
