"""A model of a disk: what the system calls of a run left in memory, and what a power cut leaves.

Content is durable when its file was synced, a name when its folder was. What was not synced may be
there all the same or not, in each folder for itself, and a file whose content was not synced may
be empty or zeros under its name (ext4 writes names before content: "delayed allocation"). One
operation on one name happens or does not; that is what every journalling file system promises.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from pathlib import Path, PurePosixPath

from tests.crash.trace import Call


class Unsynced(StrEnum):
    """What becomes of content that was not synced."""

    LOST = "lost"
    ZEROS = "zeros"
    KEPT = "kept"


@dataclass(eq=False)
class File:
    """A plain file."""

    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""

    def after_cut(self, unsynced: Unsynced) -> bytes:
        """Its content then."""
        match unsynced:
            case Unsynced.KEPT:
                return bytes(self.content)
            case Unsynced.LOST:
                return self.synced
            case Unsynced.ZEROS:
                same = bytes(self.content) == self.synced
                return self.synced if same else bytes(len(self.content))


@dataclass(eq=False)
class Link:
    """A symbolic link; its text is part of its name's write."""

    target: str


@dataclass(eq=False)
class Folder:
    """A folder; of its names the last ones may not be on the disk yet."""

    names: dict[str, Node] = field(default_factory=dict)
    synced: dict[str, Node] = field(default_factory=dict)

    @property
    def is_pending(self) -> bool:
        """Whether a power cut could change its names."""
        return self.names != self.synced


Node = File | Link | Folder
Image = dict[str, bytes | str | None]
"""What is on the disk by path: a file's content, a link's text, None for a folder."""


class Disk:
    """The model.

    Args:
        before: folder, as it was before the run; everything in it is on the disk.
        path: of that folder in the run's calls.
    """

    def __init__(self, before: Path, path: str) -> None:
        self._root_path = path
        self._root = _load(before)
        self._open: dict[int, tuple[Node, list[int]]] = {}

    def apply(self, call: Call) -> None:
        """Does what a call did.

        Raises:
            ValueError: the model does not know how.
        """
        if call.result is None or call.result < 0:
            return
        number = _descriptor(call.arguments[0])
        match call.name:
            case "openat":
                self._do_open(call, call.result)
            case "close":
                self._open.pop(number, None)
            case "write" | "pwrite64" | "ftruncate" | "fsync" | "fdatasync" if number in self._open:
                self._on_descriptor(call, *self._open[number])
            case "mkdir" | "mkdirat":
                self._put(call.paths[0], Folder())
            case "symlink" | "symlinkat":
                self._put(call.paths[0], Link(call.target))
            case "rename" | "renameat" | "renameat2" | "link" | "linkat":
                self._do_rename(call)
            case "unlink" | "unlinkat" | "rmdir":
                self._take(call.paths[0])

    def images(self) -> Iterator[Image]:
        """What a power cut at this moment may leave, each once.

        All names that were not synced are lost, or all are there, or those of one folder alone are
        lost or there; with each fate of unsynced content.
        """
        pending = [folder for folder in _folders(self._root) if folder.is_pending]
        fates = chain(
            ([], pending),
            ([one] for one in pending),
            ([each for each in pending if each is not one] for one in pending),
        )
        seen: set[bytes] = set()
        for kept in fates:
            for unsynced in Unsynced:
                image: Image = {}
                _draw(self._root, "", {id(folder) for folder in kept}, unsynced, image)
                if (name := digest(image)) not in seen:
                    seen.add(name)
                    yield image

    def _do_open(self, call: Call, number: int) -> None:
        found = self._find(call.paths[0])
        if found is None and "O_CREAT" in call.arguments[2]:
            found = File()
            self._put(call.paths[0], found)
        if found is None:
            self._open.pop(number, None)
            return
        if isinstance(found, File) and "O_TRUNC" in call.arguments[2]:
            found.content.clear()
        self._open[number] = found, [0]

    @staticmethod
    def _on_descriptor(call: Call, node: Node, position: list[int]) -> None:
        if call.name in ("fsync", "fdatasync"):
            if isinstance(node, Folder):
                node.synced = dict(node.names)
            elif isinstance(node, File):
                node.synced = bytes(node.content)
            return
        if not isinstance(node, File):
            raise ValueError(f"{call.name} on what is no file: {call.paths}")
        if call.name == "ftruncate":
            del node.content[int(call.arguments[1]) :]
            return
        data = call.data[: call.result]
        if len(data) != call.result:
            raise ValueError(f"not all that was written is known: {call.paths}")
        at = int(call.arguments[3]) if call.name == "pwrite64" else position[0]
        node.content.extend(bytes(max(0, at - len(node.content))))
        node.content[at : at + len(data)] = data
        if call.name == "write":
            position[0] = at + len(data)

    def _do_rename(self, call: Call) -> None:
        source, target = call.paths
        node = self._find(source)
        if node is not None:
            if not call.name.startswith("link"):
                self._take(source)
            self._put(target, node)

    def _inside(self, path: str) -> tuple[str, ...] | None:
        """The parts of a path below the root; None for one elsewhere."""
        found = PurePosixPath(path)
        if not found.is_relative_to(self._root_path):
            return None
        return found.relative_to(self._root_path).parts

    def _find(self, path: str) -> Node | None:
        parts = self._inside(path)
        if parts is None:
            return None
        node: Node | None = self._root
        for part in parts:
            node = node.names.get(part) if isinstance(node, Folder) else None
        return node

    def _parent(self, path: str) -> Folder | None:
        found = self._find(str(PurePosixPath(path).parent)) if self._inside(path) else None
        return found if isinstance(found, Folder) else None

    def _put(self, path: str, node: Node) -> None:
        if (parent := self._parent(path)) is not None:
            parent.names[PurePosixPath(path).name] = node

    def _take(self, path: str) -> None:
        if (parent := self._parent(path)) is not None:
            del parent.names[PurePosixPath(path).name]


def digest(image: Image) -> bytes:
    """The same for the same images."""
    found = hashlib.sha256()
    for path in sorted(image):
        found.update(repr((path, image[path])).encode())
    return found.digest()


def write(image: Image, folder: Path) -> None:
    """Makes an image real, in a folder that is not there yet."""
    folder.mkdir()
    for path in sorted(image):
        content, place = image[path], folder / path
        if content is None:
            place.mkdir()
        elif isinstance(content, str):
            place.symlink_to(content)
        else:
            place.write_bytes(content)


def _load(path: Path) -> Folder:
    folder = Folder()
    for entry in os.scandir(path):
        if entry.is_symlink():
            folder.names[entry.name] = Link(str(Path(entry).readlink()))
        elif entry.is_dir():
            folder.names[entry.name] = _load(Path(entry))
        else:
            content = Path(entry).read_bytes()
            folder.names[entry.name] = File(bytearray(content), content)
    folder.synced = dict(folder.names)
    return folder


def _folders(folder: Folder) -> Iterator[Folder]:
    """Every folder that there is, or that a power cut might bring back."""
    found = {id(folder): folder}
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        for node in (*here.names.values(), *here.synced.values()):
            if isinstance(node, Folder) and id(node) not in found:
                found[id(node)] = node
                waiting.append(node)
    yield from found.values()


def _draw(folder: Folder, path: str, kept: set[int], unsynced: Unsynced, image: Image) -> None:
    for name, node in (folder.names if id(folder) in kept else folder.synced).items():
        place = f"{path}{name}"
        match node:
            case Folder():
                image[place] = None
                _draw(node, f"{place}/", kept, unsynced, image)
            case Link():
                image[place] = node.target
            case File():
                image[place] = node.after_cut(unsynced)


def _descriptor(argument: str) -> int:
    number = argument.partition("<")[0]
    return int(number) if number.isdecimal() else -1
