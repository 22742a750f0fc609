"""What NumPy programs do with files works on the mount: every flow, every kind of array, on each plane."""

import shutil
import unittest
import warnings
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap, read_magic, write_array

from support.arrays import ARRAYS
from support.mount import PLANE, directory, run
from support.peer import Peer

# On the link plane a copying program sees a symlink and has to be told to follow it.
FOLLOW = ["--dereference"] if PLANE == "link" else []


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Type, shape, order and every byte."""
    return (one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
            and one.flags.f_contiguous == other.flags.f_contiguous)


class Flows(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mount = cls.enterClassContext(directory())

    def setUp(self):
        self.path = self.mount.path / f"{self.id().rsplit('.', 1)[1]}.npy"


def every_kind(test):
    """Runs the test with each array of ARRAYS."""

    def run_each(self):
        for kind, array in ARRAYS.items():
            with self.subTest(kind), warnings.catch_warnings():
                # Of names that need format 3.0, which NumPy before 1.17 does not read.
                warnings.simplefilter("ignore", UserWarning)
                test(self, array)
            self.path.unlink(missing_ok=True)

    return run_each


class EveryKind(Flows):
    """Each flow with every array of ARRAYS."""

    @every_kind
    def test_save_and_load(self, array):
        np.save(self.path, array)
        self.assertTrue(same(np.load(self.path), array))

    @every_kind
    def test_load_mapped(self, array):
        np.save(self.path, array)
        for mode in ("r", "r+", "c"):
            mapped = np.load(self.path, mmap_mode=mode)
            self.assertIsInstance(mapped, np.memmap)
            self.assertTrue(same(mapped, array), mode)

    @every_kind
    def test_open_memmap(self, array):
        made = open_memmap(self.path, "w+", array.dtype, array.shape, np.isfortran(array))
        made[...] = array
        del made
        self.assertTrue(same(np.load(self.path), array))
        self.assertTrue(same(open_memmap(self.path, "r"), array))

    @every_kind
    def test_tofile_and_fromfile(self, array):
        array.tofile(self.path)
        self.assertEqual(self.path.stat().st_size, array.nbytes)
        self.assertEqual(np.fromfile(self.path, array.dtype).tobytes(), array.tobytes())

    @every_kind
    def test_memmap_raw(self, array):
        if array.nbytes == 0:
            self.assertRaises(ValueError, np.memmap, self.path, array.dtype, "w+", shape=array.shape)
            return
        order = "F" if np.isfortran(array) else "C"
        made = np.memmap(self.path, array.dtype, "w+", shape=array.shape, order=order)
        made[...] = array
        del made
        self.assertTrue(same(np.memmap(self.path, array.dtype, "r", shape=array.shape, order=order), array))

    @every_kind
    def test_format_versions(self, array):
        for version in ((1, 0), (2, 0), (3, 0)):
            with self.path.open("wb") as file:
                try:
                    write_array(file, array, version)
                except UnicodeEncodeError:
                    continue  # Names beyond Latin-1 need 3.0.
            with self.path.open("rb") as file:
                self.assertEqual(read_magic(file), version)
            self.assertTrue(same(np.load(self.path, mmap_mode="r"), array))


class Modes(Flows):
    """What each mode may and may not do."""

    def test_mode_r_refuses_stores(self):
        np.save(self.path, np.zeros(10))
        mapped = np.load(self.path, mmap_mode="r")
        with self.assertRaises(ValueError):
            mapped[0] = 1

    def test_mode_r_plus_stores(self):
        np.save(self.path, np.zeros(10))
        mapped = np.load(self.path, mmap_mode="r+")
        mapped[3] = 7
        self.assertEqual(np.load(self.path)[3], 7)
        mapped.flush()
        del mapped
        self.assertEqual(np.load(self.path)[3], 7)

    def test_mode_c_keeps_its_stores(self):
        np.save(self.path, np.zeros(10))
        mapped = np.load(self.path, mmap_mode="c")
        mapped[3] = 7
        self.assertEqual(mapped[3], 7)
        self.assertEqual(np.load(self.path)[3], 0)

    def test_mode_w_plus_begins_with_zeros(self):
        np.save(self.path, np.ones(10))
        mapped = open_memmap(self.path, "w+", "f4", (5, 5))
        self.assertEqual(mapped.sum(), 0)

    def test_memmap_modes(self):
        np.memmap(self.path, "i4", "w+", shape=(100,))[:] = np.arange(100)
        self.assertEqual(np.memmap(self.path, "i4", "r").sum(), 4950)
        changed = np.memmap(self.path, "i4", "r+", shape=(100,))
        changed[0] = 50
        private = np.memmap(self.path, "i4", "c")
        private[1] = 999
        self.assertEqual(np.fromfile(self.path, "i4").sum(), 5000)

    def test_memmap_grows_a_file(self):
        np.memmap(self.path, "u1", "w+", shape=(10,))[:] = 1
        grown = np.memmap(self.path, "u1", "r+", shape=(1_000_000,))
        self.assertEqual(self.path.stat().st_size, 1_000_000)
        self.assertEqual(grown.sum(), 10)
        grown[-1] = 5
        self.assertEqual(np.fromfile(self.path, "u1")[-1], 5)

    def test_memmap_with_offset(self):
        np.memmap(self.path, "f8", "w+", offset=10_000, shape=(50,))[:] = 2
        self.assertEqual(self.path.stat().st_size, 10_400)
        self.assertEqual(np.memmap(self.path, "f8", "r", offset=10_008).sum(), 98)

    def test_memmap_of_a_missing_file(self):
        for mode in ("r", "r+", "c"):
            self.assertRaises(FileNotFoundError, np.memmap, self.path, "f8", mode, shape=(5,))
        self.assertFalse(self.path.exists())

    def test_load_of_a_missing_file(self):
        self.assertRaises(FileNotFoundError, np.load, self.path)
        self.assertRaises(FileNotFoundError, np.load, self.path, mmap_mode="r+")


class Files(Flows):
    """Arrays as files: written over, copied, renamed, cut."""

    def test_save_over_the_same_size(self):
        np.save(self.path, np.zeros(1000))
        np.save(self.path, np.ones(1000))
        self.assertEqual(np.load(self.path).sum(), 1000)

    def test_save_over_another_size(self):
        for size in (1000, 10, 100_000, 0, 1):
            np.save(self.path, np.ones(size))
            self.assertEqual(np.load(self.path, mmap_mode="r").shape, (size,))
            self.assertEqual(self.path.stat().st_size, 128 + 8 * size)

    def test_several_arrays_in_one_file(self):
        with self.path.open("wb") as file:
            np.save(file, np.arange(5))
            np.save(file, np.arange(3.0))
        with self.path.open("rb") as file:
            self.assertEqual(list(np.load(file)), [0, 1, 2, 3, 4])
            self.assertEqual(list(np.load(file)), [0, 1, 2])

    def test_published_by_rename(self):
        np.save(self.path, np.zeros(10))
        old = np.load(self.path, mmap_mode="r")
        aside = self.path.with_suffix(".tmp")
        with aside.open("wb") as file:
            np.save(file, np.ones(20))
        aside.rename(self.path)
        self.assertEqual(old.shape, (10,))
        self.assertEqual(old.sum(), 0)
        self.assertEqual(np.load(self.path).sum(), 20)

    def test_copied_in_and_out(self):
        with directory("tmpfs") as outside:
            array = ARRAYS["large"]
            np.save(outside.path / "a.npy", array)
            shutil.copyfile(outside.path / "a.npy", self.path)
            self.assertTrue(same(np.load(self.path, mmap_mode="r"), array))
            for flags in ("-a", "--sparse=always", "--reflink=auto"):
                copied = run("cp", flags, *FOLLOW, str(self.path), str(outside.path / "b.npy"))
                self.assertEqual((copied.returncode, copied.stderr), (0, ""))
                self.assertTrue(same(np.load(outside.path / "b.npy"), array))
                copied = run("cp", flags, str(outside.path / "b.npy"), str(self.path))
                self.assertEqual((copied.returncode, copied.stderr), (0, ""))
                self.assertTrue(same(np.load(self.path), array))

    def test_tar_round_trip(self):
        tree = self.mount.path / "tree"
        (tree / "inner").mkdir(parents=True)
        np.save(tree / "inner/a.npy", ARRAYS["fortran"])
        with directory("tmpfs") as outside:
            archive = str(outside.path / "tree.tar")
            self.assertEqual(run("tar", "-C", str(self.mount.path), *FOLLOW, "-cf", archive, "tree").returncode, 0)
            shutil.rmtree(tree)
            self.assertEqual(run("tar", "-C", str(self.mount.path), "-xf", archive).returncode, 0)
        self.assertTrue(same(np.load(tree / "inner/a.npy"), ARRAYS["fortran"]))
        shutil.rmtree(tree)

    def test_cut_file(self):
        np.save(self.path, np.ones(1000))
        with self.path.open("r+b") as file:
            file.truncate(500)
        self.assertRaises(ValueError, np.load, self.path)
        self.assertRaises(ValueError, np.load, self.path, mmap_mode="r")

    def test_archives_and_text(self):
        archive = self.path.with_suffix(".npz")
        np.savez(archive, a=np.arange(5), b=np.ones((2, 2)))
        with np.load(archive) as loaded:
            self.assertEqual(loaded["a"].sum() + loaded["b"].sum(), 14)
        np.savez_compressed(archive, a=np.zeros(100_000))
        with np.load(archive) as loaded:
            self.assertEqual(loaded["a"].shape, (100_000,))
        np.savetxt(self.path, np.eye(3))
        self.assertEqual(np.loadtxt(self.path).sum(), 3)

    def test_pickled_objects_stay_bytes(self):
        np.save(self.path, np.array([{"a": 1}, None], dtype=object))
        self.assertRaises(ValueError, np.load, self.path)
        self.assertEqual(np.load(self.path, allow_pickle=True)[0], {"a": 1})

    def test_map_outlives_the_name(self):
        np.save(self.path, np.arange(1000))
        mapped = np.load(self.path, mmap_mode="r+")
        self.path.unlink()
        mapped[0] = 1000
        self.assertEqual(mapped.sum(), 500_500)

    def test_names_in_any_script(self):
        for name in ("数组.npy", "größe.npy", "with space.npy", "new\nline.npy", "no_suffix", ".hidden.npy"):
            path = self.mount.path / name
            with path.open("wb") as file:
                np.save(file, np.arange(5))
            self.assertEqual(np.load(path, mmap_mode="r").sum(), 10)
            self.assertIn(name, [entry.name for entry in self.mount.path.iterdir()])
            path.unlink()


class Processes(Flows):
    """Several processes on one array."""

    def test_stores_are_seen_at_once(self):
        np.save(self.path, np.zeros((1000, 1000)))
        mine = np.load(self.path, mmap_mode="r+")
        with Peer(self.path) as peer:
            for step in range(1, 100):
                mine[step, step] = step
                self.assertEqual(peer.ask(f"a[{step}, {step}]"), f"{step}.0")
                peer.do(f"a[0, {step}] = {-step}")
                self.assertEqual(mine[0, step], -step)

    def test_reader_sees_the_writer(self):
        np.save(self.path, np.zeros(10))
        with Peer(self.path, "r") as reader, Peer(self.path, "r+") as writer, Peer(self.path, "c") as private:
            private.do("a[9] = 9")
            writer.do("a[5] = 5")
            self.assertEqual(reader.ask("a.tolist()"), str([0.0] * 5 + [5.0] + [0.0] * 4))
            self.assertEqual(private.ask("a[9]"), "9.0")

    def test_write_is_seen_through_the_map(self):
        np.save(self.path, np.zeros(10))
        with Peer(self.path, "r") as reader:
            with self.path.open("r+b") as file:
                file.seek(128)
                file.write(np.float64(7).tobytes())
            self.assertEqual(reader.ask("a[0]"), "7.0")

    def test_killed_process_leaves_the_array(self):
        np.save(self.path, np.zeros(10))
        with Peer(self.path) as peer:
            peer.do("a[:] = 3")
            peer.kill()
        self.assertEqual(np.load(self.path).sum(), 30)

    def test_processes_map_the_same_pages(self):
        array = ARRAYS["large"]
        np.save(self.path, array)
        with Peer(self.path) as one, Peer(self.path) as other:
            for peer in (one, other):
                peer.do("a += 1")
            # On the link plane the kernel names the file behind the link.
            sizes = [mapped_kib(peer.pid, self.path.resolve()) for peer in (one, other)]
        for size in sizes:
            self.assertGreaterEqual(size["Rss"] * 1024, array.nbytes)
            self.assertEqual(size["Private_Clean"] + size["Private_Dirty"], 0)
            self.assertEqual(size["Shared_Clean"] + size["Shared_Dirty"], size["Rss"])
            # Each is charged half of every page.
            self.assertAlmostEqual(size["Pss"], size["Rss"] / 2, delta=64)


def mapped_kib(pid: int, path: Path) -> dict[str, int]:
    """The sums of /proc/PID/smaps over the mappings of a file."""
    sums: dict[str, int] = {}
    counting = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:
            counting = line.endswith(str(path))
        elif counting and words[-1] == "kB":
            sums[words[0][:-1]] = sums.get(words[0][:-1], 0) + int(words[1])
    return sums


if __name__ == "__main__":
    unittest.main()
