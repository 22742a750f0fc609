"""One array of every kind that a .npy file can hold without pickling."""

import warnings
from pathlib import Path

import numpy as np

_FIELDS = [("name", "U8"), ("grade", "<f4"), ("marks", "<i2", (2, 3)), ("inner", [("x", "?"), ("y", ">u8")])]


def _arrays() -> dict[str, np.ndarray]:
    grid = np.arange(24).reshape(2, 3, 4)
    arrays = {name: grid.astype(name) for name in (
        "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64", "longdouble", "complex64", "complex128", "clongdouble",
        ">i2", ">i4", ">u8", ">f2", ">f4", ">f8", ">c16",
    )}
    structured = np.zeros(5, _FIELDS)
    structured["name"] = ["one", "zwei", "trois", "四", ""]
    structured["grade"] = np.linspace(0, 1, 5)
    structured["inner"]["y"] = np.arange(5)
    arrays |= {
        "bool": grid % 2 == 0,
        "special_floats": np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1.7976931348623157e308]),
        "zero_d": np.array(3.5),
        "zero_d_structured": structured[1],
        "empty": np.zeros(0),
        "empty_axis": np.zeros((3, 0, 2), "i4"),
        "fortran": np.asfortranarray(grid.astype("f8")),
        "fortran_big_endian": np.asfortranarray(grid.astype(">f4")),
        "one_element": np.ones((1, 1, 1, 1)),
        "many_axes": np.ones((1,) * 31 + (2,), "u1"),
        "bytes": np.array([b"a", b"bc", b"\xff\x00d"]),
        "unicode": np.array(["a", "数组", "🙂", ""]),
        "unicode_big_endian": np.array(["a", "数组"]).astype(">U2"),
        "void": np.array([b"abc", b"xyz"], "V3"),
        "datetime": np.array(["2001-09-09", "NaT", "1969-12-31"], "M8[D]"),
        "datetime_ns": np.array(["2001-09-09T01:46:40.123456789", "NaT"], "M8[ns]"),
        "datetime_25s": np.array([1, 2, 3]).astype("M8[25s]"),
        "timedelta": np.array([1, -2, 3], "m8[ms]"),
        "structured": structured,
        "structured_aligned": np.zeros(3, np.dtype([("a", "u1"), ("b", "f8")], align=True)),
        "structured_titles": np.ones(3, [(("a title", "a"), "i4"), ("b", "f8")]),
        "latin_field": np.ones(3, [("größe", "f4")]),
        "unicode_field": np.ones(3, [("数组", "f4")]),
        "many_fields": np.ones(2, [(f"field_{i}", "f4") for i in range(300)]),
        "large": np.arange(1_000_000, dtype="f8").reshape(1000, 1000),
    }
    return arrays


ARRAYS = _arrays()


def save_all(directory: Path) -> None:
    """Saves each of them as its name + .npy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of headers that need version 2.0 or 3.0
        for kind, array in ARRAYS.items():
            np.save(directory / f"{kind}.npy", array)
