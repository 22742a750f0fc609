"""Python: np.memmap, given by hand what np.load reads in the header."""

import os
import sys

import numpy as np

path, index, value = sys.argv[1:]
with open(path, "rb") as file:
    # Bytes 8 and 9 say how long the header is that begins at byte 10.
    offset = 10 + int.from_bytes(file.read(10)[8:], "little")
count = (os.path.getsize(path) - offset) // 8
array = np.memmap(path, "<f8", "r+", offset, (count,))
print(array.sum())
array[int(index)] = float(value)
