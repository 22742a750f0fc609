"""What the control tree, the xattrs and the command say of an array agrees with NumPy."""

import ast
import json
import os
import unittest
from pathlib import Path

import numpy as np
from numpy.lib.format import descr_to_dtype

from support.arrays import ARRAYS, save_all
from support.mount import BINARY, PLANE, Mount, arrayfs, run
from support.peer import Peer


class Inspection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mount = cls.enterClassContext(Mount())
        save_all(cls.mount.path)

    def test_json_view(self):
        for kind, array in ARRAYS.items():
            with self.subTest(kind):
                view = json.loads(self.mount.control(f"json/{kind}.npy.json"))
                path = self.mount.path / f"{kind}.npy"
                self.assertEqual(view["kind"], "array")
                self.assertEqual(descr_to_dtype(ast.literal_eval(view["descr"])), array.dtype)
                self.assertEqual(view["typestr"], array.dtype.str)
                self.assertEqual(view["shape"], list(array.shape))
                self.assertEqual(view["order"], "F" if np.isfortran(array) else "C")
                self.assertEqual(view["itemsize"], array.itemsize)
                self.assertEqual(view["size"], array.size)
                self.assertEqual(view["nbytes"], array.nbytes)
                self.assertEqual(view["offset"], path.stat().st_size - array.nbytes)
                self.assertEqual(view["file_size"], path.stat().st_size)
                if array.size > 1:
                    self.assertEqual(view["strides"], list(array.strides))

    def test_info_view(self):
        for kind, array in ARRAYS.items():
            with self.subTest(kind):
                text = self.mount.control(f"info/{kind}.npy")
                info = self.mount.info(f"{kind}.npy")
                self.assertEqual(info["kind"], "array")
                self.assertEqual(info["shape"], str(array.shape))
                self.assertEqual(info["order"], "F" if np.isfortran(array) else "C")
                self.assertEqual(info["nbytes"].split()[0], str(array.nbytes))
                self.assertEqual(text.split("\n\n", 1)[1], f"{array}\n")

    def test_xattrs(self):
        for kind, array in ARRAYS.items():
            with self.subTest(kind):
                path = self.mount.path / f"{kind}.npy"
                attributes = {name: os.getxattr(path, name).decode() for name in os.listxattr(path)}
                text = attributes["user.array.dtype"]
                described = ast.literal_eval(text) if text.startswith("[") else text
                self.assertEqual(descr_to_dtype(described), array.dtype)
                shape = ",".join(map(str, array.shape)) or "()"
                self.assertEqual(attributes["user.array.shape"], shape)
                self.assertEqual(attributes["user.array.order"], "F" if np.isfortran(array) else "C")
                self.assertEqual(attributes["user.array.nbytes"], str(array.nbytes))
                self.assertEqual(attributes["user.array.offset"], str(path.stat().st_size - array.nbytes))

    def test_xattrs_cannot_lie(self):
        path = self.mount.path / "float64.npy"
        for name in ("dtype", "shape", "order", "offset", "nbytes"):
            value = os.getxattr(path, f"user.array.{name}")
            os.setxattr(path, f"user.array.{name}", value)
            with self.assertRaises(OSError) as refused:
                os.setxattr(path, f"user.array.{name}", value + b"1")
            self.assertEqual(refused.exception.strerror, "Invalid argument")

    def test_raw_file_with_a_type(self):
        path = self.mount.path / "typed.dat"
        np.arange(24, dtype="f4").tofile(path)
        os.setxattr(path, "user.array.dtype", b"<f4")
        os.setxattr(path, "user.array.shape", b"2,12")
        self.assertEqual(self.mount.info("typed.dat")["shape"], "(2, 12)")
        with self.assertRaises(OSError):
            os.setxattr(path, "user.array.shape", b"2,13")
        self.assertEqual(self.mount.info("typed.dat")["shape"], "(2, 12)")

    def test_control_tree_is_hidden_but_there(self):
        self.assertNotIn(".arrayfs", os.listdir(self.mount.path))
        self.assertLessEqual({"README", "status", "info", "json"}, set(os.listdir(self.mount.path / ".arrayfs")))
        self.assertIn("float64.npy", os.listdir(self.mount.path / ".arrayfs/info"))
        self.assertIn(str(self.mount.path), self.mount.control("README"))

    def test_control_tree_refuses_changes(self):
        control = self.mount.path / ".arrayfs"
        for change in (
            lambda: (control / "new_file").touch(),
            lambda: (control / "status").write_text("x"),
            lambda: (control / "status").unlink(),
            lambda: (control / "info/float64.npy").unlink(),
            lambda: (control / "info/directory").mkdir(),
            lambda: control.rename(self.mount.path / "moved"),
            control.rmdir,
        ):
            self.assertRaises(OSError, change)
        self.assertEqual(self.mount.info("float64.npy")["kind"], "array")

    def test_control_tree_mirrors_directories(self):
        (self.mount.path / "one/two").mkdir(parents=True)
        np.save(self.mount.path / "one/two/deep.npy", np.eye(3))
        self.assertEqual(self.mount.info("one/two/deep.npy")["shape"], "(3, 3)")
        self.assertEqual(os.listdir(self.mount.path / ".arrayfs/info/one/two"), ["deep.npy"])
        self.assertRaises(FileNotFoundError, self.mount.control, "info/one/missing.npy")

    def test_info_of_a_large_array_reads_little(self):
        path = self.mount.path / "huge.npy"
        array = np.lib.format.open_memmap(path, "w+", "f8", (10_000_000,))
        array[0] = 1.5
        del array
        self.assertIn("[1.5 0.  0.  ... 0.  0.  0. ]", self.mount.control("info/huge.npy"))
        path.unlink()

    def test_info_and_json_of_a_huge_array_read_no_data(self):
        def server(place: str) -> str:
            return Path(f"/proc/{mount.status()['server_pid']}/{place}").read_text()

        def read_bytes() -> int:
            return int(server("io").split()[1])  # rchar: by system calls, from whatever file

        def cpu_s() -> float:
            return sum(map(int, server("stat").rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")

        looks = 200
        with Mount(PLANE, "--sparse", size="64M") as mount:
            path = mount.path / "huge.npy"
            array = np.lib.format.open_memmap(path, "w+", "f8", (100_000, 125_000))
            array[0, 0] = 1.5
            del array
            os.sync()  # what the mapping changed, on the plane that writes it back
            size, allocated = path.stat().st_size, int(mount.info("huge.npy")["allocated"])
            self.assertEqual(size, 100 * 10**9 + 128)
            begun = read_bytes(), cpu_s()
            for _ in range(looks // 2):
                self.assertIn("[[1.5 0.  0.  ... 0.  0.  0. ]", mount.control("info/huge.npy"))
                self.assertEqual(json.loads(mount.control("json/huge.npy.json"))["nbytes"], 100 * 10**9)
            used_bytes, used_s = read_bytes() - begun[0], cpu_s() - begun[1]
            print(f"{looks} looks at 100 GB: {used_bytes} bytes read, {used_s:.2f} s of the server", flush=True)
            self.assertLess(used_bytes, looks << 20)
            self.assertLess(used_s, 20)
            self.assertEqual(int(mount.info("huge.npy")["allocated"]), allocated)
            self.assertLess(allocated, 64 << 20)

    def test_status(self):
        status = self.mount.status()
        self.assertEqual(status["plane"], self.mount.plane)
        self.assertEqual(int(status["capacity_bytes"]), 512 << 20)
        self.assertGreaterEqual(int(status["used_bytes"]), ARRAYS["large"].nbytes)
        self.assertGreaterEqual(int(status["arrays"]), len(ARRAYS))
        self.assertTrue(os.path.exists(f"/proc/{status['server_pid']}"))
        self.assertEqual(json.loads(arrayfs("status", "--json", str(self.mount.path)))["plane"], self.mount.plane)
        self.assertIn(self.mount.plane, arrayfs("status", str(self.mount.path)))

    def test_used_bytes_count_an_array_once(self):
        array = ARRAYS["large"]
        path = self.mount.path / "once.npy"
        before = int(self.mount.status()["used_bytes"])
        np.save(path, array)
        with Peer(path) as one, Peer(path) as other:
            one.do("a += 1")
            other.do("a += 1")
            used = int(self.mount.status()["used_bytes"]) - before
        self.assertGreaterEqual(used, array.nbytes)
        self.assertLess(used, array.nbytes + (4 << 20))
        path.unlink()

    def test_ls(self):
        text = arrayfs("ls", str(self.mount.path))
        self.assertEqual(text.split()[:3], ["NAME", "DTYPE", "SHAPE"])
        self.assertRegex(text, r"\nlarge\.npy +float64 +\(1000, 1000\) +C +7\.6 MiB +0 ")
        listed = {entry["name"]: entry for entry in json.loads(arrayfs("ls", "--json", str(self.mount.path)))}
        self.assertEqual(listed["fortran.npy"]["shape"], [2, 3, 4])
        self.assertEqual(listed["fortran.npy"]["order"], "F")

    def test_info_command(self):
        path = str(self.mount.path / "fortran.npy")
        self.assertEqual(arrayfs("info", path), self.mount.control("info/fortran.npy"))
        self.assertEqual(json.loads(arrayfs("info", "--json", path))["shape"], [2, 3, 4])

    def test_create(self):
        path = self.mount.path / "created.npy"
        arrayfs("create", str(path), "float32", "60,28,28")
        array = np.load(path, mmap_mode="r+")
        self.assertEqual((array.dtype, array.shape, array.sum()), (np.dtype("f4"), (60, 28, 28), 0))
        np.save(self.mount.path / "by_numpy.npy", np.zeros((60, 28, 28), "f4"))
        self.assertEqual(path.read_bytes(), (self.mount.path / "by_numpy.npy").read_bytes())

    def test_create_with_options(self):
        path = self.mount.path / "options.npy"
        arrayfs("create", str(path), "<i2", "3,4", "--order", "F", "--fill", "7", "--align", "4096")
        array = np.load(path, mmap_mode="r")
        self.assertEqual((array.dtype, array.shape, array.sum()), (np.dtype("<i2"), (3, 4), 84))
        self.assertTrue(np.isfortran(array))
        self.assertEqual(os.getxattr(path, "user.array.offset"), b"4096")
        refused = run(BINARY, "create", str(path), "float32", "5")
        self.assertEqual((refused.returncode, len(refused.stderr.splitlines())), (1, 1))
        arrayfs("create", str(path), "float32", "5", "--replace")
        self.assertEqual(np.load(path).shape, (5,))

    def test_create_from_a_file(self):
        path = self.mount.path / "copy.npy"
        arrayfs("create", str(path), "--from", str(self.mount.path / "structured.npy"))
        self.assertEqual(np.load(path).tobytes(), ARRAYS["structured"].tobytes())

    def test_create_refusals(self):
        path = self.mount.path / "refused.npy"
        for arguments in (
            ("float99", "5"), ("float32", "-1"), ("float32", "five"), ("object", "5"), ("float32", "5,,5"),
            ("float64", "18446744073709551615"), ("float64", "4294967296,4294967296"), ("float32", "5", "--align", "100"),
            ("float32", "5", "--order", "X"), ("float32", "5", "--fill", "text"), ("float64", "1000000000000"),
        ):
            with self.subTest(arguments):
                refused = run(BINARY, "create", str(path), *arguments)
                self.assertIn(refused.returncode, (1, 2))
                self.assertEqual(len(refused.stderr.splitlines()), 1, refused.stderr)
                self.assertFalse(path.exists())


if __name__ == "__main__":
    unittest.main()
