"""Compares array_text and slice with NumPy itself, on a few thousand arrays.

Usage: compare_with_numpy.py VALUES_DUMP. Deterministic; prints every mismatch and exits 1 on any.
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    sys.exit(77)

INT_TYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
FLOAT_TYPES = ["f2", "f4", "f8", "f16"]
COMPLEX_TYPES = ["c8", "c16", "c32"]
TIME_UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"]
SHAPES = [(), (1,), (2,), (5,), (17,), (64,), (1, 1), (2, 3), (3, 2), (7, 5), (1, 9), (2, 3, 4),
          (4, 1, 2, 3), (1, 1, 1, 1, 2)]
BIG_SHAPES = [(1001,), (5000,), (40, 40), (7, 200), (200, 6), (6, 200), (12, 11, 10), (3, 40, 20),
              (7, 7, 7, 7), (1, 1, 3000), (2000, 1)]
EMPTY_SHAPES = [(0,), (0, 3), (3, 0), (2, 0, 5)]
DEFAULTS = (1000, 3, 75, 8)

rng = np.random.RandomState(20240117)


class Jobs:
    """Arrays saved to files, and what NumPy says of them."""

    def __init__(self, directory):
        self.directory = directory
        self.lines = []
        self.expected = []

    def save(self, array):
        path = os.path.join(self.directory, "%d.npy" % len(self.lines))
        np.save(path, array)
        return path

    def add(self, array, slices=("",), options=DEFAULTS, path=None):
        path = path or self.save(array)
        loaded = np.load(path)
        for text in slices:
            try:
                part = eval("loaded" + text, {"loaded": loaded, "None": None, "np": np})
                expected = self.text(part, options)
            except (IndexError, ValueError) as error:
                expected = error
            self.append(path, "", text, options, expected, array)

    def add_alias(self, raw, dtype, values):
        """`raw` bytes of a type that NumPy does not know, `values` what they mean."""
        self.append(self.save(raw), dtype, "", DEFAULTS, self.text(values, DEFAULTS), values)

    def append(self, path, dtype, text, options, expected, array):
        self.lines.append("\t".join([path, dtype, text] + [str(option) for option in options]))
        self.expected.append((expected, array))

    @staticmethod
    def text(part, options):
        threshold, edge_items, line_width, precision = options
        with np.printoptions(threshold=threshold, edgeitems=edge_items, linewidth=line_width,
                             precision=precision):
            return str(part)

    def run(self, program):
        result = subprocess.run([program], input="\n".join(self.lines).encode() + b"\n",
                                stdout=subprocess.PIPE, check=True)
        rest = result.stdout
        mismatches = 0
        for line, (expected, array) in zip(self.lines, self.expected):
            head, rest = rest.split(b"\n", 1)
            words = head.decode().split(" ", 2)
            if words[0] == "ok":
                size = int(words[1])
                got = rest[:size].decode()
                rest = rest[size + 1:]
            else:
                got = head.decode()
            if not self.agrees(expected, got):
                mismatches += 1
                if mismatches <= 20:
                    print("MISMATCH", line.split("\t")[1:], array.dtype, array.shape)
                    print("numpy:", str(expected)[:2000], sep="\n")
                    print("arrayfs:", got[:2000], sep="\n")
        return mismatches

    @staticmethod
    def agrees(expected, got):
        if not isinstance(expected, Exception):
            return expected == got
        reason = str(expected)
        if reason.startswith("only integers"):
            reason = "only integers, slices"
        return got.startswith("error ") and reason in got


def orders(array):
    """The array in every layout on disk."""
    yield array
    if array.ndim > 1:
        yield np.asfortranarray(array)
    swapped = array.dtype.newbyteorder(">")
    if swapped != array.dtype:
        yield array.astype(swapped)


def random_floats(shape, dtype):
    """Values of a magnitude and a precision that vary from array to array."""
    style = rng.randint(10)
    shape = shape or ()
    values = np.asarray(rng.standard_normal(shape)).astype(np.longdouble)
    if style == 1:
        values = np.round(values * 10, rng.randint(0, 4))
    elif style == 2:
        values = values * np.longdouble(10) ** rng.randint(-9, 10)
    elif style == 3:
        values = values * np.longdouble(10) ** rng.randint(-12, 12, shape)
    elif style == 4:
        values = np.round(values * 1000)
    elif style == 5:
        values = np.longdouble(2) ** rng.randint(-20, 20, shape)
    elif style == 6:
        values = np.round(np.abs(values) * 1e6) / np.longdouble(10) ** rng.randint(0, 9)
    elif style == 7:
        values = np.zeros(shape) - rng.randint(0, 2, shape) * 0.0
    elif style == 8:
        values = np.round(np.abs(values), 2) + 1
    elif style == 9:
        values = values + rng.randint(0, 1000)
    with np.errstate(all="ignore"):
        array = np.asarray(values).astype(dtype)
    specials = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    if rng.randint(3) == 0 and array.size:
        flat = array.reshape(-1).copy()
        for _ in range(rng.randint(1, 4)):
            flat[rng.randint(flat.size)] = specials[rng.randint(len(specials))]
        array = flat.reshape(array.shape)
    return array


def random_bits(shape, dtype):
    """Any bit pattern: subnormals, NaN with payloads, huge and tiny values."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=int))
    return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).reshape(shape)


def random_complex(shape, dtype):
    part = {"c8": "f4", "c16": "f8", "c32": "f16"}[dtype]
    array = np.empty(shape, dtype)
    array.real = random_floats(shape, part)
    array.imag = random_floats(shape, part)
    return array


def random_text(length):
    alphabet = ("abc XYZ'\"\\\n\t\r\x00\x7f\x80\xa0\xad\xe9\u0105\u200b\u2028\u4e2d\ud7ff\ue000"
                "\ufeff\U0001f600\U000e0001\U0010ffff\u0378\u0300")
    plain = rng.randint(3) == 0
    return "".join(alphabet[rng.randint(7 if plain else len(alphabet))] for _ in range(length))


def random_strings(shape, kind):
    count = int(np.prod(shape, dtype=int))
    longest = rng.randint(1, 12)
    texts = [random_text(rng.randint(0, longest + 1)) for _ in range(count)]
    if kind == "S":
        return np.array([text.encode("utf-8")[:20] for text in texts],
                        "S%d" % max(longest, 1)).reshape(shape)
    return np.array(texts, "U%d" % longest).reshape(shape)


def random_times(shape, kind, unit):
    style = rng.randint(4)
    if style == 0:
        values = rng.randint(-10 ** 4, 10 ** 4, shape)
    elif style == 1:
        values = rng.randint(-2 ** 62, 2 ** 62, shape, dtype="i8")
    elif style == 2:
        values = rng.randint(10 ** 9, 2 * 10 ** 9, shape)
    else:
        values = rng.randint(-100, 100, shape)
    values = np.asarray(values, "i8")
    array = values.view("%s8[%s]" % (kind, unit))
    if rng.randint(3) == 0 and array.size:
        array = array.copy()
        array.reshape(-1)[rng.randint(array.size)] = "NaT"
    return array


def struct_types():
    nested = np.dtype([("x", "<f4"), ("y", ">i2", (2,))])
    return [
        np.dtype([("a", "<i4")]),
        np.dtype([("a", "<i4"), ("b", "<f8")]),
        np.dtype([("flag", "?"), ("c", "<c16"), ("name", "S5"), ("u", "<U3")]),
        np.dtype([("pos", "<f4", (3,)), ("id", "u1")]),
        np.dtype([("m", ">f8", (2, 2)), ("t", "<M8[s]"), ("d", "<m8[25m]"), ("v", "V3")]),
        np.dtype([("n", nested), ("k", nested, (2,)), ("flags", "?", (3,))]),
        np.dtype({"names": ["a", "b"], "formats": ["<i2", "<f8"], "offsets": [0, 8],
                  "itemsize": 24}),
        np.dtype([("half", "<f2"), ("long", "<f16"), ("e", "<i4", (0,)), ("z", "<i4", (2, 0))]),
        np.dtype([(("a title", "a"), "<i8"), ("\u00e4", "<f4")]),
    ]


def fill(array):
    """Random values in every field of a structured array."""
    dtype = array.dtype
    if dtype.names is not None:
        for name in dtype.names:
            fill(array[name])
    elif dtype.kind == "f":
        array[...] = random_floats(array.shape, dtype.newbyteorder("="))
    elif dtype.kind == "c":
        array[...] = random_complex(array.shape, "c16")
    elif dtype.kind in "SU":
        array[...] = random_strings(array.shape, dtype.kind)
    elif dtype.kind in "mM":
        array[...] = rng.randint(-10 ** 6, 10 ** 6, array.shape).astype(dtype)
    elif dtype.kind == "V":
        if array.size:
            array[...] = np.void(rng.bytes(dtype.itemsize))
    else:
        array[...] = rng.randint(0, 2 if dtype.kind == "b" else 100, array.shape)


def add_numbers(jobs):
    for shape in SHAPES + BIG_SHAPES + EMPTY_SHAPES:
        for array in orders(rng.randint(0, 2, shape).astype("?") if shape else np.array(True)):
            jobs.add(array)
        for dtype in INT_TYPES:
            info = np.iinfo(dtype)
            high = min(info.max, 10 ** rng.randint(1, 19))
            low = max(info.min, -(10 ** rng.randint(1, 19)))
            values = np.asarray(rng.randint(low, high, shape, dtype="i8")).astype(dtype)
            for array in orders(values):
                jobs.add(array)
            jobs.add(random_bits(shape, dtype))
        for dtype in FLOAT_TYPES:
            for _ in range(6):
                for array in orders(random_floats(shape, dtype)):
                    jobs.add(array)
            jobs.add(random_bits(shape, dtype))
        for dtype in COMPLEX_TYPES:
            for _ in range(3):
                for array in orders(random_complex(shape, dtype)):
                    jobs.add(array)
    jobs.add(np.array([2, 0, 255, 1], "u1").view("?"))


def add_float_edges(jobs):
    """Values at the limits of notations, and floats whose neighbours lie at unequal distances."""
    halves = np.arange(2 ** 16, dtype="u2").view("f2")
    for start in range(0, 2 ** 16, 16):
        jobs.add(halves[start:start + 16])
    for start in range(0, 2 ** 16, 512):
        jobs.add(halves[start:start + 512])
    for code in rng.randint(0, 2 ** 16, 300):
        jobs.add(halves[code])
        jobs.add(halves[[code, rng.randint(2 ** 16)]])
    for dtype in FLOAT_TYPES:
        info = np.finfo(dtype)
        tiny = np.array([info.tiny, info.tiny * 2, info.max, -info.max, info.eps], dtype)
        smallest = np.nextafter(np.array(0, dtype), np.array(1, dtype))
        edges = np.array(["1e8", "99999999", "0.0001", "0.00009999", "1000", "1000.0001", "1", "1e16",
                          "9999999999999998", "0.1", "1e5", "123456789.125"], np.longdouble)
        with np.errstate(all="ignore"):
            edges = edges.astype(dtype)
        for values in (tiny, edges):
            for value in values:
                jobs.add(np.array(value))
                jobs.add(np.array([value, -value]))
                for other in values:
                    jobs.add(np.array([value, other], dtype))
        jobs.add(np.array([smallest, smallest * 3], dtype))
        jobs.add(np.array(smallest))
        lowest, highest = {"f2": (-24, 16), "f4": (-149, 128), "f8": (-1074, 1024),
                           "f16": (-16445, 16384)}[dtype]
        exponents = range(lowest, highest, max(1, (highest - lowest) // 600))
        powers = [np.ldexp(np.array(1, dtype), exponent).astype(dtype) for exponent in exponents]
        for power in powers:
            jobs.add(np.array(power, dtype))
            jobs.add(np.array([power, rng.standard_normal() * 1e3], dtype))
            jobs.add(np.array([power, np.nextafter(power, np.array(0, dtype))], dtype))
    for dtype in COMPLEX_TYPES:
        for real in (0.0, -0.0, 1.5, np.nan, np.inf, -np.inf, 1e20, 2.0):
            for imag in (0.0, -0.0, -1.5, np.nan, np.inf, -np.inf, 1e-7, 3.0):
                value = np.empty((), dtype)
                value.real, value.imag = real, imag
                jobs.add(value)
                jobs.add(np.array([value, 1 + 1j], dtype))


def add_strings_and_times(jobs):
    for shape in SHAPES + BIG_SHAPES + EMPTY_SHAPES:
        for kind in "SU":
            for _ in range(3):
                for array in orders(random_strings(shape, kind)):
                    jobs.add(array)
        for size in (1, 4, 40):
            jobs.add(random_bits(shape, "V%d" % size))
        for unit in TIME_UNITS + ["25s", "7D", "3M", "100ns"]:
            for kind in "mM":
                for array in orders(random_times(shape, kind, unit)):
                    jobs.add(array)
    jobs.add(np.array(["NaT", "NaT"], "M8"))
    jobs.add(np.array([1, 2, "NaT"], "m8"))
    jobs.add(np.array(5, "m8"))
    jobs.add(np.array("NaT", "M8"))
    jobs.add(np.array([-1, 0, 1], "i8").view("M8[fs]"))
    jobs.add(np.array([-2 ** 63 + 1, 2 ** 63 - 1], "i8").view("M8[as]"))
    jobs.add(np.array([-2 ** 63 + 1, 2 ** 63 - 1], "i8").view("M8[fs]"))
    jobs.add(np.array([chr(code) for code in range(1, 2 ** 16, 7)]), options=(10 ** 6, 3, 75, 8))
    jobs.add(np.array([bytes([code]) for code in range(256)]))


def add_structs(jobs):
    for dtype in struct_types():
        for shape in [(), (1,), (3,), (4, 2), (1500,), (40, 30)]:
            for _ in range(3):
                array = np.zeros(shape, dtype)
                fill(array)
                jobs.add(array)
                if array.ndim > 1:
                    jobs.add(np.asfortranarray(array))
                field = "[%r]" % dtype.names[0]
                slices = [field, field + "[:1]", "[0]" + field, "[0:2]" + field, "['nope']"]
                jobs.add(array, slices if shape else [field])


def random_index(extent):
    def bound():
        return "" if rng.randint(3) == 0 else str(rng.randint(-extent - 2, extent + 3))

    choice = rng.randint(12)
    if choice < 4:
        return str(rng.randint(-extent - 1, extent + 1))
    if choice == 10:
        return "..."
    if choice == 11:
        return "None"
    step = ["", ":", ":%d" % rng.choice([-3, -2, -1, 1, 2, 5, 0, 2 ** 62])][rng.randint(3)]
    return bound() + ":" + bound() + step


def add_slices(jobs):
    for shape in [(5,), (3, 4), (2, 3, 4), (1200,), (50, 30), (0, 4), (3, 0)]:
        for dtype in ("i4", "f8"):
            array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
            for layout in orders(array):
                slices = []
                for _ in range(60):
                    count = rng.randint(1, len(shape) + 2)
                    indices = [random_index(shape[min(axis, len(shape) - 1)] or 1)
                               for axis in range(count)]
                    slices.append("[" + ", ".join(indices) + "]")
                slices += ["[0][0]", "[::-1]", "[1:][:1]", "['a']",
                           "[..., None]", "[:99999999999999999999]"]
                jobs.add(layout, [text for text in slices if comparable(array, text)])


def comparable(array, text):
    """NumPy answers for scalars in other words, and those are not arrays."""
    return not (text == "[0][0]" and array.ndim == 1)


def add_options(jobs):
    for _ in range(400):
        options = (int(rng.choice([0, 5, 10, 1000])), int(rng.choice([1, 2, 3, 5])),
                   int(rng.choice([1, 10, 20, 40, 75, 200])), int(rng.choice([0, 1, 3, 8, 17])))
        shape = tuple(rng.randint(1, 14, rng.randint(1, 4)))
        kind = rng.randint(4)
        if kind == 0:
            array = random_floats(shape, FLOAT_TYPES[rng.randint(4)])
        elif kind == 1:
            array = rng.randint(-1000, 1000, shape)
        elif kind == 2:
            array = random_strings(shape, "U")
        else:
            array = random_complex(shape, COMPLEX_TYPES[rng.randint(3)])
        jobs.add(array, options=options)


def minifloat_values(codes, exponent_bits, mantissa_bits, has_infinity):
    """By the definition of the formats, as float32."""
    values = []
    for code in codes.tolist():
        sign = -1.0 if code >> (exponent_bits + mantissa_bits) else 1.0
        exponent = (code >> mantissa_bits) & ((1 << exponent_bits) - 1)
        fraction = code & ((1 << mantissa_bits) - 1)
        bias = (1 << (exponent_bits - 1)) - 1
        last = exponent == (1 << exponent_bits) - 1
        if last and has_infinity:
            value = np.nan if fraction else np.inf
        elif last and fraction == (1 << mantissa_bits) - 1:
            value = np.nan
        elif exponent == 0:
            value = fraction * 2.0 ** (1 - bias - mantissa_bits)
        else:
            value = (1 + fraction / 2.0 ** mantissa_bits) * 2.0 ** (exponent - bias)
        values.append(sign * value)
    return np.array(values, "f4")


def add_aliases(jobs):
    codes = np.arange(256, dtype="u1")
    for name, exponent_bits, mantissa_bits, has_infinity in [("float8_e4m3fn", 4, 3, False),
                                                             ("float8_e5m2", 5, 2, True)]:
        values = minifloat_values(codes, exponent_bits, mantissa_bits, has_infinity)
        jobs.add_alias(codes.view("V1"), name, values)
        for _ in range(100):
            pick = rng.randint(0, 256, rng.randint(1, 9))
            jobs.add_alias(codes[pick].view("V1"), name, values[pick])
        for code in range(256):
            jobs.add_alias(codes.view("V1")[code], name, values[code])
    for _ in range(200):
        codes = rng.randint(0, 2 ** 16, rng.randint(1, 2000), dtype="u2")
        values = (codes.astype("u4") << 16).view("f4")
        jobs.add_alias(codes.view("V2"), "bfloat16", values)
        jobs.add_alias(codes[:1].reshape(()).view("V2"), "bfloat16", values[0])


def main():
    with tempfile.TemporaryDirectory() as directory:
        jobs = Jobs(directory)
        for add in (add_numbers, add_float_edges, add_strings_and_times, add_structs, add_slices,
                    add_options, add_aliases):
            add(jobs)
        mismatches = jobs.run(sys.argv[1])
        print("%d texts compared, %d mismatches" % (len(jobs.lines), mismatches))
        return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
