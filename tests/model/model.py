"""The contract of a mount, in memory: what fs/SEMANTICS.md promises of names, files, handles, mappings and attributes.

A call is a tuple, `("rename", "a", "d/b", "NOREPLACE")`, made by one of several clients. `Model.outcome()` carries it
out here and tells what it must give: a value, or the name of an errno. `client.py` has a method of the same name for
each, which does it for real. Paths are relative to one directory, in which `u` belongs to the ordinary user; links may
lead one above.

With `promises=False` this is a model of native tmpfs, without the views and `user.array.*`: so the model itself is put
to the test.
"""

import io
import tokenize
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

ROOT, USER = 0, 65534
READ, WRITE = 4, 2
MAX_LINKS = 40
NO_ARRAY = (ValueError, EOFError, tokenize.TokenError)  # what np.load raises
UNSAID = "the contract does not say"
OF_ARRAYS = ["dtype", "dtype_name", "nbytes", "offset", "order", "shape", "version"]  # in user.array.*

# What open() may be asked for: readable, writable, and whether it creates, insists on creating, empties, appends.
MODES = {"r": "r", "r+": "rw", "w": "wct", "w+": "rwct", "x": "wcx", "a": "wca"}


class Refused(Exception):
    """What a call is refused with: the name of an errno."""


def refuse_if(condition: object, errno_name: str) -> None:
    if condition:
        raise Refused(errno_name)


def npy_bytes(dtype: str, shape: tuple[int, ...], value: int) -> bytes:
    """The file that np.save makes."""
    file = io.BytesIO()
    np.save(file, np.full(shape, value, dtype))
    return file.getvalue()


def load_npy(content: bytes) -> np.ndarray | None:
    """The array that a file is, or nothing."""
    try:
        return np.load(io.BytesIO(content))
    except NO_ARRAY:
        return None


def header_bytes(content: bytes) -> int:
    """Where the values of an array begin."""
    file = io.BytesIO(content)
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    return file.tell()


def typestr(array: np.ndarray) -> str:
    return array.dtype.str


@dataclass(eq=False)
class Inode:
    kind: str  # file, directory, link
    uid: int
    mode: int = 0o755
    names: int = 1
    attributes: dict[str, bytes] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)  # of a file
    entries: dict[str, "Inode"] = field(default_factory=dict)  # of a directory
    target: str = ""  # of a link
    version: int = 1
    sealed: bool = False

    def may(self, uid: int, access: int) -> bool:
        return uid == ROOT or (self.mode >> (6 if uid == self.uid else 0)) & access == access

    def array(self) -> np.ndarray | None:
        return load_npy(bytes(self.content)) if self.kind == "file" else None


@dataclass(eq=False)
class Handle:
    """What open() gives; a mapping keeps it after its descriptor was closed."""

    inode: Inode
    readable: bool
    writable: bool
    append: bool
    descriptor: bool = True
    mappings: int = 0


@dataclass(eq=False)
class Mapping:
    handle: Handle
    size: int


@dataclass(eq=False)
class Stream:
    """An open directory, and what a listing owes: names that stayed all the time are listed once."""

    inode: Inode
    stayed: set[str]
    possible: set[str]
    listed: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Client:
    """Its descriptors, mappings and directory streams, by slot."""

    uid: int
    handles: dict[int, Handle] = field(default_factory=dict)
    mappings: dict[int, Mapping] = field(default_factory=dict)
    streams: dict[int, Stream] = field(default_factory=dict)


@dataclass
class Place:
    """Where a path leads: a name in a directory, and what has it."""

    parent: Inode
    name: str
    inode: Inode | None


class Model:
    def __init__(self, uids: tuple[int, ...], plane: str, promises: bool = True):
        self.plane, self.promises = plane, promises
        self.clients = [Client(uid) for uid in uids]
        self.top = Inode("directory", ROOT)
        self.top.entries["u"] = Inode("directory", USER)
        self.outer = Inode("directory", ROOT, entries={"top": self.top})

    def outcome(self, client: int, call: tuple) -> object:
        """Carries the call out. Its value, or the errno that refuses it; nothing has changed then."""
        name, *arguments = call
        try:
            return getattr(self, name)(self.clients[client], *arguments)
        except Refused as refused:
            return str(refused)

    # ---- paths

    def walk(self, path: str, follow: bool, links: int = 0) -> Place:
        """The place of a path; every directory here can be searched by everybody."""
        return self._walk(self.top, [self.outer], path, follow, links)

    def _walk(self, directory: Inode, above: list[Inode], path: str, follow: bool, links: int) -> Place:
        first, *rest = path.split("/", 1)
        refuse_if(directory.kind != "directory", "ENOTDIR")
        if first == "..":
            return self._walk(above[-1], above[:-1], rest[0], follow, links)
        found = directory.entries.get(first)
        if found and found.kind == "link" and (rest or follow):
            refuse_if(links == MAX_LINKS, "ELOOP")
            return self._walk(directory, above, "/".join([found.target, *rest]), follow, links + 1)
        if not rest:
            return Place(directory, first, found)
        refuse_if(found is None, "ENOENT")
        return self._walk(found, [*above, directory], rest[0], follow, links)

    def find(self, path: str, follow: bool = True) -> Inode:
        inode = self.walk(path, follow).inode
        refuse_if(inode is None, "ENOENT")
        return inode

    def is_link(self, path: str) -> bool:
        inode = self.walk(path, False).inode
        return inode is not None and inode.kind == "link"

    def _add(self, place: Place, inode: Inode | None) -> None:
        """Gives a name to the inode, or takes it away; a listing may miss it or see it."""
        if inode is None:
            del place.parent.entries[place.name]
        else:
            place.parent.entries[place.name] = inode
        for stream in (stream for client in self.clients for stream in client.streams.values()):
            if stream.inode is place.parent:
                stream.stayed.discard(place.name)
                stream.possible.add(place.name)

    def _new_name(self, who: Client, path: str) -> Place:
        place = self.walk(path, False)
        refuse_if(place.inode, "EEXIST")
        refuse_if(not place.parent.may(who.uid, WRITE), "EACCES")
        return place

    # ---- names

    def mkdir(self, who: Client, path: str) -> None:
        self._add(self._new_name(who, path), Inode("directory", who.uid))

    def symlink(self, who: Client, target: str, path: str) -> None:
        self._add(self._new_name(who, path), Inode("link", who.uid, 0o777, target=target))

    def link(self, who: Client, path: str, new_path: str) -> None:
        inode = self.find(path, follow=False)
        place = self.walk(new_path, False)
        refuse_if(place.inode, "EEXIST")
        mine = who.uid in (ROOT, inode.uid)
        # fs.protected_hardlinks
        refuse_if(not mine and not (inode.kind == "file" and inode.may(who.uid, READ | WRITE)), "EPERM")
        refuse_if(not place.parent.may(who.uid, WRITE), "EACCES")
        refuse_if(inode.kind == "directory", "EPERM")
        self._add(place, inode)
        inode.names += 1

    def unlink(self, who: Client, path: str) -> None:
        place = self.walk(path, False)
        refuse_if(place.inode is None, "ENOENT")
        refuse_if(not place.parent.may(who.uid, WRITE), "EACCES")
        refuse_if(place.inode.kind == "directory", "EISDIR")
        self._add(place, None)
        place.inode.names -= 1

    def rmdir(self, who: Client, path: str) -> None:
        place = self.walk(path, False)
        refuse_if(place.inode is None, "ENOENT")
        refuse_if(not place.parent.may(who.uid, WRITE), "EACCES")
        refuse_if(place.inode.kind != "directory", "ENOTDIR")
        refuse_if(place.inode.entries, "ENOTEMPTY")
        self._add(place, None)
        place.inode.names = 0

    def rename(self, who: Client, path: str, new_path: str, flag: str = "") -> None:
        here, there = self.walk(path, False), self.walk(new_path, False)
        exchange = flag == "EXCHANGE"
        refuse_if(here.inode is None, "ENOENT")
        refuse_if(flag == "NOREPLACE" and there.inode, "EEXIST")
        refuse_if(exchange and there.inode is None, "ENOENT")
        refuse_if(self._is_above(here.inode, there.parent), "EINVAL")
        refuse_if(there.inode and self._is_above(there.inode, here.parent), "EINVAL" if exchange else "ENOTEMPTY")
        if here.inode is there.inode:
            return
        self._check_rename(who, here, there, exchange)
        self._add(here, there.inode if exchange else None)
        self._add(there, here.inode)
        if there.inode and not exchange:
            there.inode.names = 0 if there.inode.kind == "directory" else there.inode.names - 1

    def _check_rename(self, who: Client, here: Place, there: Place, exchange: bool) -> None:
        moved, replaced = here.inode, there.inode
        for parent in (here.parent, there.parent):
            refuse_if(not parent.may(who.uid, WRITE), "EACCES")
        if replaced and not exchange:
            refuse_if(moved.kind == "directory" and replaced.kind != "directory", "ENOTDIR")
            refuse_if(moved.kind != "directory" and replaced.kind == "directory", "EISDIR")
        if here.parent is not there.parent:  # `..` of a directory that moves is written to
            for inode in (moved, replaced if exchange else None):
                refuse_if(inode and inode.kind == "directory" and not inode.may(who.uid, WRITE), "EACCES")
        refuse_if(replaced and not exchange and replaced.entries, "ENOTEMPTY")

    @staticmethod
    def _is_above(inode: Inode, below: Inode) -> bool:
        return inode is below or any(Model._is_above(child, below) for child in inode.entries.values())

    def readlink(self, _who: Client, path: str) -> str:
        inode = self.find(path, follow=False)
        refuse_if(inode.kind != "link", "EINVAL")
        return inode.target

    def lstat(self, _who: Client, path: str) -> dict[str, object]:
        return self.seen(self.find(path, follow=False))

    @staticmethod
    def seen(inode: Inode) -> dict[str, object]:
        """What lstat() shows."""
        size = {"file": len(inode.content), "link": len(inode.target), "directory": None}[inode.kind]
        links = inode.names
        if inode.kind == "directory":
            links = 2 + sum(child.kind == "directory" for child in inode.entries.values())
        return {"kind": inode.kind, "mode": inode.mode, "uid": inode.uid, "links": links, "size": size}

    # ---- open files

    def open(self, who: Client, slot: int, path: str, mode: str) -> None:
        refuse_if(slot in who.handles, "EMFILE")
        who.handles[slot] = self._open(who, path, MODES[mode])

    def _open(self, who: Client, path: str, wants: str) -> Handle:
        place = self.walk(path, follow="x" not in wants)
        refuse_if(place.inode and "x" in wants, "EEXIST")
        if place.inode is None:
            refuse_if("c" not in wants, "ENOENT")
            refuse_if(not place.parent.may(who.uid, WRITE), "EACCES")
            inode = Inode("file", who.uid, 0o644)
            self._add(place, inode)
        else:
            inode = self._open_found(who, place, wants)
        return Handle(inode, "r" in wants, "w" in wants, "a" in wants)

    def _open_found(self, who: Client, place: Place, wants: str) -> Inode:
        inode = place.inode
        refuse_if(inode.kind == "directory", "EISDIR")
        access = (READ if "r" in wants else 0) | (WRITE if "w" in wants else 0)
        refuse_if(not inode.may(who.uid, access), "EACCES")
        refuse_if(inode.sealed and "w" in wants, "EPERM")
        if "t" not in wants:
            return inode
        if not self.promises or inode.array() is None:
            inode.content.clear()
            return inode
        fresh = Inode("file", inode.uid, inode.mode, 1, dict(inode.attributes), version=inode.version + 1)
        inode.names -= 1
        self._add(place, fresh)
        return fresh

    def reopen(self, who: Client, slot: int, path: str, mode: str) -> None:
        """Closes what the slot holds, and opens."""
        if slot in who.handles:
            self.close(who, slot)
        self.open(who, slot, path, mode)

    def reopen_emptied(self, who: Client, slot: int) -> None:
        """open(/proc/self/fd/N, O_WRONLY | O_TRUNC), and close: by no name."""
        inode = self._handle(who, slot).inode
        refuse_if(not inode.may(who.uid, WRITE), "EACCES")
        refuse_if(inode.sealed, "EPERM")
        refuse_if(self.promises and inode.array() is not None, "ETXTBSY")
        inode.content.clear()

    @staticmethod
    def _handle(who: Client, slot: int) -> Handle:
        refuse_if(slot not in who.handles, "EBADF")
        return who.handles[slot]

    def close(self, who: Client, slot: int) -> None:
        self._handle(who, slot).descriptor = False
        del who.handles[slot]

    def read(self, who: Client, slot: int, offset: int, size: int) -> bytes:
        handle = self._handle(who, slot)
        refuse_if(not handle.readable, "EBADF")
        return bytes(handle.inode.content[offset:offset + size])

    def write(self, who: Client, slot: int, offset: int, word: bytes, times: int) -> int:
        data = word * times
        handle = self._handle(who, slot)
        refuse_if(not handle.writable, "EBADF")
        content = handle.inode.content
        at = len(content) if handle.append else offset
        self._resize(handle.inode, max(len(content), at + len(data)))
        content[at:at + len(data)] = data
        return len(data)

    @staticmethod
    def _resize(inode: Inode, size: int) -> None:
        del inode.content[size:]
        inode.content.extend(bytes(size - len(inode.content)))

    def fstat(self, who: Client, slot: int) -> dict[str, object]:
        return self.seen(self._handle(who, slot).inode)

    def ftruncate(self, who: Client, slot: int, size: int) -> None:
        handle = self._handle(who, slot)
        refuse_if(not handle.writable, "EINVAL")
        self._check_size(handle.inode, size, handle)
        self._resize(handle.inode, size)

    def truncate(self, who: Client, path: str, size: int) -> None:
        inode = self.find(path)
        refuse_if(inode.kind == "directory", "EISDIR")
        refuse_if(not inode.may(who.uid, WRITE), "EACCES")
        self._check_size(inode, size, None)
        self._resize(inode, size)

    def _check_size(self, inode: Inode, size: int, own: Handle | None) -> None:
        refuse_if(inode.sealed and size != len(inode.content), "EPERM")
        if self.promises and size < len(inode.content) and inode.array() is not None:
            held = [handle for handle in self._handles(inode) if handle is not own or handle.mappings]
            refuse_if(held, "ETXTBSY")

    def _handles(self, inode: Inode) -> list[Handle]:
        """Everything by which the inode is open or mapped."""
        found = {}
        for client in self.clients:
            mapped = [mapping.handle for mapping in client.mappings.values()]
            found.update((id(handle), handle) for handle in [*client.handles.values(), *mapped])
        return [handle for handle in found.values() if handle.inode is inode]

    # ---- mappings

    def map(self, who: Client, slot: int, mapping: int) -> int:
        """Unmaps what the mapping's slot holds, and maps a whole file, shared; the number of bytes."""
        if mapping in who.mappings:
            self.unmap(who, mapping)
        handle = self._handle(who, slot)
        refuse_if(not handle.inode.content, "EINVAL")
        refuse_if(not handle.readable, "EACCES")
        who.mappings[mapping] = Mapping(handle, len(handle.inode.content))
        handle.mappings += 1
        return len(handle.inode.content)

    def unmap(self, who: Client, mapping: int) -> None:
        self._mapping(who, mapping).handle.mappings -= 1
        del who.mappings[mapping]

    @staticmethod
    def _mapping(who: Client, mapping: int) -> Mapping:
        refuse_if(mapping not in who.mappings, "EBADF")
        return who.mappings[mapping]

    def reach(self, client: int, mapping: int) -> int:
        """How many bytes of a mapping can be touched, if there is one."""
        mapped = self.clients[client].mappings.get(mapping)
        return min(mapped.size, len(mapped.handle.inode.content)) if mapped else 0

    def load(self, who: Client, mapping: int, reach: int) -> bytes:
        """The bytes of a mapping, as far as they can be touched."""
        return bytes(self._mapping(who, mapping).handle.inode.content[:reach])

    def store(self, who: Client, mapping: int, reach: int, offset: int, byte: int) -> None:
        """One byte through a mapping, the offset taken modulo what can be touched, and msync()."""
        mapped = self._mapping(who, mapping)
        refuse_if(not mapped.handle.writable, "EACCES")
        refuse_if(reach == 0, "EFAULT")
        mapped.handle.inode.content[offset % reach] = byte

    # ---- whole arrays

    def np_save(self, who: Client, path: str, dtype: str, shape: tuple[int, ...], value: int) -> None:
        self._open(who, path, MODES["w"]).inode.content[:] = npy_bytes(dtype, shape, value)

    def np_load(self, who: Client, path: str) -> object:
        array = self._open(who, path, MODES["r"]).inode.array()
        return "no array" if array is None else (typestr(array), array.shape, array.tolist())

    def np_store(self, who: Client, path: str, value: int) -> object:
        """np.load(path, mmap_mode="r+")[...] = value"""
        inode = self._open(who, path, MODES["r+"]).inode
        array = inode.array()
        if array is None or array.size == 0:
            return "nothing to store to"
        at = header_bytes(inode.content)
        inode.content[at:at + array.nbytes] = np.full_like(array, value).tobytes()
        return None

    # ---- directory streams

    def opendir(self, who: Client, slot: int, path: str) -> None:
        """Closes what the slot holds, and opens."""
        who.streams.pop(slot, None)
        inode = self.find(path)
        refuse_if(inode.kind != "directory", "ENOTDIR")
        names = {".", "..", *inode.entries}
        who.streams[slot] = Stream(inode, names, set(names))


    def readdir(self, who: Client, slot: int, _bytes: int) -> Callable[[object], bool]:
        """Some entries more; which, is for the file system to say, within reason."""
        refuse_if(slot not in who.streams, "EBADF")
        stream = who.streams[slot]
        refuse_if(stream.inode.names == 0, "ENOENT")

        def is_right(listed: object) -> bool:
            if not isinstance(listed, list):
                return False
            if not listed:
                return stream.stayed <= set(stream.listed)
            stream.listed += listed
            twice = [name for name in stream.stayed if stream.listed.count(name) > 1]
            return set(listed) <= stream.possible and not twice

        return is_right

    # ---- attributes

    def chmod(self, who: Client, path: str, mode: int) -> None:
        inode = self.find(path)
        refuse_if(who.uid not in (ROOT, inode.uid), "EPERM")
        if inode.kind == "file":  # directories stay as they are, so that every path can be walked
            inode.mode = mode

    def setxattr(self, who: Client, path: str, name: str, value: bytes, flag: str = "") -> None:
        inode = self._for_attributes(who, path, WRITE)
        refuse_if(flag == "CREATE" and name in inode.attributes, "EEXIST")
        refuse_if(flag == "REPLACE" and name not in inode.attributes, "ENODATA")
        inode.attributes[name] = value

    def getxattr(self, who: Client, path: str, name: str) -> bytes:
        inode = self._for_attributes(who, path, READ)
        refuse_if(name not in inode.attributes, "ENODATA")
        return inode.attributes[name]

    def removexattr(self, who: Client, path: str, name: str) -> None:
        inode = self._for_attributes(who, path, WRITE)
        refuse_if(name not in inode.attributes, "ENODATA")
        del inode.attributes[name]

    def listxattr(self, _who: Client, path: str) -> list[str]:
        return self.attribute_names(self.find(path))

    def attribute_names(self, inode: Inode) -> list[str]:
        names = list(inode.attributes)
        if self.promises and inode.kind == "file":
            told = [] if inode.array() is None else OF_ARRAYS
            names += [f"user.array.{name}" for name in [*told, *(["sealed"] if inode.sealed else [])]]
        return sorted(names)

    def _for_attributes(self, who: Client, path: str, access: int) -> Inode:
        inode = self.find(path)
        refuse_if(not inode.may(who.uid, access), "EACCES")
        return inode

    def version(self, who: Client, path: str) -> int:
        """user.array.version"""
        inode = self._for_attributes(who, path, READ)
        refuse_if(inode.array() is None, "ENODATA")
        return inode.version

    def seal(self, who: Client, path: str) -> None:
        inode = self._for_attributes(who, path, WRITE)
        refuse_if(inode.kind == "directory", "EPERM")
        refuse_if(not inode.sealed and any(handle.writable for handle in self._handles(inode)), "EBUSY")
        inode.sealed = True

    def unseal(self, who: Client, path: str) -> None:
        inode = self._for_attributes(who, path, WRITE)
        refuse_if(inode.kind == "directory", "EPERM")
        inode.sealed = False

    # ---- the control tree

    def info(self, who: Client, path: str) -> object:
        inode = self._for_view(who, path)
        if inode is None:
            return UNSAID
        array = inode.array()
        lines = {"kind": "raw file" if array is None else "array", "file_size": str(len(inode.content)),
                 "mode": f"{inode.mode:04o}", "version": str(inode.version), "sealed": "yes" if inode.sealed else "no",
                 "open": f"{self._opens(inode, False)} ({self._opens(inode, True)} for writing)"}
        if array is not None:
            lines |= {"dtype": array.dtype.name, "shape": str(array.shape), "preview": f"{array}\n"}
        return lines

    def json(self, who: Client, path: str) -> object:
        inode = self._for_view(who, path)
        if inode is None:
            return UNSAID
        array = inode.array()
        shown = {"kind": "raw" if array is None else "array", "file_size": len(inode.content), "mode": inode.mode,
                 "uid": inode.uid, "version": inode.version, "sealed": inode.sealed,
                 "open": self._opens(inode, False), "writers": self._opens(inode, True)}
        if array is not None:
            shown |= {"typestr": typestr(array), "shape": list(array.shape), "nbytes": array.nbytes, "order": "C"}
        return shown

    def raw(self, who: Client, path: str) -> object:
        inode = self._for_view(who, path)
        if inode is None:
            return UNSAID
        array = inode.array()
        refuse_if(array is None, "ENOTSUP")  # the same number as EOPNOTSUPP
        return array.tobytes()

    def _for_view(self, who: Client, path: str) -> Inode | None:
        """The file that a view is about; nothing is said of directories, and of ways through links and files."""
        try:
            inode = self.walk(path, True, links=MAX_LINKS).inode
        except Refused:
            return None
        refuse_if(inode is None, "ENOENT")
        if inode.kind != "file":
            return None
        refuse_if(not inode.may(who.uid, READ), "EACCES")
        return inode

    def _opens(self, inode: Inode, writers_only: bool) -> int:
        """What the daemon counts: descriptors, and where mappings go through it, what they keep."""
        return sum(handle.writable or not writers_only for handle in self._handles(inode)
                   if handle.descriptor or self.plane == "cached")

    # ---- everything

    def tree(self, _who: Client) -> dict[str, dict]:
        """All that can be seen, by path."""
        return dict(self._tree(self.outer, ""))

    def _tree(self, directory: Inode, above: str):
        for name, inode in sorted(directory.entries.items()):
            shown = self.seen(inode)
            if inode.kind == "file":
                shown |= {"content": bytes(inode.content)}
            if inode.kind == "link":
                shown |= {"target": inode.target}
            else:
                shown |= {"attributes": dict(sorted(inode.attributes.items())), "names": self.attribute_names(inode)}
            yield above + name, shown
            yield from self._tree(inode, f"{above}{name}/")
