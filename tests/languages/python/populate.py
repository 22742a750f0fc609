"""Four workers fill one shared array. All that passes between the processes is a path and row numbers.

    populate.py /mnt/arrays/populate.npy
"""

import sys
from multiprocessing import Pool

import numpy as np

ROWS, COLUMNS, BLOCK = 2000, 10, 100


def map_array(path):
    global array
    array = np.load(path, mmap_mode="r+")


def populate(offset):
    array[offset : offset + BLOCK] = offset


if __name__ == "__main__":
    path = sys.argv[1]
    shared = np.lib.format.open_memmap(path, mode="w+", dtype="f8", shape=(ROWS, COLUMNS))
    with Pool(processes=4, initializer=map_array, initargs=(path,)) as pool:
        pool.map(populate, range(0, ROWS, BLOCK))
    print(shared)
