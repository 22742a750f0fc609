"""Files that only pretend to be arrays: raw files with the reason in `info`, and a daemon that does not care."""

import json
import os
import unittest
from pathlib import Path

from support.mount import Mount, arrayfs

MARKER = "/tmp/arrayfs-hostile-header-was-executed"


def npy(header: str | bytes, version: tuple[int, int] = (1, 0), length: int | None = None, data: bytes = b"") -> bytes:
    """A file with that header text; `length` lies about it."""
    text = header.encode("latin1") if isinstance(header, str) else header
    count = (len(text) if length is None else length).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + count + text + data


def described(descr: str = "'<f8'", order: str = "False", shape: str = "(0,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


HOSTILE = {
    "nothing": b"",
    "magic_cut": b"\x93NUM",
    "magic_alone": b"\x93NUMPY",
    "length_cut": b"\x93NUMPY\x01\x00\x76",
    "header_cut": npy("{'descr': '<f8', 'fortran_order'", length=118),
    "header_4_gb": npy(described(), (2, 0), length=0xFFFFFFFF),
    "header_64_kb": npy(described(), length=0xFFFF),
    "header_beyond_the_limit": npy(described().rstrip() + " " * 20_000 + "\n", (2, 0)),
    "version_9": npy(described(), (9, 9)),
    "nested_tuples": npy(described(shape="(" * 10_000 + ")" * 10_000), (2, 0)),
    "nested_lists": npy(described(descr="[" * 4000 + "]" * 4000)),
    "nested_structs": npy(described(descr="[('a'," * 1200 + "'<f4'" + ")]" * 1200)),
    "nested_dicts": npy("{'a':" * 1500 + "1" + "}" * 1500),
    "shape_product_overflows": npy(described(shape="(4294967296, 4294967296, 16)")),
    "shape_bytes_overflow": npy(described(shape="(1152921504606846976,)")),
    "shape_overflows_64_bits": npy(described(shape="(18446744073709551616,)")),
    "shape_of_a_thousand_digits": npy(described(shape="(" + "9" * 5000 + ",)")),
    "shape_beyond_the_file": npy(described(shape="(1000,)"), data=b"\0" * 16),
    "shape_negative": npy(described(shape="(-1,)")),
    "shape_negative_twice": npy(described(shape="(-8, -8)"), data=b"\0" * 512),
    "shape_float": npy(described(shape="(1.5,)")),
    "shape_text": npy(described(shape="('5',)")),
    "shape_none": npy(described(shape="None")),
    "shape_number": npy(described(shape="5")),
    "shape_of_100_axes": npy(described(shape="(" + "1," * 100 + ")"), data=b"\0" * 8),
    "shape_expression": npy(described(shape="(2**10,)")),
    "object": npy(described(descr="'|O'", shape="(1,)"), data=b"\x80\x04N."),
    "object_field": npy(described(descr="[('a', '<f4'), ('b', '|O')]", shape="(1,)"), data=b"\0" * 12),
    "dtype_unknown": npy(described(descr="'<x8'")),
    "dtype_odd_size": npy(described(descr="'<f3'")),
    "dtype_huge_size": npy(described(descr="'|S99999999999999999999'")),
    "dtype_number": npy(described(descr="5")),
    "dtype_empty": npy(described(descr="''")),
    "field_shape_overflows": npy(described(descr="[('a', '<f8', (4294967296, 4294967296))]", shape="(1,)")),
    "field_names_twice": npy(described(descr="[('a', '<f8'), ('a', '<f8')]", shape="(0,)")),
    "order_number": npy(described(order="1")),
    "key_missing": npy("{'descr': '<f8', 'fortran_order': False}\n"),
    "key_too_many": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0,), 'x': 1}\n"),
    "not_a_dictionary": npy("[1, 2, 3]\n"),
    "not_closed": npy("{'descr': '<f8\n"),
    "text_after_it": npy(described().rstrip() + " + 1\n"),
    "import": npy(f"__import__('os').system('touch {MARKER}')\n"),
    "import_as_shape": npy(described(shape=f"__import__('os').system('touch {MARKER}')")),
    "not_ascii": npy(b"{'descr': '\xff\xfe', 'fortran_order': False, 'shape': (0,)}\n"),
    "not_utf8": npy(b"{'descr': [('\xff\xfe', '<f4')], 'fortran_order': False, 'shape': (0,)}\n", (3, 0)),
    "nul_bytes": npy("\0" * 118),
    "noise": npy(bytes(range(256)) * 30),
}


class HostileHeaders(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mount = cls.enterClassContext(Mount())

    def server(self) -> tuple[str, int]:
        """Its process and the most memory that it ever had, in KiB."""
        pid = self.mount.status()["server_pid"]
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return pid, int(lines["VmHWM"].split()[0])

    def test_every_file_is_raw(self):
        pid, before_kib = self.server()
        for kind, content in HOSTILE.items():
            with self.subTest(kind):
                path = self.mount.path / f"{kind}.npy"
                path.write_bytes(content)
                info = self.mount.info(f"{kind}.npy")
                self.assertEqual(info["kind"], "raw file")
                self.assertTrue(info["reason"])
                self.assertNotIn("dtype", info)
                self.assertEqual(json.loads(self.mount.control(f"json/{kind}.npy.json"))["kind"], "raw")
                self.assertRaises(OSError, os.getxattr, path, "user.array.dtype")
                self.assertEqual(path.read_bytes(), content)
        listed = {entry["name"] for entry in json.loads(arrayfs("ls", "--json", str(self.mount.path)))}
        self.assertEqual(listed, {f"{kind}.npy" for kind in HOSTILE})
        arrayfs("ls", str(self.mount.path))
        after_pid, after_kib = self.server()
        self.assertEqual(after_pid, pid)
        if "ARRAYFS_SANITIZED_BY" not in os.environ:  # which keep what was freed
            self.assertLess(after_kib - before_kib, 16 * 1024)
        self.assertFalse(os.path.exists(MARKER))

    def test_size_that_changes_under_the_look(self):
        path = self.mount.path / "changes.npy"
        good = npy(described(shape="(4,)"), data=b"\0" * 32)
        for size in (len(good), 0, 7, 60, len(good) - 1, len(good)):
            path.write_bytes(good[:size])
            kind = self.mount.info("changes.npy")["kind"]
            self.assertEqual(kind, "array" if size == len(good) else "raw file")


if __name__ == "__main__":
    unittest.main()
