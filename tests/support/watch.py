"""Sees where a piece of code writes, and whether a folder is as it was."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Tree = dict[str, tuple[int, bytes]]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ON_PATHS = {
    "os.chmod": 1,
    "os.chown": 1,
    "os.link": 2,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.utime": 1,
}
"""How many paths each of these calls changes something at."""

_NEVER = frozenset(
    {"os.exec", "os.fork", "os.posix_spawn", "os.system", "socket.connect", "subprocess.Popen"}
)
_seen: list[str] | None = None
_hooked = False


@contextmanager
def escapes() -> Iterator[list[str]]:
    """Collects what the interpreter is asked to change other than by a bare name in a folder.

    Python reports each such call to an audit hook, whether it succeeds or not. Names without a
    slash go to an open folder's descriptor (or to the working directory, which the caller sets to
    an empty one and looks at afterwards); everything else is an escape.
    """
    global _seen, _hooked  # noqa: PLW0603
    if not _hooked:
        sys.addaudithook(_audit)  # for good: a hook cannot be taken away
        _hooked = True
    _seen = []
    try:
        yield _seen
    finally:
        _seen = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    if event == "open":
        path, _, flags = arguments
        if flags & _WRITING and not _is_bare(path):
            _seen.append(f"open {path!r}")
    elif event in _NEVER or not all(map(_is_bare, arguments[: _ON_PATHS.get(event, 0)])):
        _seen.append(f"{event} {arguments!r}")


def _is_bare(path: Any) -> bool:
    if isinstance(path, int):
        return True  # a descriptor that was opened, and judged, before
    name = os.fsdecode(path)
    return "/" not in name and name not in ("", ".", "..")


def tree(folder: Path) -> Tree:
    """Everything below a folder: mode, and content of files or target of links."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = b""
        if stat.S_ISLNK(status.st_mode):
            content = os.fsencode(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (status.st_mode, content)
    return found
