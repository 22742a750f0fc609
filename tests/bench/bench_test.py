"""The benchmarks run to their end and show every row; their figures are nobody's promise."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from bench.report import lines, table
from bench.rows import OURS, ROWS
from support.mount import TIMEOUT_S

OPTIONAL = {"boost", "joblib"}  # peers that may not be installed


class Report(unittest.TestCase):
    def test_goals(self):
        found = lines({
            "np.save": {OURS: 2.0, "/dev/shm": 3.0},
            "map and sum": {OURS: 2.0, "/dev/shm": 2.9},
            "the daemon at rest": {OURS: 21 << 20},
            "sum by four workers": {OURS: 1e-3, "pickled": 2e-3},
        })
        self.assertEqual([(line.measure, line.ratio, line.reached) for line in found],
                         [("np.save", 1.5, True), ("map and sum", 1.45, False), ("the daemon at rest", None, False),
                          ("sum by four workers", 2.0, None)])
        words = [row.split() for row in table(found).splitlines()[1:]]
        self.assertEqual(words[0], "np.save 2 s /dev/shm 3 s 1.50 >= 1.50 met".split())
        self.assertEqual(words[1], "map and sum 2 s /dev/shm 2.9 s 1.45 >= 1.50 not met".split())
        self.assertEqual(words[2], "the daemon at rest 21 MiB <= 20 MiB not met".split())
        self.assertEqual(words[3], "sum by four workers 1 ms pickled 2 ms 2.00".split())


@unittest.skipUnless(os.geteuid() == 0, "needs to mount a tmpfs")
class QuickRun(unittest.TestCase):
    def test_every_row(self):
        output = Path(self.enterContext(tempfile.TemporaryDirectory()))
        done = subprocess.run((sys.executable, "-B", "-m", "bench.bench", "--quick", "--output", str(output)),
                              capture_output=True, text=True, timeout=4 * TIMEOUT_S, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = json.loads((output / "bench.json").read_text())["rows"]
        shown = {(row["measure"], row["peer"]) for row in found}
        wanted = {(row.measure, peer) for row in ROWS for peer in row.peers.keys() - OPTIONAL}
        wanted |= {(row.measure, "") for row in ROWS if row.limit is not None}
        self.assertEqual(wanted - shown, set())
        for row in found:
            with self.subTest(row["measure"], peer=row["peer"]):
                self.assertTrue(row["theirs"] is None or row["theirs"] > 0)
                self.assertIn(row["measure"], done.stdout)
        self.assertEqual((output / "bench.txt").read_text(), done.stdout)
        if importlib.util.find_spec("matplotlib"):
            self.assertIn("np.save", (output / "bench.svg").read_text())


if __name__ == "__main__":
    unittest.main()
