"""The metrics as Prometheus reads them, against its own parser, its rules for names, and the status."""

import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from support.mount import BINARY, PLANE, Mount, arrayfs, ended, run, wait_until

README = Path(__file__).parents[2] / "README.md"
# Of the same moment, as neither opens nor closes anything.
ALIKE = {"arrayfs_capacity_bytes": "capacity_bytes", "arrayfs_used_bytes": "used_bytes",
         "arrayfs_free_bytes": "free_bytes", "arrayfs_arrays": "arrays", "arrayfs_files": "files",
         "arrayfs_nameless_files": "nameless_files", "arrayfs_nameless_bytes": "nameless_bytes",
         "arrayfs_server_restarts_total": "restarts", "arrayfs_upgrades_total": "upgrades"}
# https://prometheus.io/docs/practices/naming/ and what `promtool check metrics` asks for.
NO_BASE_UNITS = ("_ms", "_milliseconds", "_minutes", "_hours", "_kilobytes", "_kib", "_mib", "_megabytes", "_percent")
RESERVED = ("_count", "_sum", "_bucket")


def samples(text: str) -> dict[str, float]:
    return {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


class Metrics(unittest.TestCase):
    def setUp(self):
        self.mount = self.enterContext(Mount(PLANE, size="64M"))
        np.save(self.mount.path / "w.npy", np.eye(100))
        (self.mount.path / "raw").write_bytes(bytes(10))

    def test_every_family_is_as_prometheus_wants_it(self):
        text = self.mount.control("metrics")
        self.assertTrue(text.endswith("\n"))
        families = list(text_string_to_metric_families(text))
        names = [family.name for family in families]
        self.assertEqual(len(names), len(set(names)))
        series = [(sample.name, tuple(sorted(sample.labels.items()))) for f in families for sample in f.samples]
        self.assertEqual(len(series), len(set(series)))
        for family in families:
            with self.subTest(family.name):
                self.assertIn(family.type, ("gauge", "counter"))
                self.assertTrue(family.documentation)
                self.assertRegex(family.name, r"\Aarrayfs_[a-z_]+\Z")
                self.assertFalse(family.name.endswith((*NO_BASE_UNITS, *RESERVED)))
                self.assertTrue(family.samples)
                for sample in family.samples:
                    self.assertEqual(sample.name.endswith("_total"), family.type == "counter")
        for name in re.findall(r"^([a-z_]+)(?:{.*})? ", text, re.MULTILINE):
            self.assertEqual((text.count(f"# HELP {name} "), text.count(f"# TYPE {name} ")), (1, 1), name)

    def test_they_agree_with_the_status(self):
        self.mount.servers_die = True
        server = self.mount.status()["server_pid"]
        os.kill(int(server), 9)
        wait_until(lambda: ended(server), "it is dead")
        status = json.loads(arrayfs("status", str(self.mount.path), "--json"))
        found = samples(self.mount.control("metrics"))
        self.assertEqual({name: found[name] for name in ALIKE}, {name: status[key] for name, key in ALIKE.items()})
        self.assertEqual((found["arrayfs_server_restarts_total"], found["arrayfs_arrays"]), (1, 1))
        info = next(f for f in text_string_to_metric_families(self.mount.control("metrics")) if f.name == "arrayfs_info")
        for label, value in info.samples[0].labels.items():
            self.assertEqual(value, status[label])

    def test_a_hostile_mount_point_is_a_label(self):
        directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        point = os.fsencode(directory) + b'/nl\nquote" back\\n \xff'
        os.mkdir(point)
        name = f"{self.mount.name}-label"
        done = run(BINARY, "mount", os.fsdecode(point), "--name", name, "--size", "4M")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        try:
            with open(point + b"/.arrayfs/metrics", encoding="utf-8", errors="strict") as file:
                text = file.read()
        finally:
            self.assertEqual(run(BINARY, "umount", "--discard", os.fsdecode(point)).returncode, 0)
        info = next(f for f in text_string_to_metric_families(text) if f.name == "arrayfs_info")
        self.assertEqual(info.samples[0].labels["mountpoint"], point.decode(errors="replace"))

    def test_the_line_for_the_textfile_collector(self):
        line, = re.findall(r"^cat /mnt/arrays/\.arrayfs/metrics .*$", README.read_text(), re.MULTILINE)
        collector = "/var/lib/prometheus/node-exporter"
        self.assertIn(collector, line)
        directory = self.enterContext(tempfile.TemporaryDirectory())
        for _ in range(2):
            subprocess.run(["sh", "-c", line.replace("/mnt/arrays", str(self.mount.path)).replace(collector, directory)],
                           check=True, timeout=60)
        written, = os.listdir(directory)
        self.assertTrue(written.endswith(".prom"))
        self.assertIn("arrayfs_capacity_bytes", samples((Path(directory) / written).read_text()))


if __name__ == "__main__":
    unittest.main()
