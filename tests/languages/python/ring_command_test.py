"""`arrayfs create --ring` makes a ring that libshm opens, and `arrayfs info` shows who has which slot."""

import json
import os
import unittest

import arrayfs as libshm
import numpy as np

from support.mount import BINARY, Mount, arrayfs, fields, run


class RingCommand(unittest.TestCase):
    def setUp(self):
        self.mount = self.enterContext(Mount())
        self.path = str(self.mount.path / "frames.npy")
        arrayfs("create", self.path, "uint8", "4,3", "--ring", "8")

    def ring_info(self) -> dict:
        return json.loads(arrayfs("info", "--json", self.path))["ring"]

    def test_a_plain_array_with_one_slot_more_axis(self):
        array = np.load(self.path, mmap_mode="r")
        self.assertEqual((array.shape, array.dtype), ((8, 4, 3), np.uint8))
        ring = libshm.ring(self.path)
        ring.put(7)
        self.assertTrue((array[0] == 7).all())
        self.assertEqual(ring.get().sum(), 7 * 12)

    def test_info_shows_the_sequence(self):
        self.assertEqual(self.ring_info(), {"slots": 8, "reserved": 0, "acquired": 0, "items": []})
        ring = libshm.ring(self.path)
        for value in range(11):
            ring.put(value)
            if value < 9:
                ring.get()
        pid = os.getpid()
        with ring.acquire(), ring.reserve():
            shown = self.ring_info()
            text = arrayfs("info", self.path)
        self.assertEqual((shown["reserved"], shown["acquired"]), (12, 10))
        self.assertEqual([(item["position"], item["slot"], item["state"], item["pid"]) for item in shown["items"]],
                         [(9, 1, "acquired", pid), (10, 2, "ready", 0), (11, 3, "reserved", pid)])
        self.assertEqual(fields(text)["ring"], "8 slots, 3 in use; 12 reserved and 10 acquired so far")
        self.assertEqual(fields(text)["item 9"], f"slot 1, acquired by {pid}")
        self.assertEqual(fields(text)["item 10"], "slot 2, ready")
        self.assertIn("[[[", text)  # the preview still comes behind

    def test_the_views_tell_it_to_programs(self):
        ring = libshm.ring(self.path)
        for value in range(5):
            ring.put(value)
        ring.get()
        if self.mount.plane == "cached":  # where only who looks through the mount sees what a mapping holds
            self.assertNotIn("ring", self.mount.info("frames.npy"))
            return
        self.assertEqual(self.mount.info("frames.npy")["ring"], "8 slots, 4 in use; 5 reserved and 1 acquired so far")
        self.assertEqual(self.mount.info("frames.npy")["item 1"], "slot 1, ready")
        self.assertEqual(json.loads(self.mount.control("json/frames.npy.json"))["ring"], self.ring_info())
        self.assertEqual(arrayfs("info", self.path).count("ring:"), 1)

    def test_a_view_shows_nothing_that_its_readers_may_not_read(self):
        control = self.mount.path / ".frames.npy.ring"
        planted = self.mount.path / "planted"
        os.rename(control, planted)
        np.save(self.mount.path / "a.npy", np.eye(2))
        for plant in (lambda: control.symlink_to(planted), lambda: os.mkfifo(control),
                      lambda: control.write_bytes(planted.read_bytes()) and control.chmod(0o600)):
            plant()
            self.assertNotIn("ring", self.mount.info("frames.npy"))
            control.unlink()

    def test_what_comes_again_and_what_is_skipped(self):
        ring = libshm.ring(self.path)
        ring.put(1)
        for take in (ring.acquire, ring.reserve):
            with self.assertRaises(KeyError), take():
                raise KeyError
        self.assertEqual([(item["state"], item["redelivered"]) for item in self.ring_info()["items"]],
                         [("orphaned", True), ("skipped", False)])

    def test_many_items_are_counted(self):
        path = str(self.mount.path / "many.npy")
        arrayfs("create", path, "int64", "()", "--ring", "100")
        ring = libshm.ring(path)
        for value in range(50):
            ring.put(value)
        shown = fields(arrayfs("info", path))
        self.assertEqual((shown["item 19"], shown["items"]), ("slot 19, ready", "30 more"))
        self.assertNotIn("item 20", shown)

    def test_others_have_no_ring(self):
        path = str(self.mount.path / "w.npy")
        np.save(path, np.eye(3))
        self.assertNotIn("ring", json.loads(arrayfs("info", "--json", path)))

    def test_refusals(self):
        def refused(*arguments: str, status: int) -> str:
            done = run(BINARY, *arguments)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (status, 1), done)
            return done.stderr

        self.assertIn("File exists", refused("create", self.path, "uint8", "4,3", "--ring", "8", status=1))
        new = str(self.mount.path / "new.npy")
        for options in (["--order", "F"], ["--fill", "1"], ["--replace"], ["--align", "4096"], ["--like", self.path]):
            refused("create", new, "uint8", "4", "--ring", "8", *options, status=2)
        for slots in ("0", "-1", "x"):
            refused("create", new, "uint8", "4", "--ring", slots, status=2)
        refused("create", new, "uint8", "4", "--ring", "1048577", status=1)
        refused("create", new, "uint8", "0", "--ring", "8", status=1)
        self.assertFalse(os.path.lexists(new))
        # What is there instead of a control file is not believed.
        control = self.mount.path / ".frames.npy.ring"
        for content in (b"", b"x" * 12352, control.read_bytes()[:-8]):
            control.write_bytes(content)
            self.assertIn("not a ring's control file", fields(arrayfs("info", self.path))["ring"])
            self.assertIn("not a ring's control file", self.ring_info()["reason"])
        control.unlink()
        os.mkfifo(control)
        self.assertIn("not a ring's control file", fields(arrayfs("info", self.path))["ring"])


if __name__ == "__main__":
    unittest.main()
