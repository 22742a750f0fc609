"""Python without NumPy: mmap, and a memoryview that reads the bytes as doubles."""

import mmap
import sys

path, index, value = sys.argv[1:]
with open(path, "r+b") as file:
    mapped = mmap.mmap(file.fileno(), 0)
# Bytes 8 and 9 say how long the header is that begins at byte 10.
offset = 10 + int.from_bytes(mapped[8:10], "little")
array = memoryview(mapped)[offset:].cast("d")
print(sum(array))
array[int(index)] = float(value)
