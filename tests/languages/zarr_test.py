"""The Zarr stores of the control tree, version 3, read by zarrita on Node from the file system.

ZARR_MODULES is where npm has installed what zarr/package.json names.
"""

import base64
import json
import os
import shutil
import unittest
from pathlib import Path

import numpy as np

from support.arrays import ARRAYS, save_all
from support.mount import Mount, run

MODULES = Path(os.environ["ZARR_MODULES"])
# Of version 3's own types zarrita has none of these.
UNKNOWN_TO_ZARRITA = ("complex", "r")


class ZarrStores(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mount = cls.enterClassContext(Mount())
        save_all(cls.mount.path)
        # Beside the modules, where Node looks for them.
        shutil.copy(Path(__file__).parent / "zarr/read.js", MODULES)

    def store(self, name: str) -> Path:
        return self.mount.path / f".arrayfs/zarr/{name}.npy.zarr"

    def read(self, *names: str) -> list[dict]:
        done = run("node", str(MODULES / "read.js"), *(str(self.store(name)) for name in names))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_every_dtype_of_version_3(self):
        stored = {kind: json.loads((self.store(kind) / "zarr.json").read_text())["data_type"]
                  for kind in ARRAYS if (self.store(kind) / "zarr.json").exists()}
        kinds = [kind for kind, name in stored.items() if not name.startswith(UNKNOWN_TO_ZARRITA)]
        self.assertEqual({stored[kind] for kind in kinds}, {"bool", "float16", "float32", "float64"} | {
            f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)})
        for kind, read in zip(kinds, self.read(*kinds), strict=True):
            with self.subTest(kind):
                array = ARRAYS[kind]
                self.assertEqual((read.get("dtype"), read.get("shape"), read.get("attributes")),
                                 (stored[kind], list(array.shape), {}), read)
                self.assertEqual(base64.b64decode(read["data"]), array.astype(array.dtype.newbyteorder("<")).tobytes())

    def test_values_of_every_bit(self):
        rng = np.random.default_rng(5)
        for dtype in ("f2", ">f2", "f4", ">f8", "i1", ">i8", "u8", "?"):
            for order in "CF":
                name = f"bits_{order}_{np.dtype(dtype).str[1:]}_{'big' if dtype[0] == '>' else 'little'}"
                bits = rng.integers(0, 2 if dtype == "?" else 256, 3 * 50 * 7 * np.dtype(dtype).itemsize, "u1")
                array = np.asarray(bits.view(dtype).reshape(3, 50, 7), order=order)
                np.save(self.mount.path / f"{name}.npy", array)
                with self.subTest(name):
                    read, = self.read(name)
                    got = np.frombuffer(base64.b64decode(read["data"]), array.dtype.newbyteorder("<")).reshape(array.shape)
                    np.testing.assert_array_equal(got, array)

    def test_an_array_that_is_written_to(self):
        path = self.mount.path / "written.npy"
        array = np.lib.format.open_memmap(path, "w+", "f8", (20, 30))
        array[...] = np.arange(600.0).reshape(20, 30)
        array[7, 9] = -1
        read, = self.read("written")
        self.assertEqual(base64.b64decode(read["data"]), array.tobytes())
        del array


if __name__ == "__main__":
    unittest.main()
