"""arrayfs.py: what is pickled, what a Pool sends and costs, locks, waiting, rings."""

import copy
import multiprocessing
import pickle
import signal
import tempfile
import unittest
from pathlib import Path

import joblib
import numpy as np

import arrayfs

CONTEXT = multiprocessing.get_context("spawn")


def private_kib() -> int:
    """The memory of this process that no other shares."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))


def sum_and_cost(array) -> tuple[float, int]:
    before = private_kib()
    total = float(array.sum(dtype=np.float64))
    return total, private_kib() - before


def store(array) -> None:
    array[...] = 9


def hold_for_ever(path: str, started) -> None:
    with arrayfs.lock(path):
        started.set()
        signal.pause()


def acquire_for_ever(path: str, started) -> None:
    with arrayfs.ring(path).acquire():
        started.set()
        signal.pause()


def produce(path: str, count: int) -> None:
    ring = arrayfs.ring(path)
    for i in range(count):
        with ring.reserve() as image:
            image[...] = i % 251


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "w.npy"

    def create(self, dtype="float64", shape=(6, 5), **options):
        array = arrayfs.create(self.path, dtype, shape, **options)
        array.flat[:] = np.arange(array.size)
        return array


class Files(Case):
    def test_create_is_what_numpy_writes(self):
        for order in "CF":
            array = self.create(order=order, replace=True)
            other = self.path.with_name("numpy.npy")
            np.save(other, np.asarray(array))
            self.assertEqual(self.path.read_bytes(), other.read_bytes())
        self.assertEqual(sorted(p.name for p in self.path.parent.iterdir()), ["numpy.npy", "w.npy"])

    def test_modes(self):
        self.create()
        with self.assertRaises(ValueError):
            arrayfs.open(self.path)[0, 0] = 1
        arrayfs.open(self.path, "c")[0, 0] = 1
        self.assertEqual(np.load(self.path)[0, 0], 0)
        arrayfs.open(self.path, "r+")[0, 0] = 1
        self.assertEqual(np.load(self.path)[0, 0], 1)

    def test_refusals(self):
        self.create()
        with self.assertRaises(FileExistsError):
            arrayfs.create(self.path, "float32", 3)
        with self.assertRaises(FileNotFoundError):
            arrayfs.open(self.path.with_name("missing.npy"))
        with self.assertRaises(ValueError):
            arrayfs.open(self.path, "w")
        with self.assertRaises(ValueError):
            arrayfs.create(self.path, "object", 3, replace=True)
        self.path.write_bytes(self.path.read_bytes()[:-1])
        with self.assertRaises(ValueError):
            arrayfs.open(self.path)

    def test_append(self):
        array = self.create()
        longer = arrayfs.append(array, np.full((2, 5), 7))
        self.assertEqual(longer.shape, (8, 5))
        np.testing.assert_array_equal(np.load(self.path)[6:], np.full((2, 5), 7))
        self.assertEqual(arrayfs.append(self.path, np.zeros(5)).shape, (9, 5))
        with self.assertRaises(ValueError):
            arrayfs.append(self.path, np.zeros(4))


class Pickles(Case):
    def roundtrip(self, array):
        data = pickle.dumps(array)
        again = pickle.loads(data)
        np.testing.assert_array_equal(again, array)
        self.assertEqual(again.dtype, array.dtype)
        return data, again

    def assert_by_name(self, array):
        data, again = self.roundtrip(array)
        self.assertLess(len(data), 1024)
        self.assertIsInstance(again, arrayfs.Array)
        self.assertEqual(again.path, str(self.path))

    def assert_by_value(self, array):
        _, again = self.roundtrip(array)
        self.assertFalse(np.shares_memory(again, array))

    def test_views_go_by_name(self):
        array = self.create(shape=(600, 50))
        views = [array, array[1:], array[::2, ::3], array[5], array.T, array[::-1, ::-1], array[3:4, None],
                 array.reshape(50, 600), array.view("int64"), array[2:2], np.broadcast_to(array[0], (9, 50), True)]
        for view in views:
            with self.subTest(shape=view.shape, strides=view.strides):
                self.assert_by_name(view)

    def test_stores_reach_the_same_memory(self):
        array = self.create()
        pickle.loads(pickle.dumps(array[::-1, 1:]))[0, 0] = 77
        self.assertEqual(array[-1, 1], 77)

    def test_results_go_by_value(self):
        array = self.create()
        for result in [array + 1, array[[0, 2]], array[array > 3], array.copy(), copy.deepcopy(array)]:
            self.assert_by_value(result)
            self.assertIsNone(getattr(result, "path", None))
        self.assertNotIsInstance(array.sum(), np.ndarray)

    def test_private_copies_go_by_value(self):
        self.create()
        array = arrayfs.open(self.path, "c")
        array[0, 0] = 5
        self.assert_by_value(array)

    def test_read_only_stays_so(self):
        self.create()
        again = pickle.loads(pickle.dumps(arrayfs.open(self.path)))
        self.assertFalse(again.flags.writeable)
        view = arrayfs.open(self.path, "r+")
        view.flags.writeable = False
        self.assertFalse(pickle.loads(pickle.dumps(view)).flags.writeable)

    def test_a_replaced_file(self):
        array = self.create()
        sent = pickle.dumps(array)
        arrayfs.create(self.path, "float64", (6, 5), replace=True)
        self.assert_by_value(array)
        with self.assertRaises(OSError):
            pickle.loads(sent)

    def test_structured_and_fortran(self):
        array = self.create(dtype="float32", shape=(4, 3), order="F")
        self.assert_by_name(array)
        table = arrayfs.create(self.path, [("a", "i4"), ("b", "f8", (2,))], 5, replace=True)
        table["b"][:, 1] = 3
        self.assert_by_name(table)
        self.assert_by_name(table["b"])


class Pools(Case):
    def test_a_large_array_costs_a_worker_nothing(self):
        array = arrayfs.create(self.path, "float32", (64, 1024, 1024))
        array[...] = 1
        parts = [array[i : i + 16] for i in range(0, 64, 16)]
        self.assertLess(max(len(pickle.dumps(part)) for part in [array, *parts]), 1024)
        with CONTEXT.Pool(2) as pool:
            for total, cost_kib in pool.map(sum_and_cost, [array, array]):
                self.assertEqual(total, 64 * 1024 * 1024)
                self.assertLess(cost_kib, 5 * 1024)
            self.assertEqual(sum(total for total, _ in pool.map(sum_and_cost, parts)), 64 * 1024 * 1024)

    def test_workers_store_in_place(self):
        array = self.create()
        with CONTEXT.Pool(2) as pool:
            pool.map(store, [array[0], array[2:4]])
        np.testing.assert_array_equal(np.load(self.path)[:, 0], [9, 5, 9, 9, 20, 25])

    def test_joblib(self):
        array = self.create()
        joblib.Parallel(2)(joblib.delayed(store)(array[i]) for i in range(3))
        self.assertTrue((array[:3] == 9).all())


class Coordination(Case):
    def test_lock(self):
        array = self.create()
        with arrayfs.lock(array) as owner_died:
            self.assertFalse(owner_died)
            with self.assertRaises(TimeoutError):
                arrayfs.lock(self.path, shared=True, timeout=0).__enter__()
        with arrayfs.lock(array, shared=True), arrayfs.lock(self.path, shared=True, timeout=0):
            with self.assertRaises(TimeoutError):
                arrayfs.lock(self.path, timeout=0.001).__enter__()

    def test_an_exception_inside_is_told(self):
        self.create()
        with self.assertRaises(KeyError), arrayfs.lock(self.path):
            raise KeyError
        with arrayfs.lock(self.path) as owner_died:
            self.assertTrue(owner_died)
        with arrayfs.lock(self.path) as owner_died:
            self.assertFalse(owner_died)

    def test_a_killed_owner(self):
        self.create()
        started = CONTEXT.Event()
        owner = CONTEXT.Process(target=hold_for_ever, args=(str(self.path), started))
        owner.start()
        started.wait()
        with self.assertRaises(TimeoutError):
            arrayfs.lock(self.path, timeout=0).__enter__()
        owner.kill()
        owner.join()
        with arrayfs.lock(self.path) as owner_died:
            self.assertTrue(owner_died)

    def test_rows(self):
        array = self.create()
        with arrayfs.lock(array, rows=(0, 3)):
            with arrayfs.lock(array, rows=(3, 6), timeout=0):
                pass
            with self.assertRaises(TimeoutError):
                arrayfs.lock(array, rows=(2, 4), timeout=0).__enter__()

    def test_permits(self):
        self.create()
        with arrayfs.permit(self.path, permits=2), arrayfs.permit(self.path):
            with self.assertRaises(TimeoutError):
                arrayfs.permit(self.path, timeout=0).__enter__()

    def test_wait(self):
        array = self.create()
        self.assertEqual(arrayfs.generation(array), 0)
        with self.assertRaises(TimeoutError):
            arrayfs.wait(array, timeout=0)
        self.assertEqual(arrayfs.notify(array), 1)
        self.assertEqual(arrayfs.wait(array, seen=0), 1)

    def test_errors_have_paths(self):
        missing = self.path.with_name("missing.npy")
        with self.assertRaisesRegex(FileNotFoundError, "missing.npy"):
            arrayfs.notify(missing)
        with self.assertRaises(ValueError):
            arrayfs.notify(self.create() + 1)
        with self.assertRaises(OSError):
            arrayfs.seal(self.path)


class Rings(Case):
    def test_in_place(self):
        ring = arrayfs.ring(self.path, "float32", (2, 3), slots=2)
        with ring.reserve() as item:
            item[...] = 4
        self.assertEqual(np.load(self.path, mmap_mode="r")[0, 1, 2], 4)
        ring.put(5)
        with self.assertRaises(TimeoutError):
            ring.put(6, timeout=0)
        with ring.acquire() as item:
            self.assertTrue(np.shares_memory(item, ring.array))
            self.assertEqual(item[0, 0], 4)
        self.assertEqual(ring.get()[0, 0], 5)
        with self.assertRaises(TimeoutError):
            ring.get(timeout=0)

    def test_exceptions_give_up(self):
        ring = arrayfs.ring(self.path, "int64", (), slots=4)
        with self.assertRaises(KeyError), ring.reserve():
            raise KeyError
        ring.put(7)
        with self.assertRaises(KeyError), ring.acquire():
            raise KeyError
        self.assertEqual(ring.get(), 7)
        self.assertTrue(ring.redelivered)

    def test_a_killed_consumer(self):
        ring = arrayfs.ring(self.path, "int64", (1,), slots=4)
        ring.put(7)
        started = CONTEXT.Event()
        consumer = CONTEXT.Process(target=acquire_for_ever, args=(str(self.path), started))
        consumer.start()
        started.wait()
        consumer.kill()
        consumer.join()
        self.assertEqual(ring.get(), 7)
        self.assertTrue(ring.redelivered)

    def test_images_from_another_process(self):
        ring = arrayfs.ring(self.path, "uint8", (224, 224, 3), slots=8)
        producer = CONTEXT.Process(target=produce, args=(str(self.path), 500))
        producer.start()
        for i in range(500):
            with ring.acquire() as image:
                self.assertTrue((image == i % 251).all())
        producer.join()
        self.assertEqual(producer.exitcode, 0)


if __name__ == "__main__":
    unittest.main()
