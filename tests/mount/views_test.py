"""Every view is read by the program that its format is made for, and gives NumPy's values."""

import csv
import io
import json
import os
import re
import struct
import subprocess
import unittest
import zipfile

import numpy as np
import PIL.Image
import zarr

from support.arrays import ARRAYS, save_all
from support.mount import Mount, run

SAFETENSORS = {"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4", "I32": "<i4",
               "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8", "C64": "<c8"}


def read_safetensors(path) -> dict[str, np.ndarray]:
    """The tensors of a file, as the format's own description reads it."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    tensors = {}
    end = 0
    for name, tensor in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = tensor["data_offsets"]
        assert first == end, "tensors lie one after the other"
        end = last
        tensors[name] = np.frombuffer(data[8 + length + first:8 + length + last],
                                      SAFETENSORS[tensor["dtype"]]).reshape(tensor["shape"])
    assert 8 + length + end == len(data)
    return tensors


class Views(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mount = cls.enterClassContext(Mount())
        cls.control = cls.mount.path / ".arrayfs"
        (cls.mount.path / "all").mkdir()
        (cls.mount.path / "numbers").mkdir()
        save_all(cls.mount.path / "all")
        cls.numbers = {name: ARRAYS[name] for name in (
            "int8", "int64", "uint32", "float16", "float32", "float64", "complex64", ">i2", ">f8", "bool", "fortran",
            "fortran_big_endian", "zero_d", "empty", "empty_axis", "large")}
        for kind, array in cls.numbers.items():
            np.save(cls.mount.path / "numbers" / f"{kind}.npy", array)

    # ---- raw

    def test_raw_holds_the_bytes_of_the_array(self):
        for kind, array in ARRAYS.items():
            with self.subTest(kind):
                path = self.control / f"raw/all/{kind}.npy.bin"
                self.assertEqual(path.read_bytes(), array.tobytes("F" if np.isfortran(array) else "C"))
                self.assertEqual(path.stat().st_size, array.nbytes)

    def test_raw_by_numpy_and_coreutils(self):
        path = self.control / "raw/all/large.npy.bin"
        array = ARRAYS["large"]
        np.testing.assert_array_equal(np.fromfile(path, "f8").reshape(1000, 1000), array)
        tail = subprocess.run(["tail", "-c", "8", str(path)], capture_output=True, check=True, timeout=60).stdout
        self.assertEqual(struct.unpack("<d", tail), (array[-1, -1],))
        dd = ["dd", f"if={path}", "bs=8", "skip=12345", "count=1", "status=none"]
        part = subprocess.run(dd, capture_output=True, check=True, timeout=60).stdout
        self.assertEqual(struct.unpack("<d", part), (array.flat[12345],))

    # ---- csv

    def test_csv_by_loadtxt(self):
        for kind in ("int64", "float64", "float32", "float16", ">i2", ">f8", "fortran", "bool"):
            with self.subTest(kind):
                array = ARRAYS[kind].reshape(6, 4, order="A")
                array = np.asfortranarray(array) if kind == "fortran" else array
                np.save(self.mount.path / "table.npy", array)
                loaded = np.loadtxt(self.control / "csv/table.npy.csv", delimiter=",", converters=(
                    {i: lambda text: text.decode() == "True" for i in range(4)} if kind == "bool" else None))
                np.testing.assert_array_equal(loaded.astype(array.dtype), array)

    def test_csv_gives_every_float_again(self):
        rng = np.random.default_rng(5)
        for dtype, bits in (("f8", "u8"), ("f4", "u4"), ("f2", "u2")):
            values = rng.integers(0, np.iinfo(bits).max, 5000, bits, endpoint=True).view(dtype)
            np.save(self.mount.path / "bits.npy", values)
            loaded = np.loadtxt(self.control / "csv/bits.npy.csv", dtype="f8").astype(dtype)
            np.testing.assert_array_equal(loaded, values)

    def test_csv_of_text_and_fields(self):
        np.save(self.mount.path / "text.npy", np.array(["plain", 'with "quotes"', "a,b", "two\nlines", "数组"]))
        rows = list(csv.reader(io.StringIO(self.mount.control("csv/text.npy.csv"))))
        self.assertEqual(rows, [["plain"], ['with "quotes"'], ["a,b"], ["two\nlines"], ["数组"]])
        table = csv.DictReader(io.StringIO(self.mount.control("csv/all/structured.npy.csv")))
        rows = list(table)
        self.assertEqual(table.fieldnames[:4], ["name", "grade", "marks[0,0]", "marks[0,1]"])
        self.assertEqual([row["name"] for row in rows], ["one", "zwei", "trois", "四", ""])
        self.assertEqual([np.float32(row["grade"]) for row in rows], list(ARRAYS["structured"]["grade"]))
        self.assertEqual([int(row["inner.y"]) for row in rows], [0, 1, 2, 3, 4])
        np.save(self.mount.path / "days.npy", np.array(["2001-09-09", "NaT"], "M8[D]"))
        self.assertEqual(self.mount.control("csv/days.npy.csv"), "2001-09-09\nNaT\n")

    def test_csv_is_the_same_from_anywhere(self):
        for order in "CF":
            array = np.asarray(np.random.default_rng(1).normal(size=(70_000, 3)), order=order)
            np.save(self.mount.path / "walk.npy", array)
            path = self.control / "csv/walk.npy.csv"
            whole = path.read_bytes()
            np.testing.assert_array_equal(np.loadtxt(io.BytesIO(whole), delimiter=","), array)
            with open(path, "rb", buffering=0) as view:
                for offset in np.random.default_rng(2).integers(0, len(whole), 60):
                    wanted = whole[offset:offset + 1000]
                    self.assertEqual(os.pread(view.fileno(), 1000, offset), wanted)
                self.assertEqual(os.pread(view.fileno(), 10, len(whole)), b"")

    def test_csv_starts_at_once_and_ends_early(self):
        np.lib.format.open_memmap(self.mount.path / "long.npy", "w+", "i8", (30_000_000,))[:3] = [1, 2, 3]
        head = run("head", "-n", "4", str(self.control / "csv/long.npy.csv"))
        self.assertEqual(head.stdout, "1\n2\n3\n0\n")
        (self.mount.path / "long.npy").unlink()

    # ---- archives

    def test_npz_by_numpy_and_zipfile(self):
        with np.load(self.control / "npz/all.npz") as archive:
            self.assertEqual(set(archive.files), set(ARRAYS))
            for kind, array in ARRAYS.items():
                with self.subTest(kind):
                    np.testing.assert_array_equal(archive[kind], array)
                    self.assertEqual(np.isfortran(archive[kind]), np.isfortran(array))
        with zipfile.ZipFile(self.control / "npz/all.npz") as archive:
            self.assertIsNone(archive.testzip())
        self.assertLessEqual({"all.npz", "numbers.npz"}, set(os.listdir(self.control / "npz")))

    def test_npz_is_the_same_forwards_and_from_the_end(self):
        path = self.control / "npz/numbers.npz"
        whole = path.read_bytes()
        with open(path, "rb", buffering=0) as view:
            for offset in reversed(range(0, len(whole), 1_000_001)):
                self.assertEqual(os.pread(view.fileno(), 100_000, offset), whole[offset:offset + 100_000])

    def test_npz_of_the_root_and_of_typed_raw_files(self):
        with Mount() as mount:
            np.save(mount.path / "w.npy", np.eye(3))
            (mount.path / "notes.txt").write_text("no array")
            np.arange(6, dtype="f4").tofile(mount.path / "typed.dat")
            os.setxattr(mount.path / "typed.dat", "user.array.dtype", b"<f4")
            os.setxattr(mount.path / "typed.dat", "user.array.shape", b"2,3")
            with np.load(mount.path / ".arrayfs/npz/.npz") as archive:
                self.assertEqual(set(archive.files), {"w", "typed.dat"})
                np.testing.assert_array_equal(archive["typed.dat"], np.arange(6, dtype="f4").reshape(2, 3))

    def test_safetensors(self):
        tensors = read_safetensors(self.control / "safetensors/numbers.safetensors")
        self.assertEqual(set(tensors), set(self.numbers))
        for kind, array in self.numbers.items():
            with self.subTest(kind):
                np.testing.assert_array_equal(tensors[kind], array)

    def test_safetensors_has_no_text(self):
        with self.assertRaises(OSError) as refused:
            (self.control / "safetensors/all.safetensors").read_bytes()
        self.assertEqual(refused.exception.strerror, "Operation not supported")

    def test_an_archive_of_arrays_that_are_replaced(self):
        directory = self.mount.path / "changing"
        directory.mkdir()
        np.save(directory / "a.npy", np.arange(1000))
        with open(self.control / "npz/changing.npz", "rb", buffering=0) as view:
            np.save(directory / "new.npy", np.arange(5))
            os.replace(directory / "new.npy", directory / "a.npy")
            with self.assertRaises(OSError):
                view.read()

    @unittest.skipIf(os.geteuid() != 0, "needs root, to be somebody else")
    def test_an_archive_obeys_the_permissions_of_its_arrays(self):
        directory = self.mount.path / "private"
        directory.mkdir()
        for name in ("open.npy", "closed.npy"):
            np.save(directory / name, np.arange(3))
        archive = str(self.control / "npz/private.npz")
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        self.assertEqual(run("cat", archive, errors="replace", **nobody).returncode, 0)
        directory.chmod(0o744)  # may be listed, but not searched
        self.assertEqual(run("cat", archive, errors="replace", **nobody).returncode, 1)
        directory.chmod(0o755)
        (directory / "closed.npy").chmod(0o600)
        refused = run("cat", archive, **nobody)
        self.assertEqual((refused.returncode, "Permission denied" in refused.stderr), (1, True))
        self.assertEqual(run("cat", archive, errors="replace").returncode, 0)
        chunk = str(self.control / "zarr/private/closed.npy.zarr/.zarray")
        self.assertNotEqual(run("cat", chunk, **nobody).returncode, 0)

    # ---- zarr

    def test_zarr_by_zarr(self):
        for kind, array in ARRAYS.items():
            if kind in ("many_axes", "structured_aligned", "structured_titles"):
                continue  # zarr itself has no padding, no titles, and no 32 axes
            with self.subTest(kind):
                opened = zarr.open_array(str(self.control / f"zarr/all/{kind}.npy.zarr"), mode="r")
                self.assertEqual((opened.shape, opened.order), (array.shape, "F" if np.isfortran(array) else "C"))
                np.testing.assert_array_equal(opened[...], array)

    def test_zarr_directories(self):
        store = self.control / "zarr/all/fortran.npy.zarr"
        names = sorted(os.path.join(root, name)[len(str(store)) + 1:]
                       for root, _, files in os.walk(store) for name in files)
        self.assertEqual(names, [".zarray", ".zattrs", "0.0.0", "c/0/0/0", "zarr.json"])
        data = ARRAYS["fortran"].tobytes("F")
        self.assertEqual([(store / name).read_bytes() for name in ("0.0.0", "c/0/0/0")], [data, data])
        self.assertEqual([(store / name).stat().st_size for name in ("0.0.0", "c/0/0/0")], [len(data)] * 2)
        v3 = json.loads((store / "zarr.json").read_text())
        self.assertEqual((v3["shape"], v3["data_type"]), ([2, 3, 4], "float64"))
        self.assertEqual([codec["name"] for codec in v3["codecs"]], ["transpose", "bytes"])
        self.assertEqual(v3["codecs"][0]["configuration"]["order"], [2, 1, 0])
        for missing in ("1.0.0", "c/1", "c/0/0/0/0", "x"):
            self.assertFalse((store / missing).exists(), missing)
        jq = run("jq", "-r", ".data_type", str(store / "zarr.json"))
        self.assertEqual(jq.stdout, "float64\n")
        copied = run("cp", "-r", str(store), os.environ.get("TMPDIR", "/tmp") + f"/copied-{os.getpid()}.zarr")
        self.assertEqual((copied.returncode, copied.stderr), (0, ""))
        run("rm", "-r", os.environ.get("TMPDIR", "/tmp") + f"/copied-{os.getpid()}.zarr")

    # ---- png

    def picture(self, path: str):
        image = PIL.Image.open(self.control / path)
        image.load()
        return image

    def test_png_of_images_is_the_image(self):
        rng = np.random.default_rng(0)
        for channels, mode in ((3, "RGB"), (4, "RGBA")):
            pixels = rng.integers(0, 256, (40, 60, channels), "u1")
            np.save(self.mount.path / "image.npy", pixels)
            image = self.picture("png/image.npy.png")
            self.assertEqual((image.size, image.mode), ((60, 40), mode))
            np.testing.assert_array_equal(np.asarray(image), pixels)
        np.save(self.mount.path / "image.npy", np.full((3000, 10, 3), (10, 20, 30), "u1"))
        reduced = self.picture("png/image.npy.png")
        self.assertEqual(reduced.size[1], 2048)
        self.assertEqual(reduced.getpixel((0, 0)), (10, 20, 30))

    def test_png_of_a_map(self):
        table = np.linspace(0, 1, 1_000_000).reshape(1000, 1000)
        np.save(self.mount.path / "map.npy", table)
        colours = set(self.picture("png/map.npy.png").convert("RGB").getdata())
        dark, light = (68, 1, 84), (253, 231, 37)  # the ends of viridis
        for wanted in (dark, light):
            self.assertLess(min(sum(abs(a - b) for a, b in zip(wanted, colour)) for colour in colours), 20)
        nan_colour = (230, 40, 200)
        self.assertNotIn(nan_colour, colours)
        table[500, 500] = np.nan
        np.save(self.mount.path / "map.npy", table)
        self.assertIn(nan_colour, set(self.picture("png/map.npy.png").convert("RGB").getdata()))

    def test_png_of_every_kind_of_number(self):
        for kind, array in self.numbers.items():
            with self.subTest(kind):
                if array.size == 0:
                    self.assertRaises(OSError, (self.control / f"png/numbers/{kind}.npy.png").read_bytes)
                else:
                    self.assertGreater(min(self.picture(f"png/numbers/{kind}.npy.png").size), 150)
        np.save(self.mount.path / "extremes.npy", np.array([[1.7e308, -1.7e308], [np.inf, np.nan]]))
        self.picture("png/extremes.npy.png")
        np.save(self.mount.path / "nothing.npy", np.full(5, np.nan))
        self.picture("png/nothing.npy.png")
        self.assertRaises(OSError, (self.control / "png/all/unicode.npy.png").read_bytes)

    def test_png_of_parts(self):
        array = np.random.default_rng(0).random((2, 3, 20, 30))
        for order in "CF":
            np.save(self.mount.path / "parts.npy", np.asarray(array, order=order))
            names = os.listdir(self.control / "png/parts.npy")
            self.assertEqual(sorted(names), [f"{i},{j}.png" for i in range(2) for j in range(3)])
            np.save(self.mount.path / "part.npy", array[1, 2])
            part = np.asarray(self.picture("png/parts.npy/1,2.png"))
            alone = np.asarray(self.picture("png/part.npy.png"))
            np.testing.assert_array_equal(part[48:, :600], alone[48:, :600])  # below the title
        for missing in ("2,0.png", "1.png", "01,2.png", "1,2,0.png", "-1,0.png", "x.png"):
            self.assertFalse((self.control / "png/parts.npy" / missing).exists(), missing)
        self.assertEqual(os.listdir(self.control / "png/part.npy"), [])

    # ---- metrics

    def test_metrics(self):
        text = self.mount.control("metrics")
        values = {}
        described = set()
        for line in text.splitlines():
            if match := re.fullmatch(r"# (HELP|TYPE) (\w+) (.+)", line):
                described.add((match[1], match[2]))
                continue
            match = re.fullmatch(r'(\w+)(?:\{(?:\w+="(?:[^"\\\n]|\\.)*",?)*\})? (-?[0-9.e+]+)', line)
            self.assertIsNotNone(match, line)
            self.assertLessEqual({("HELP", match[1]), ("TYPE", match[1])}, described)
            values[match[1]] = float(match[2])
        self.assertEqual(values["arrayfs_capacity_bytes"], 512 << 20)
        self.assertGreaterEqual(values["arrayfs_arrays"], len(ARRAYS))
        self.assertGreaterEqual(values["arrayfs_array_bytes"], ARRAYS["large"].nbytes)

    # ---- refusals and changes

    def test_pickles_are_refused(self):
        np.save(self.mount.path / "objects.npy", np.array([{}, []], object), allow_pickle=True)
        (self.mount.path / "plain.txt").write_text("no array")
        for name in ("objects.npy", "plain.txt"):
            for view in (f"csv/{name}.csv", f"raw/{name}.bin"):
                with self.subTest(view), self.assertRaises(OSError) as refused:
                    self.mount.control(view)
                self.assertEqual(refused.exception.strerror, "Operation not supported")
            with self.assertRaises(OSError) as refused:
                os.listdir(self.control / f"zarr/{name}.zarr")
            self.assertEqual(refused.exception.strerror, "Operation not supported")

    def test_a_view_of_a_name_that_is_replaced_shows_the_old_version(self):
        path = self.mount.path / "old.npy"
        np.save(path, np.arange(100_000))
        whole = (self.control / "csv/old.npy.csv").read_text()
        with open(self.control / "csv/old.npy.csv", buffering=1) as view:
            first = view.read(10)
            np.save(self.mount.path / "next.npy", np.zeros(5))
            os.replace(self.mount.path / "next.npy", path)
            self.assertEqual(first + view.read(), whole)
        self.assertEqual(self.mount.control("csv/old.npy.csv"), "0.0\n" * 5)

    def test_a_view_of_an_array_that_shrinks_gives_an_error(self):
        path = self.mount.path / "shrinks.dat"
        np.save(self.mount.path / "shrinks.npy", np.arange(100_000))
        os.rename(self.mount.path / "shrinks.npy", path)
        with open(self.control / "csv/shrinks.dat.csv", "rb", buffering=0) as view:
            view.read(10)
            os.truncate(path, 1000)
            with self.assertRaises(OSError) as ended:
                while view.read(1 << 16):
                    pass
        self.assertEqual(ended.exception.strerror, "Input/output error")
        self.assertEqual(self.mount.status()["plane"], self.mount.plane)

    def test_a_view_of_a_removed_array_goes_on(self):
        path = self.mount.path / "removed.npy"
        np.save(path, np.arange(100_000))
        with open(self.control / "raw/removed.npy.bin", "rb", buffering=0) as view:
            path.unlink()
            data = b"".join(iter(lambda: view.read(1 << 16), b""))
        np.testing.assert_array_equal(np.frombuffer(data, "i8"), np.arange(100_000))


if __name__ == "__main__":
    unittest.main()
