"""Python: np.load maps the file; the array is an ndarray."""

import sys

import numpy as np

path, index, value = sys.argv[1:]
array = np.load(path, mmap_mode="r+")
print(array.sum())
array.reshape(-1)[int(index)] = float(value)
