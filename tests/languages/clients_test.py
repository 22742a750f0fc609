"""One array passes through a client of every language that is installed, while others hold mappings of it.

Each must print the sum of what all before it have stored, and what it stores is at once in a mapping of
NumPy and one of C that are there from the beginning to the end. With ARRAYFS_ALL_LANGUAGES=1 a missing
language is a failure.
"""

import json
import os
import struct
import unittest

import numpy as np

from languages.clients import LANGUAGES, WORK
from support.mapper import Mapper
from support.mount import PLANE, arrayfs, directory, run
from support.peer import Peer

COUNT = 1000


class Clients(unittest.TestCase):
    def test_every_language(self):
        mount = self.enterContext(directory())
        path = mount.path / "shared.npy"
        arrayfs("create", str(path), "float64", str(COUNT))
        expected = np.arange(COUNT) / 2
        peer = self.enterContext(Peer(path))
        mapper = self.enterContext(Mapper(path))
        peer.do(f"a[...] = np.arange({COUNT}) / 2")
        passed = []
        for i, language in enumerate(LANGUAGES):
            if not language.is_installed():
                continue
            with self.subTest(language.name):
                # The sums are exact in whatever order the elements are added.
                index, value = 37 * i % COUNT, -1000.5 - i
                before = int(mapper.ask("sum"))
                done = run(*language.command(str(path), str(index), str(value)))
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual(float(done.stdout), expected.sum())
                difference = sum(struct.pack("<d", value)) - sum(struct.pack("<d", expected[index]))
                expected[index] = value
                self.assertEqual(peer.ask(f"float(a[{index}])"), str(value))
                self.assertEqual(int(mapper.ask("sum")), before + difference)
                passed.append(language.name)
            if language.name not in passed[-1:]:
                expected = np.load(path)  # a failure is told once, not by all that follow
        np.testing.assert_array_equal(np.load(path), expected)
        WORK.mkdir(parents=True, exist_ok=True)
        (WORK / f"passed.{PLANE}.json").write_text(json.dumps(passed))

    def test_all_are_installed(self):
        if os.environ.get("ARRAYFS_ALL_LANGUAGES") == "1":
            self.assertEqual([language.name for language in LANGUAGES if not language.is_installed()], [])


if __name__ == "__main__":
    unittest.main()
