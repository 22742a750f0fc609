"""One client of the mount, a process of its own: does the calls of model.py, and holds what they open.

    python3 -m model.client SOCKET UID

Everything that comes by the socket is a call; the answer is its value or the name of an errno. It ends with the socket.
"""

import ctypes
import errno
import json
import mmap
import os
import stat
import struct
import sys
from multiprocessing.connection import Connection

import numpy as np

from model.model import NO_ARRAY, load_npy, typestr

AT_FDCWD = -100
RENAME_FLAGS = {"": 0, "NOREPLACE": 1, "EXCHANGE": 2}
XATTR_FLAGS = {"": 0, "CREATE": os.XATTR_CREATE, "REPLACE": os.XATTR_REPLACE}
OPEN_FLAGS = {
    "r": os.O_RDONLY,
    "r+": os.O_RDWR,
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "w+": os.O_RDWR | os.O_CREAT | os.O_TRUNC,
    "x": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
}
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
MS_SYNC = 4
MAP_FAILED = ctypes.c_void_p(-1).value

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
libc.msync.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
libc.getdents64.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)


def check(result: int) -> int:
    """The result of a function of the C library, which is -1 when it failed."""
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def refuse_if(condition: object, number: int) -> None:
    if condition:
        raise OSError(number, "refused")


def seen(st: os.stat_result) -> dict[str, object]:
    kind = KINDS[stat.S_IFMT(st.st_mode)]
    return {"kind": kind, "mode": stat.S_IMODE(st.st_mode), "uid": st.st_uid, "links": st.st_nlink,
            "size": None if kind == "directory" else st.st_size}


class Client:
    """The methods are those of the model."""

    def __init__(self):
        self.handles: dict[int, tuple[int, str]] = {}  # descriptor, mode
        self.mappings: dict[int, tuple[int, int, bool]] = {}  # address, bytes, writable
        self.streams: dict[int, int] = {}

    def enter(self, mount: str, directory: str) -> None:
        """From here on paths are below the directory of the mount."""
        self.mount, self.directory = mount, directory

    def leave(self) -> None:
        """Lets everything go."""
        for mapping in list(self.mappings):
            self.unmap(mapping)
        for fd in (*(fd for fd, _ in self.handles.values()), *self.streams.values()):
            os.close(fd)
        self.handles.clear()
        self.streams.clear()

    def at(self, path: str) -> str:
        return f"{self.mount}/{self.directory}/{path}"

    def control(self, view: str, path: str) -> bytes:
        with open(f"{self.mount}/.arrayfs/{view}/{self.directory}/{path}", "rb") as file:
            return file.read()

    # ---- names

    def mkdir(self, path):
        os.mkdir(self.at(path), 0o755)

    def symlink(self, target, path):
        os.symlink(target, self.at(path))

    def link(self, path, new_path):
        os.link(self.at(path), self.at(new_path), follow_symlinks=False)

    def unlink(self, path):
        os.unlink(self.at(path))

    def rmdir(self, path):
        os.rmdir(self.at(path))

    def rename(self, path, new_path, flag=""):
        paths = (os.fsencode(self.at(path)), os.fsencode(self.at(new_path)))
        check(libc.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_FLAGS[flag]))

    def readlink(self, path):
        return os.readlink(self.at(path))

    def lstat(self, path):
        return seen(os.lstat(self.at(path)))

    # ---- open files

    def open(self, slot, path, mode):
        refuse_if(slot in self.handles, errno.EMFILE)
        fd = os.open(self.at(path), OPEN_FLAGS[mode], 0o644)
        if stat.S_ISDIR(os.fstat(fd).st_mode):  # directories are opened as streams
            os.close(fd)
            refuse_if(True, errno.EISDIR)
        self.handles[slot] = (fd, mode)

    def reopen(self, slot, path, mode):
        if slot in self.handles:
            self.close(slot)
        self.open(slot, path, mode)

    def reopen_emptied(self, slot):
        os.close(os.open(f"/proc/self/fd/{self.fd(slot)}", os.O_WRONLY | os.O_TRUNC))

    def fd(self, slot):
        refuse_if(slot not in self.handles, errno.EBADF)
        return self.handles[slot][0]

    def close(self, slot):
        fd = self.fd(slot)
        del self.handles[slot]
        os.close(fd)

    def read(self, slot, offset, size):
        return os.pread(self.fd(slot), size, offset)

    def write(self, slot, offset, word, times):
        return os.pwrite(self.fd(slot), word * times, offset)

    def fstat(self, slot):
        return seen(os.fstat(self.fd(slot)))

    def ftruncate(self, slot, size):
        os.ftruncate(self.fd(slot), size)

    def truncate(self, path, size):
        os.truncate(self.at(path), size)

    # ---- mappings, which unlike Python's hold no descriptor

    def map(self, slot, mapping):
        if mapping in self.mappings:
            self.unmap(mapping)
        fd = self.fd(slot)
        size = os.fstat(fd).st_size
        writable = self.handles[slot][1] != "r"
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        address = libc.mmap(None, size, protection, mmap.MAP_SHARED, fd, 0)
        if address == MAP_FAILED:
            raise OSError(ctypes.get_errno(), "mmap")
        self.mappings[mapping] = (address, size, writable)
        return size

    def mapped(self, mapping):
        refuse_if(mapping not in self.mappings, errno.EBADF)
        return self.mappings[mapping]

    def unmap(self, mapping):
        address, size, _ = self.mapped(mapping)
        del self.mappings[mapping]
        check(libc.munmap(address, size))

    def load(self, mapping, reach):
        return ctypes.string_at(self.mapped(mapping)[0], reach)

    def store(self, mapping, reach, offset, byte):
        address, size, writable = self.mapped(mapping)
        refuse_if(not writable, errno.EACCES)
        refuse_if(reach == 0, errno.EFAULT)
        ctypes.memset(address + offset % reach, byte, 1)
        check(libc.msync(address, size, MS_SYNC))

    # ---- whole arrays

    def np_save(self, path, dtype, shape, value):
        with open(self.at(path), "wb") as file:  # to a name without a suffix
            np.save(file, np.full(shape, value, dtype))

    def np_load(self, path):
        try:
            array = np.load(self.at(path))
        except NO_ARRAY:
            return "no array"
        return typestr(array), array.shape, array.tolist()

    def np_store(self, path, value):
        with open(self.at(path), "rb+") as file:
            array = load_npy(file.read())
        if array is None or array.size == 0:
            return "nothing to store to"
        mapped = np.load(self.at(path), mmap_mode="r+")
        mapped[...] = value
        mapped.flush()

    # ---- directory streams

    def opendir(self, slot, path):
        if slot in self.streams:
            os.close(self.streams.pop(slot))
        self.streams[slot] = os.open(self.at(path), os.O_RDONLY | os.O_DIRECTORY)

    def readdir(self, slot, size):
        """The names in one answer of getdents64(): u64 inode, i64 offset, u16 length, u8 type, name."""
        buffer = ctypes.create_string_buffer(size)
        names, at = [], 0
        refuse_if(slot not in self.streams, errno.EBADF)
        end = check(libc.getdents64(self.streams[slot], buffer, size))
        while at < end:
            _, _, length, _ = struct.unpack_from("=QqHB", buffer, at)
            names.append(os.fsdecode(buffer.raw[at + 19:at + length].split(b"\0", 1)[0]))
            at += length
        return names

    # ---- attributes

    def chmod(self, path, mode):
        path = self.at(path)
        os.chmod(path, 0o755 if os.path.isdir(path) else mode)

    def setxattr(self, path, name, value, flag=""):
        os.setxattr(self.at(path), name, value, XATTR_FLAGS[flag])

    def getxattr(self, path, name):
        return os.getxattr(self.at(path), name)

    def removexattr(self, path, name):
        os.removexattr(self.at(path), name)

    def listxattr(self, path):
        return sorted(name for name in os.listxattr(self.at(path)) if name.startswith("user."))

    def version(self, path):
        return int(os.getxattr(self.at(path), "user.array.version"))

    def seal(self, path):
        os.setxattr(self.at(path), "user.array.sealed", b"1")

    def unseal(self, path):
        os.setxattr(self.at(path), "user.array.sealed", b"0")

    # ---- the control tree

    def info(self, path):
        head, _, preview = self.control("info", path).decode().partition("\n\n")
        lines = dict(line.split(": ", 1) for line in head.splitlines())
        wanted = ("kind", "file_size", "mode", "version", "sealed", "open", "dtype", "shape")
        return {key: lines[key] for key in wanted if key in lines} | ({"preview": preview} if preview else {})

    def json(self, path):
        shown = json.loads(self.control("json", f"{path}.json"))
        wanted = ("kind", "file_size", "mode", "uid", "version", "sealed", "open", "writers", "typestr", "shape",
                  "nbytes", "order")
        return {key: shown[key] for key in wanted if key in shown}

    def raw(self, path):
        return self.control("raw", f"{path}.bin")

    # ---- everything

    def tree(self):
        top = self.at("..")
        paths = [os.path.join(above, name)
                 for above, directories, files in os.walk(top) for name in (*directories, *files)]
        return {os.path.relpath(path, top): self.everything(path) for path in paths}

    @staticmethod
    def everything(path):
        shown = seen(os.lstat(path))
        if shown["kind"] == "file":
            with open(path, "rb") as file:
                shown["content"] = file.read()
        if shown["kind"] == "link":
            return shown | {"target": os.readlink(path)}
        names = sorted(name for name in os.listxattr(path) if name.startswith("user."))
        attributes = {name: os.getxattr(path, name) for name in names if not name.startswith("user.array.")}
        return shown | {"attributes": attributes, "names": names}

    def outcome(self, call):
        name, *arguments = call
        try:
            return getattr(self, name)(*arguments)
        except OSError as error:
            return errno.errorcode[error.errno]


def main() -> None:
    connection, uid = Connection(int(sys.argv[1])), int(sys.argv[2])
    os.umask(0o022)
    if uid != os.getuid():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    client = Client()
    try:
        while True:
            connection.send(client.outcome(connection.recv()))
    except EOFError:
        client.leave()


if __name__ == "__main__":
    main()
