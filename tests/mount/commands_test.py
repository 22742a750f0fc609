"""The commands that show arrays, make them of other files and write other files of them, against NumPy."""

import csv
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
import warnings
from pathlib import Path

import numpy as np

from mount.views_test import read_safetensors
from support.arrays import ARRAYS
from support.mount import BINARY, TIMEOUT_S, Mount, arrayfs, run, wait_until


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    names = {"<f4": "F32", "<i8": "I64", "|u1": "U8"}
    header, data = {}, b""
    for name, array in tensors.items():
        header[name] = {"dtype": names[array.dtype.str], "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header | {"__metadata__": {"format": "np"}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mount = cls.enterClassContext(Mount())
        cls.files = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            for kind, array in ARRAYS.items():
                np.save(cls.mount.path / f"{kind}.npy", array)

    def refused(self, *arguments: str, status: int = 1) -> str:
        done = run(BINARY, *arguments)
        self.assertEqual((done.returncode, len(done.stderr.splitlines()), done.stdout), (status, 1, ""), done)
        return done.stderr

    # ---- show

    def test_show_prints_what_numpy_prints(self):
        for kind, array in ARRAYS.items():
            with self.subTest(kind):
                self.assertEqual(arrayfs("show", str(self.mount.path / f"{kind}.npy")), f"{array}\n")

    def test_show_of_slices(self):
        rng = np.random.default_rng(11)
        shown = 0
        for kind in ("int16", "float16", "float32", "float64", "complex64", ">f8", "fortran", "bool"):
            array = ARRAYS[kind]
            for _ in range(30):
                index = []
                for extent in array.shape[:rng.integers(1, 4)]:
                    choice = rng.integers(4)
                    first, last = sorted(int(i) for i in rng.integers(-extent, extent + 1, 2))
                    index.append((str(int(rng.integers(-extent, extent))), f"{first}:{last}", "::-1", ":")[choice])
                text = f"[{', '.join(index)}]"
                with self.subTest(f"{kind}{text}"):
                    expected = eval(f"array{text}", {"array": array})
                    self.assertEqual(arrayfs("show", str(self.mount.path / f"{kind}.npy"), text), f"{expected}\n")
                    shown += 1
        self.assertEqual(shown, 240)
        structured = ARRAYS["structured"]
        self.assertEqual(arrayfs("show", str(self.mount.path / "structured.npy"), "['marks'][1, 0]"),
                         f"{structured['marks'][1, 0]}\n")

    def test_show_in_full_and_as_json(self):
        path = self.mount.path / "ramp.npy"
        ramp = np.linspace(0, 1, 2000)
        np.save(path, ramp)
        self.assertEqual(arrayfs("show", str(path)), f"{ramp}\n")
        self.assertEqual(arrayfs("show", "--full", str(path)), np.array2string(ramp, threshold=10**9) + "\n")
        with np.printoptions(precision=3):
            self.assertEqual(arrayfs("show", "--precision", "3", str(path)), f"{ramp}\n")
        shown = json.loads(arrayfs("show", "--json", str(path)))
        self.assertEqual((shown["dtype"], shown["shape"]), ("float64", [2000]))
        np.testing.assert_array_equal(shown["values"], ramp)
        for kind in ("int64", "bool", "float32"):
            shown = json.loads(arrayfs("show", "--json", str(self.mount.path / f"{kind}.npy")))
            np.testing.assert_array_equal(np.array(shown["values"], ARRAYS[kind].dtype), ARRAYS[kind])
        special = json.loads(arrayfs("show", "--json", str(self.mount.path / "special_floats.npy")))["values"]
        self.assertEqual(special[:5], [0.0, -0.0, None, None, None])

    def test_show_refuses(self):
        np.save(self.files / "objects.npy", np.array([{}], object), allow_pickle=True)
        (self.files / "text.txt").write_text("no array")
        self.assertIn("pickled", self.refused("show", str(self.files / "objects.npy")))
        self.assertIn("text.txt", self.refused("show", str(self.files / "text.txt")))
        self.assertIn("missing", self.refused("show", str(self.mount.path / "missing.npy")))
        self.assertIn("out of bounds", self.refused("show", str(self.mount.path / "int8.npy"), "[9]"))
        self.refused("show", str(self.mount.path / "int8.npy"), "[", status=1)
        self.refused("show", status=2)

    # ---- stats

    def test_stats_agree_with_numpy(self):
        rng = np.random.default_rng(3)
        arrays = {kind: ARRAYS[kind] for kind in ("int8", "uint64", "float16", "float32", ">f8", "fortran", "bool", "large")}
        arrays["offset"] = rng.normal(1e8, 1, 300_000)
        arrays["wide"] = rng.normal(0, 1, (1500, 1001)).astype("f4")
        for kind, array in arrays.items():
            with self.subTest(kind):
                path = self.mount.path / "stats.npy"
                np.save(path, array)
                stats = json.loads(arrayfs("stats", "--json", str(path)))
                exact = array.astype("f8")
                self.assertEqual((stats["count"], stats["nan"], stats["zeros"]), (array.size, 0, (array == 0).sum()))
                self.assertEqual((stats["min"], stats["max"]), (exact.min(), exact.max()))
                np.testing.assert_allclose(stats["mean"], exact.mean(), rtol=1e-13)
                np.testing.assert_allclose(stats["std"], exact.std(), rtol=1e-10)
                self.assertEqual(sum(stats["histogram"]), array.size)
                for percent, value in stats["percentiles"].items():
                    np.testing.assert_allclose(value, np.percentile(exact, float(percent)), rtol=1e-12,
                                               atol=stats["percentile_error"])

    def test_stats_count_what_is_not_finite(self):
        array = np.array([1.0, np.nan, np.inf, -np.inf, 3.0, 0.0])
        np.save(self.mount.path / "odd.npy", array)
        stats = json.loads(arrayfs("stats", "--json", str(self.mount.path / "odd.npy")))
        self.assertEqual([stats[key] for key in ("count", "nan", "inf", "zeros", "min", "max")], [6, 1, 2, 1, 0, 3])
        part = json.loads(arrayfs("stats", "--json", str(self.mount.path / "odd.npy"), "[::4]"))
        self.assertEqual((part["count"], part["mean"]), (2, 2))
        self.assertEqual(arrayfs("stats", str(self.mount.path / "odd.npy")), self.mount.control("stats/odd.npy"))
        self.refused("stats", str(self.mount.path / "unicode.npy"))

    # ---- plot

    def test_plot_in_text(self):
        self.assertEqual(len(arrayfs("plot", str(self.mount.path / "large.npy")).splitlines()[0]), 80)
        self.assertIn("⠀", arrayfs("plot", str(self.mount.path / "float64.npy"), "[0, 0]"))
        self.refused("plot", str(self.mount.path / "unicode.npy"))
        self.refused("plot", str(self.mount.path / "empty.npy"))

    # ---- ls

    def test_ls(self):
        (self.mount.path / "sub/deep").mkdir(parents=True)
        np.save(self.mount.path / "sub/deep/w.npy", np.eye(2))
        names = [entry["name"] for entry in json.loads(arrayfs("ls", "--json", str(self.mount.path)))]
        self.assertEqual(names, sorted(names))
        deep = [entry["name"] for entry in json.loads(arrayfs("ls", "-R", "--json", str(self.mount.path)))]
        self.assertIn("sub/deep/w.npy", deep)
        self.assertNotIn(".arrayfs", "".join(deep))
        sizes = [entry.get("file_size", 0) for entry in
                 json.loads(arrayfs("ls", "--sort", "size", "--json", str(self.mount.path)))]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        lines = arrayfs("ls", "-l", str(self.mount.path)).splitlines()
        self.assertEqual(lines[0].split()[-5:], ["ALLOCATED", "VERSION", "MODE", "OWNER", "SEALED"])
        self.assertNotIn("\x1b", "".join(lines))
        on_terminal = run("script", "-qec", f"{BINARY} ls {self.mount.path}", "/dev/null").stdout
        self.assertIn("\x1b[32mlarge.npy\x1b[0m", on_terminal)
        self.refused("ls", "--sort", "shape", status=2)

    # ---- create

    def test_create_like(self):
        for kind in ("fortran", "structured", ">i2"):
            arrayfs("create", str(self.mount.path / f"like_{kind}.npy"), "--like", str(self.mount.path / f"{kind}.npy"))
            made = np.load(self.mount.path / f"like_{kind}.npy")
            model = ARRAYS[kind]
            self.assertEqual((made.dtype, made.shape, np.isfortran(made)), (model.dtype, model.shape, np.isfortran(model)))
            self.assertEqual(made.tobytes().strip(b"\0"), b"")
        arrayfs("create", str(self.mount.path / "filled.npy"), "float32", "--like", str(self.mount.path / "int8.npy"),
                "--fill", "2.5")
        made = np.load(self.mount.path / "filled.npy")
        self.assertEqual((made.dtype, made.shape, set(made.flat)), (np.dtype("f4"), (2, 3, 4), {2.5}))

    def test_create_from_other_formats(self):
        target = self.mount.path / "made.npy"

        def made(source: Path, *options: str) -> np.ndarray:
            arrayfs("create", str(target), "--replace", "--from", str(source), *options)
            return np.load(target)

        table = np.arange(12.0).reshape(4, 3) / 7
        np.savetxt(self.files / "table.csv", table, delimiter=",", header="a,b,c", comments="")
        self.assertIn("--skip-heading", self.refused("create", str(target), "--from", str(self.files / "table.csv"),
                                                     "--replace"))
        np.testing.assert_allclose(made(self.files / "table.csv", "--skip-heading"), table, rtol=1e-15)
        (self.files / "text.csv").write_text('a,"b,c"\n"say ""hi""",d\n')
        arrayfs("create", str(target), "U10", "2,2", "--replace", "--from", str(self.files / "text.csv"))
        self.assertEqual(np.load(target).tolist(), [["a", "b,c"], ['say "hi"', "d"]])
        np.savez(self.files / "one.npz", w=table)
        np.testing.assert_array_equal(made(self.files / "one.npz"), table)
        np.savez_compressed(self.files / "packed.npz", w=np.zeros((100, 100)))
        np.testing.assert_array_equal(made(self.files / "packed.npz"), np.zeros((100, 100)))
        write_safetensors(self.files / "one.safetensors", {"w": table.astype("f4")})
        np.testing.assert_array_equal(made(self.files / "one.safetensors"), table.astype("f4"))
        table.tofile(self.files / "table.raw")
        arrayfs("create", str(target), "float64", "4,3", "--replace", "--from", str(self.files / "table.raw"))
        np.testing.assert_array_equal(np.load(target), table)

    def test_create_refuses_broken_files(self):
        np.savez(self.files / "two.npz", a=np.eye(2), b=np.eye(3))
        np.savez(self.files / "good.npz", a=np.arange(1000))
        good = (self.files / "good.npz").read_bytes()
        (self.files / "cut.npz").write_bytes(good[:-30])
        (self.files / "flipped.npz").write_bytes(good[:3000] + b"\xff" + good[3001:])
        (self.files / "long.safetensors").write_bytes(b"\xff" * 16)
        (self.files / "json.safetensors").write_bytes((2).to_bytes(8, "little") + b"[]")
        write_safetensors(self.files / "far.safetensors", {"w": np.eye(4, dtype="f4")})
        (self.files / "far.safetensors").write_bytes((self.files / "far.safetensors").read_bytes()[:-8])
        (self.files / "ragged.csv").write_text("1,2\n3\n")
        (self.files / "quote.csv").write_text('"1,2\n')
        (self.files / "untyped.raw").write_bytes(bytes(16))
        for name in ("two.npz", "cut.npz", "flipped.npz", "long.safetensors", "json.safetensors", "far.safetensors",
                     "ragged.csv", "quote.csv", "untyped.raw", "missing.npy"):
            with self.subTest(name):
                message = self.refused("create", str(self.mount.path / "broken.npy"), "--from", str(self.files / name))
                self.assertIn(name, message)
                self.assertFalse((self.mount.path / "broken.npy").exists())

    # ---- import and export

    def test_import_archives(self):
        arrays = {"a": np.eye(3), "b/c": np.asfortranarray(np.arange(6).reshape(2, 3)), "text": np.array(["x", "yz"])}
        np.savez(self.files / "several.npz", **arrays)
        arrayfs("import", str(self.files / "several.npz"), str(self.mount.path / "several"))
        for name, array in arrays.items():
            np.testing.assert_array_equal(np.load(self.mount.path / f"several/{name}.npy"), array)
        tensors = {"w": np.arange(6, dtype="f4").reshape(2, 3), "n": np.array(5, "i8"), "e": np.zeros((0, 3), "u1")}
        write_safetensors(self.files / "model.safetensors", tensors)
        arrayfs("import", str(self.files / "model.safetensors"), str(self.mount.path / "model"))
        for name, array in tensors.items():
            np.testing.assert_array_equal(np.load(self.mount.path / f"model/{name}.npy"), array)

    def test_import_leaves_nothing_half_made(self):
        np.savez(self.files / "objects.npz", a=np.eye(3), z=np.array([{}], object))
        self.refused("import", str(self.files / "objects.npz"), str(self.mount.path / "half"))
        self.assertFalse((self.mount.path / "half").exists())
        np.savez(self.files / "large.npz", a=np.eye(3), z=np.zeros(100_000_000, "u1"))
        (self.mount.path / "kept").mkdir()
        np.save(self.mount.path / "kept/z.npy", np.eye(2))
        self.refused("import", str(self.files / "large.npz"), str(self.mount.path / "kept"))
        self.assertEqual(os.listdir(self.mount.path / "kept"), ["z.npy"])

    def assert_untouched_by(self, directory: Path, import_as: tuple[str, ...] = ()) -> str:
        """An import of `directory` that has to fail changes nothing that is in `replaced` of the mount."""
        target = self.mount.path / "replaced"
        before = {path: (path.stat().st_ino, path.read_bytes()) for path in target.iterdir() if path.is_file()}
        done = run(*import_as, BINARY, "import", str(directory), str(target), "--replace")
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), done)
        after = {path: (path.stat().st_ino, path.read_bytes()) for path in target.iterdir() if path.is_file()}
        self.assertEqual(before, after)
        self.assertEqual(set(os.listdir(target)), {path.name for path in before})
        return done.stderr

    def several(self, *names: str) -> tuple[Path, Path]:
        """Zeros of these names in the mount, and a directory with other arrays of the same names and `n`."""
        target = self.mount.path / "replaced"
        source = self.files / "replacing"
        for directory in (target, source):
            directory.mkdir(mode=0o755)
            self.addCleanup(shutil.rmtree, directory)
        for i, name in enumerate((*names, "n")):
            np.save(source / f"{name}.npy", np.full(1000, i + 1.5))
        for name in names:
            np.save(target / f"{name}.npy", np.zeros(5))
        return target, source

    def test_import_of_several_replaces_all_or_none(self):
        target, source = self.several("a", "b")
        (source / "z.npy").write_bytes(b"\x93NUMPY\1\0 broken")
        self.assertIn("z.npy", self.assert_untouched_by(source))
        np.lib.format.open_memmap(source / "z.npy", "w+", "u1", (600_000_000,)).flush()
        self.assertRegex(self.assert_untouched_by(source), f"{target}/z.npy: .*No space left")
        np.save(source / "z.npy", np.eye(3))
        (target / "z.npy").mkdir()
        self.assertIn("replaced/z.npy: Is a directory", run(BINARY, "import", str(source), str(target), "--replace").stderr)
        self.assertEqual(sorted(os.listdir(target)), ["a.npy", "b.npy", "z.npy"])
        (target / "z.npy").rmdir()

        mapped = np.load(target / "a.npy", mmap_mode="r")
        page = (self.mount.path / ".arrayfs/sync/replaced/a.npy").stat().st_ino
        arrayfs("import", str(source), str(target), "--replace")
        self.assertEqual(sorted(os.listdir(target)), sorted(os.listdir(source)))
        for path in target.iterdir():
            np.testing.assert_array_equal(np.load(path), np.load(source / path.name))
            self.assertEqual(path.stat().st_nlink, 1)
        np.testing.assert_array_equal(mapped, np.zeros(5))
        self.assertEqual((self.mount.path / ".arrayfs/sync/replaced/a.npy").stat().st_ino, page)

    def test_an_import_that_is_interrupted(self):
        target, source = self.several("a")
        for i in range(40):
            np.lib.format.open_memmap(source / f"b{i}.npy", "w+", "u1", (10_000_000,)).flush()
        importing = subprocess.Popen([BINARY, "import", str(source), str(target), "--replace"])
        wait_until(lambda: len(os.listdir(target)) > 2, "some are written aside")
        importing.send_signal(signal.SIGINT)
        self.assertEqual(importing.wait(TIMEOUT_S), -signal.SIGINT)
        self.assertEqual(os.listdir(target), ["a.npy"])
        np.testing.assert_array_equal(np.load(target / "a.npy"), np.zeros(5))

    @unittest.skipUnless(os.geteuid() == 0, "an ordinary user has no other users")
    def test_an_import_that_may_not_replace_the_last_array(self):
        target, source = self.several("a", "b", "c")
        self.files.chmod(0o755)
        target.chmod(0o1777)
        for name in ("a", "b"):
            os.chown(target / f"{name}.npy", 65534, 65534)
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        self.assertIn("c.npy: Operation not permitted", self.assert_untouched_by(source, nobody))
        os.chown(target / "c.npy", 65534, 65534)
        self.assertEqual(run(*nobody, BINARY, "import", str(source), str(target), "--replace").returncode, 0)
        self.assertEqual(np.load(target / "c.npy")[0], 3.5)

    def test_import_stays_in_its_directory(self):
        for name in ("../out", "/tmp/out"):
            write_safetensors(self.files / "evil.safetensors", {name: np.eye(2, dtype="f4")})
            self.refused("import", str(self.files / "evil.safetensors"), str(self.mount.path / "evil"))
        self.assertFalse((self.mount.path / "out.npy").exists())
        self.assertFalse((self.mount.path / "evil").exists())

    def test_export(self):
        directory = self.mount.path / "out"
        directory.mkdir()
        arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.asfortranarray(np.arange(4, dtype="i4").reshape(2, 2))}
        for name, array in arrays.items():
            np.save(directory / f"{name}.npy", array)
        arrayfs("export", str(directory), str(self.files / "out.npz"))
        with np.load(self.files / "out.npz") as archive:
            for name, array in arrays.items():
                np.testing.assert_array_equal(archive[name], array)
        arrayfs("export", str(directory), str(self.files / "out.safetensors"))
        np.testing.assert_array_equal(read_safetensors(self.files / "out.safetensors")["b"], arrays["b"])
        arrayfs("export", str(directory), str(self.files / "copies"))
        np.testing.assert_array_equal(np.load(self.files / "copies/a.npy"), arrays["a"])
        arrayfs("export", str(directory / "a.npy"), str(self.files / "a.csv"))
        np.testing.assert_array_equal(np.loadtxt(self.files / "a.csv", delimiter=","), arrays["a"])
        self.assertEqual(arrayfs("export", str(directory / "a.npy"), "-", "--format", "csv"), "0.0,1.0,2.0\n3.0,4.0,5.0\n")
        arrayfs("export", str(directory / "b.npy"), str(self.files / "b.bin"))
        self.assertEqual((self.files / "b.bin").read_bytes(), arrays["b"].tobytes("F"))
        arrayfs("import", str(self.files / "copies"), str(self.mount.path / "again"))
        np.testing.assert_array_equal(np.load(self.mount.path / "again/b.npy"), arrays["b"])

    def test_export_leaves_nothing_half_made(self):
        self.refused("export", str(self.mount.path / "large.npy"), str(self.files / "large.unknown"))
        self.refused("export", str(self.mount.path / "many_axes.npy"), str(self.files / "many.csv"))
        self.refused("export", str(self.mount.path), str(self.files / "all.safetensors"))
        self.assertEqual([name for name in os.listdir(self.files) if name.startswith((".arrayfs", "many", "all."))], [])

    # ---- doctor and top

    def test_doctor(self):
        findings = {finding["what"]: finding for finding in json.loads(arrayfs("doctor", "--json"))}
        self.assertEqual(findings["/dev/fuse"]["state"], "ok")
        self.assertEqual(findings[f"mount {self.mount.path}"]["state"], "ok")
        for finding in findings.values():
            self.assertEqual(finding["state"] == "ok", finding["advice"] == "", finding)
        self.assertRegex(arrayfs("doctor"), r"(?m)^ok +/dev/fuse: ")

    def test_top(self):
        picture = json.loads(arrayfs("top", "--json", str(self.mount.path)))
        self.assertEqual(picture["status"]["plane"], self.mount.plane)
        self.assertLessEqual({f"{kind}.npy" for kind in ARRAYS}, {array["name"] for array in picture["arrays"]})
        lines = arrayfs("top", str(self.mount.path)).splitlines()
        self.assertIn(str(self.mount.path)[:20], lines[0])
        self.assertTrue(lines[4].startswith("large.npy"), lines[:6])
        self.assertLess(max(map(len, lines)), 81)

    def test_top_on_a_terminal_quits_on_q(self):
        done = run("script", "-qec", f"{BINARY} top {self.mount.path}", "/dev/null", input="q",
                   env=os.environ | {"TERM": "xterm", "LINES": "24", "COLUMNS": "80"})
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("large.npy", done.stdout)

    # ---- completions

    def test_completions(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.files / f"completion.{shell}"
            script.write_text(arrayfs("completions", shell))
            if shutil.which(shell):
                checked = run(shell, "-n", str(script))
                self.assertEqual((checked.returncode, checked.stderr), (0, ""), shell)
        complete = ('source "$0"; COMP_WORDS=(arrayfs {0}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _arrayfs; '
                    'echo "${{COMPREPLY[@]}}"')
        for words, expected in (("imp", "import"), ("create --li", "--like"), ("ls --s", "--sort"), ("--ver", "--version")):
            done = run("bash", "-c", complete.format(words), str(self.files / "completion.bash"))
            self.assertEqual(done.stdout.split(), [expected], done)
        if shutil.which("fish"):
            done = run("fish", "-c", f"source {self.files}/completion.fish; complete -C 'arrayfs create --li'")
            self.assertIn("--like", done.stdout)
        self.refused("completions", "tcsh", status=2)


if __name__ == "__main__":
    unittest.main()
