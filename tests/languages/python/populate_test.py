"""populate.py fills every block of the shared array and prints it."""

import sys
import unittest
from pathlib import Path

import numpy as np

from support.mount import directory, run

PROGRAM = Path(__file__).with_name("populate.py")


class Populate(unittest.TestCase):
    def test_twice(self):
        with directory() as mount:
            path = mount.path / "populate.npy"
            for _ in range(2):
                done = run(sys.executable, str(PROGRAM), str(path))
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("[1900. 1900. 1900. ... 1900. 1900. 1900.]", done.stdout)
                expected = np.repeat(np.arange(0.0, 2000, 100), 100)[:, np.newaxis] * np.ones(10)
                np.testing.assert_array_equal(np.load(path), expected)


if __name__ == "__main__":
    unittest.main()
