# Cython: mmap of posix.mman; the elements are a pointer to doubles.
import sys

from libc.stdint cimport uint8_t
from posix.fcntl cimport O_RDWR, open
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap
from posix.unistd cimport SEEK_END, close, lseek


def main(path, size_t index, double value):
    cdef int fd = open(path.encode(), O_RDWR)
    cdef size_t size = lseek(fd, 0, SEEK_END)
    cdef uint8_t *file = <uint8_t *> mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
    if file == MAP_FAILED:
        raise OSError(f"{path}: cannot be mapped")
    close(fd)  # the mapping needs no descriptor

    # Bytes 8 and 9 say how long the header is that begins at byte 10.
    cdef size_t offset = 10 + file[8] + 256 * file[9]
    cdef double *array = <double *> (file + offset)
    cdef double element, total = 0
    for element in array[:(size - offset) // sizeof(double)]:
        total += element
    print(total)
    array[index] = value


main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
