"""What strace wrote: the system calls of a process, each with the files that it is about.

strace is asked to write every string in hexadecimal (``-xx``) and every descriptor with its path
(``-y``), so nothing in a line needs guessing.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DESCRIPTOR = ("write", "pwrite64", "fsync", "fdatasync", "close", "ftruncate", "fchmod", "fchown")
PATH = ("mkdir", "rmdir", "unlink", "chmod", "truncate")
PATH_AT = ("openat", "mkdirat", "unlinkat", "fchmodat")
SEND = ("sendto",)

NAMES = (
    *DESCRIPTOR, *PATH, *PATH_AT, *SEND,
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
)  # fmt: skip
"""The calls that are recorded: all that change a file system, those that open and close, and what
goes over a network. Processors that came later lack the older ones."""

CHANGE_FOLDER = ("chdir", "fchdir")

LINE = re.compile(
    r"(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>\?|-?\d+)(?:<(?P<opened>[^>]*)>)?"
    r"(?: (?P<error>E[A-Z0-9]+) \([^)]*\))?(?P<injected> \(INJECTED\))?"
)
HEX = re.compile(r"(?:\\x[0-9a-f]{2})*")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call.

    Attributes:
        name: of the call.
        number: which of the calls of this name it was, from 1: strace's ``when=``.
        arguments: as strace wrote them.
        paths: the files that it is about, absolute.
        target: what a new link says; "" for any other call.
        data: what is written; empty for any other call.
        result: what it returned; None where the process did not live to see it.
        error: name of its error, "" for none.
        injected: whether strace put the error there.
    """

    name: str
    number: int
    arguments: tuple[str, ...]
    paths: tuple[str, ...]
    target: str
    data: bytes
    result: int | None
    error: str
    injected: bool

    @property
    def is_over_network(self) -> bool:
        """Whether it sends something to another process."""
        return self.name in SEND

    def touches(self, roots: Iterable[str]) -> bool:
        """Whether it is about a file in one of these folders, or such a folder itself."""
        return any(
            path == root or path.startswith(f"{root}/") for root in roots for path in self.paths
        )


def options(*, data_bytes: int = 0) -> list[str]:
    """strace's options for a log that :func:`parse` reads.

    Args:
        data_bytes: most of the bytes of each write that are wanted.
    """
    # The question mark lets strace ignore calls that this processor does not have.
    names = ",".join(f"?{name}" for name in (*NAMES, *CHANGE_FOLDER))
    return ["-y", "-xx", "-s", str(data_bytes), "-e", f"trace={names}", "-e", "signal=none"]


def parse(lines: Iterable[str], *, folder: str) -> Iterator[Call]:
    """Reads a log.

    Args:
        lines: of the log.
        folder: in which the process was started, absolute.

    Raises:
        ValueError: a line is none of strace's.
    """
    counts: dict[str, int] = {}
    for line in lines:
        if line.startswith(("+++", "---")):
            continue
        match = LINE.match(line)
        if match is None:
            raise ValueError(f"not a line of strace's: {line!r}")
        name = match["name"]
        counts[name] = counts.get(name, 0) + 1
        arguments = tuple(match["arguments"].split(", "))
        result = None if match["result"] == "?" else int(match["result"])
        if name == "chdir" and result == 0:
            folder = _absolute(_text(arguments[0]), folder)
        elif name == "fchdir" and result == 0:
            folder = _described(arguments[0])
        if name in CHANGE_FOLDER:
            continue
        yield Call(
            name=name,
            number=counts[name],
            arguments=arguments,
            paths=tuple(_paths(name, arguments, folder)),
            target=_text(arguments[0]) if name.startswith("symlink") else "",
            data=_bytes(arguments[1]) if name in ("write", "pwrite64") else b"",
            result=result,
            error=match["error"] or "",
            injected=match["injected"] is not None,
        )


def _paths(name: str, arguments: tuple[str, ...], folder: str) -> Iterator[str]:
    if name in (*DESCRIPTOR, *SEND):
        yield _described(arguments[0])
    elif name in PATH:
        yield _absolute(_text(arguments[0]), folder)
    elif name in PATH_AT:
        yield _absolute(_text(arguments[1]), _described(arguments[0]))
    elif name in ("rename", "link"):
        yield from (_absolute(_text(each), folder) for each in arguments[:2])
    elif name in ("renameat", "renameat2", "linkat"):
        for at in (0, 2):
            yield _absolute(_text(arguments[at + 1]), _described(arguments[at]))
    elif name == "symlink":
        yield _absolute(_text(arguments[1]), folder)
    elif name == "symlinkat":
        yield _absolute(_text(arguments[2]), _described(arguments[1]))


def _absolute(path: str, folder: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))


def _described(argument: str) -> str:
    """The path behind a descriptor: ``3<...>`` or ``AT_FDCWD<...>``; "" where strace knew none."""
    _, _, rest = argument.partition("<")
    return _decode(rest.removesuffix(">")).decode(errors="surrogateescape") if rest else ""


def _text(argument: str) -> str:
    return _bytes(argument).decode(errors="surrogateescape")


def _bytes(argument: str) -> bytes:
    return _decode(argument.removesuffix("...").strip('"'))


def _decode(text: str) -> bytes:
    # Of pipes and sockets the name is plain: there is no path to it.
    return bytes.fromhex(text.replace("\\x", "")) if HEX.fullmatch(text) else text.encode()
