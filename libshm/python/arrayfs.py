"""Arrays in .npy files that processes share, and what they coordinate with.

    import arrayfs
    a = arrayfs.create("/mnt/arrays/w.npy", "float32", (60000, 28, 28))
    with multiprocessing.Pool() as pool:
        sums = pool.map(np.sum, [a[i:i + 1000] for i in range(0, 60000, 1000)])

An Array is a numpy.ndarray on the mapped file. Pickled, it is its path, and a view or slice of it is
the path and where it lies: what a Pool or joblib sends to a worker is a few hundred bytes, and the
worker maps the same memory. What is computed from it is an ordinary array and is pickled as one.

Needs NumPy. Locks, waiting, appending and rings need libshm.so.1, found as every shared library is or
named by the environment variable LIBSHM.
"""

import contextlib
import ctypes
import errno
import functools
import math
import mmap
import os
import secrets
import weakref

import numpy as np

__all__ = ["Array", "Ring", "append", "create", "generation", "lock", "notify", "open", "permit", "ring",
           "seal", "unseal", "wait"]

_open_file = open
_ACCESS = {"r": mmap.ACCESS_READ, "r+": mmap.ACCESS_WRITE, "c": mmap.ACCESS_COPY}


class _File:
    """One mapping of a file: where it is in memory and what may be said about it elsewhere."""

    def __init__(self, path, mode):
        self.path = os.path.abspath(os.fspath(path))
        self.mode = mode
        with _open_file(self.path, "rb" if mode != "r+" else "r+b") as file:
            status = os.fstat(file.fileno())
            self.identity = (status.st_dev, status.st_ino)
            self.layout = _read_layout(file, self.path)
            dtype, shape, _, offset = self.layout
            end = offset + dtype.itemsize * math.prod(shape)
            if end > status.st_size:
                raise ValueError(f"{self.path}: the file ends before its data")
            self.memory = mmap.mmap(file.fileno(), end, access=_ACCESS[mode])
        self.size = end
        self.address = np.frombuffer(self.memory, np.uint8, 1).ctypes.data

    def array(self, dtype, shape, offset, strides=None, order="C"):
        result = np.ndarray.__new__(Array, shape, dtype, self.memory, offset, strides, order)
        result._file = self
        return result

    def is_current(self):
        """Whether the path still names this file."""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.identity


def _read_layout(file, path):
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version in read:
        shape, fortran, dtype = read[version](file)
    else:
        shape, fortran, dtype = np.lib.format._read_array_header(file, version)
    if dtype.hasobject:
        raise ValueError(f"{path}: object arrays hold pickled Python objects and cannot be mapped")
    return dtype, shape, "F" if fortran else "C", file.tell()


class Array(np.ndarray):
    """An ndarray on a mapped .npy file; see the module."""

    _file = None

    def __array_finalize__(self, parent):
        # Results of computations inherit it, too: whether this array lies in the file is seen from
        # its address.
        self._file = getattr(parent, "_file", None)

    @property
    def path(self):
        """The file that this array lies in, or None for one that has memory of its own."""
        return self._file.path if self._offset() is not None else None

    def _offset(self):
        """Where the first element lies in the file, in bytes; None when it does not."""
        file = self._file
        if file is None:
            return None
        if self.size == 0:
            return 0
        first, end = np.byte_bounds(self)
        if first < file.address or end > file.address + file.size:
            return None
        return self.ctypes.data - file.address

    def __reduce_ex__(self, protocol):
        offset = self._offset()
        file = self._file
        # A private copy is nobody else's, and a path that names another file is not the way here.
        if offset is None or file.mode == "c" or not file.is_current():
            return np.asarray(self).__reduce_ex__(protocol)
        place = (self.dtype, self.shape, offset, self.strides)
        return _from_file, (file.path, file.mode, file.identity, place, self.flags.writeable)

    def __array_wrap__(self, array, context=None, *rest):
        if array.ndim == 0 and type(array) is not Array:
            return array[()]
        result = super().__array_wrap__(array, context, *rest)
        return result[()] if getattr(result, "ndim", 1) == 0 and self.ndim != 0 else result


# The mappings of this process that arrays still lie in: each task of a Pool names the same file.
_files = weakref.WeakValueDictionary()


def _from_file(path, mode, identity, place, writeable):
    key = (path, mode, identity)
    file = _files.get(key)
    if file is None or not file.is_current() or file.size < _end(*place):
        file = _File(path, mode)
        if file.identity != identity:
            raise OSError(errno.ESTALE, "now another file than the one that was sent", path)
        _files[key] = file
    array = file.array(*place)
    if not writeable:
        array.flags.writeable = False
    return array


def _end(dtype, shape, offset, strides):
    if 0 in shape:
        return 0
    return offset + dtype.itemsize + sum((n - 1) * max(s, 0) for n, s in zip(shape, strides))


def open(path, mode="r"):
    """Maps an existing .npy file: mode "r", "r+" (read-write) or "c" (copy-on-write)."""
    if mode not in _ACCESS:
        raise ValueError(f"mode {mode!r} is not one of 'r', 'r+', 'c'")
    file = _File(path, mode)
    dtype, shape, order, offset = file.layout
    return file.array(dtype, shape, offset, order=order)


def create(path, dtype, shape, order="C", replace=False):
    """Makes a .npy file of zeros, whole and allocated, and maps it read-write.

    Its name appears when it is complete. OSError: EEXIST unless `replace`, ENOSPC, ...
    """
    path = os.path.abspath(os.fspath(path))
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise ValueError("object arrays cannot be shared")
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": order == "F", "shape": shape}
    aside = os.path.join(os.path.dirname(path), f".arrayfs-{secrets.randbits(64)}")
    with _open_file(aside, "xb") as file:
        try:
            np.lib.format._write_array_header(file, header)
            file.flush()
            size = file.tell() + dtype.itemsize * math.prod(shape)
            os.posix_fallocate(file.fileno(), 0, size)
            if replace:
                os.rename(aside, path)
            else:
                os.link(aside, path)
                os.unlink(aside)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
            raise
    return open(path, "r+")


# ---- What libshm does --------------------------------------------------------------------------

_pointer = ctypes.c_void_p
_path = ctypes.c_char_p
_out = ctypes.POINTER(ctypes.c_void_p)
_u64 = ctypes.c_uint64
_i64 = ctypes.c_int64
_int = ctypes.c_int
_PROTOTYPES = {
    "shm_last_error": (ctypes.c_char_p,),
    "shm_array_open": (_int, _path, _int, _out),
    "shm_array_append": (_int, _pointer, _pointer, ctypes.c_size_t),
    "shm_array_close": (None, _pointer),
    "shm_seal": (_int, _path),
    "shm_unseal": (_int, _path),
    "shm_sync_open": (_int, _path, _out),
    "shm_sync_close": (None, _pointer),
    "shm_sync_lock": (_int, _pointer, _int, _i64, _out),
    "shm_sync_set_permits": (_int, _pointer, ctypes.c_uint32),
    "shm_held_owner_died": (_int, _pointer),
    "shm_held_release": (_int, _pointer, _int),
    "shm_sync_generation": (_u64, _pointer),
    "shm_sync_notify": (_u64, _pointer),
    "shm_sync_wait": (_int, _pointer, _u64, _i64, ctypes.POINTER(_u64)),
    "shm_rows_lock": (_int, _path, _u64, _u64, _int, _i64, _out),
    "shm_rows_unlock": (None, _pointer),
    "shm_ring_create": (_int, _path, _path, ctypes.POINTER(_u64), ctypes.c_size_t, _u64, _out),
    "shm_ring_open": (_int, _path, _out),
    "shm_ring_close": (None, _pointer),
    "shm_ring_slots": (_u64, _pointer),
    "shm_ring_reserve": (_int, _pointer, _i64, _out),
    "shm_ring_acquire": (_int, _pointer, _i64, _out),
    "shm_slot_position": (_u64, _pointer),
    "shm_slot_redelivered": (_int, _pointer),
    "shm_slot_finish": (_int, _pointer),
    "shm_slot_give_up": (_int, _pointer),
}
_EXCLUSIVE, _SHARED, _PERMIT = 1, 2, 3


@functools.lru_cache(maxsize=None)
def _library():
    library = ctypes.CDLL(os.environ.get("LIBSHM", "libshm.so.1"))
    for name, (result, *arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def _call(name, *arguments):
    code = getattr(_library(), name)(*arguments)
    if code in (errno.ETIMEDOUT, errno.EBUSY) and name != "shm_seal":
        raise TimeoutError(code, _library().shm_last_error().decode())
    if code != 0:
        raise OSError(code, _library().shm_last_error().decode())


def _new(name, *arguments):
    handle = ctypes.c_void_p()
    _call(name, *arguments, ctypes.byref(handle))
    return handle.value


def _encoded(where):
    """The path of an Array or of a path."""
    path = where.path if isinstance(where, Array) else where
    if path is None:
        raise ValueError("this array lies in no file")
    return os.fsencode(path)


def _nanoseconds(timeout_s):
    return -1 if timeout_s is None else max(0, round(timeout_s * 1e9))


class _Sync:
    """The sync page of one array; closed with the last that uses it."""

    def __init__(self, path):
        self.handle = _new("shm_sync_open", path)
        weakref.finalize(self, _library().shm_sync_close, self.handle)


@contextlib.contextmanager
def _held(where, kind, timeout, permits=None):
    sync = _Sync(_encoded(where))
    if permits is not None:
        _call("shm_sync_set_permits", sync.handle, permits)
    handle = _new("shm_sync_lock", sync.handle, kind, _nanoseconds(timeout))
    damaged = 1
    try:
        yield bool(_library().shm_held_owner_died(handle))
        damaged = 0
    finally:
        # Readers have damaged nothing, nor has who only held a permit.
        _call("shm_held_release", handle, damaged if kind == _EXCLUSIVE else 0)


@contextlib.contextmanager
def _held_rows(where, rows, shared, timeout):
    handle = _new("shm_rows_lock", _encoded(where), rows[0], rows[1], int(not shared), _nanoseconds(timeout))
    try:
        yield False
    finally:
        _library().shm_rows_unlock(handle)


def lock(where, shared=False, rows=None, timeout=None):
    """Holds the array's reader-writer lock, or that of rows (begin, end), in a `with` block.

    The block's value is true when the last owner died inside, or left with an exception: what it
    changed may be half done. TimeoutError after `timeout` seconds; 0 only tries. The owner is the
    process.
    """
    if rows is not None:
        return _held_rows(where, rows, shared, timeout)
    return _held(where, _SHARED if shared else _EXCLUSIVE, timeout)


def permit(where, permits=None, timeout=None):
    """Holds one of the array's permits (a counting semaphore); `permits` sets how many there are."""
    return _held(where, _PERMIT, timeout, permits)


def generation(where):
    """How often notify() was called for the array."""
    sync = _Sync(_encoded(where))
    return _library().shm_sync_generation(sync.handle)


def notify(where):
    """Begins the array's next generation, wakes who waits for it, and returns it."""
    sync = _Sync(_encoded(where))
    return _library().shm_sync_notify(sync.handle)


def wait(where, seen=None, timeout=None):
    """Waits until the generation is beyond `seen` (the present one) and returns it; TimeoutError."""
    sync = _Sync(_encoded(where))
    if seen is None:
        seen = _library().shm_sync_generation(sync.handle)
    now = _u64()
    _call("shm_sync_wait", sync.handle, seen, _nanoseconds(timeout), ctypes.byref(now))
    return now.value


def append(where, rows):
    """Adds rows along the first axis of the array in the file and returns all of it, mapped anew."""
    path = _encoded(where)
    present = open(os.fsdecode(path))
    values = np.ascontiguousarray(rows, present.dtype)
    if values.ndim == present.ndim - 1:
        values = values[np.newaxis]
    if values.shape[1:] != present.shape[1:]:
        raise ValueError(f"rows of shape {values.shape[1:]} do not fit {present.shape}")
    handle = _new("shm_array_open", path, 1)
    try:
        _call("shm_array_append", handle, values.ctypes.data, values.nbytes)
    finally:
        _library().shm_array_close(handle)
    return open(os.fsdecode(path), "r+")


def seal(where):
    """Makes the array immutable; only on an arrayfs mount."""
    _call("shm_seal", _encoded(where))


def unseal(where):
    """Lets a sealed array be written again."""
    _call("shm_unseal", _encoded(where))


class Ring:
    """A bounded queue of items in one array; axis 0 is the slot.

    reserve() and acquire() give the slot itself, as an array, to be filled or read in place in a
    `with` block; an exception there gives it up: what was reserved is skipped, what was acquired
    comes again.
    """

    def __init__(self, handle, path):
        self._handle = handle
        weakref.finalize(self, _library().shm_ring_close, handle)
        self.array = open(path, "r+")
        self.redelivered = False

    def __len__(self):
        """The number of slots."""
        return len(self.array)

    def reserve(self, timeout=None):
        """The next slot to fill; TimeoutError while the ring is full."""
        return self._slot("shm_ring_reserve", timeout)

    def acquire(self, timeout=None):
        """The next item; TimeoutError while the ring is empty. `redelivered` tells of this item."""
        return self._slot("shm_ring_acquire", timeout)

    def put(self, item, timeout=None):
        """Copies one item into the ring."""
        with self.reserve(timeout) as slot:
            slot[...] = item

    def get(self, timeout=None):
        """A copy of the next item."""
        with self.acquire(timeout) as slot:
            return np.array(slot)

    @contextlib.contextmanager
    def _slot(self, name, timeout):
        slot = _new(name, self._handle, _nanoseconds(timeout))
        self.redelivered = bool(_library().shm_slot_redelivered(slot))
        index = _library().shm_slot_position(slot) % len(self.array)
        # An array even where the item is one element.
        item = self.array[index : index + 1].reshape(self.array.shape[1:])
        try:
            yield item
        except BaseException:
            _library().shm_slot_give_up(slot)
            raise
        _call("shm_slot_finish", slot)


def ring(path, dtype=None, item=None, slots=None):
    """Opens the ring at `path`, or makes one: ring(path, "uint8", (224, 224, 3), slots=16)."""
    encoded = os.fsencode(path)
    if dtype is None:
        return Ring(_new("shm_ring_open", encoded), path)
    extents = (_u64 * len(item))(*item)
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    return Ring(_new("shm_ring_create", encoded, str(descr).encode(), extents, len(item), slots), path)
