"""Makes a folder another account's own, as root, without being led elsewhere by links.

Folders on the way to a store may belong to people who are not root. Everything is therefore done
on open descriptors, one path component at a time: what was looked at is what is changed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from pathlib import Path

FOLDER_MODE = 0o755
MAX_LINKS = 40
"""Links on the way before it counts as a circle; the kernel's own limit (path_resolution(7))."""

MAX_DEPTH = 16
"""Folders in one another inside a store; a bundle has at most four."""


def open_folder(path: Path) -> int:
    """Opens a folder, making it and those above it where they are missing.

    A link on the way is followed only if it belongs to root: anyone else could point it at a
    folder that is not theirs and have it handed over.

    Args:
        path: absolute, or relative to the working directory.

    Returns:
        A descriptor of the folder.

    Raises:
        OSError: it cannot be opened or made, is no folder, or a link on the way is not root's.
    """
    left = deque(Path(os.path.abspath(path)).parts[1:])  # noqa: PTH100 - no link is followed yet
    here = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    links = 0
    try:
        while left:
            name = left.popleft()
            target = _root_link(here, name)
            if target is not None:
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
                if target.startswith("/"):
                    here = _exchange(here, os.open("/", os.O_RDONLY | os.O_DIRECTORY))
                left.extendleft(reversed([part for part in target.split("/") if part]))
                continue
            here = _exchange(here, _enter(here, name))
    except OSError:
        os.close(here)
        raise
    return here


def hand_over(folder: int, uid: int, gid: int) -> int:
    """Gives a folder of root's, and root's folders and plain files in it, to another account.

    What belongs to somebody else stays theirs. Left alone are links (who owns one is of no
    account), devices, other file systems mounted inside, and files with a second name: that may be
    the name of a file outside of the folder.

    Args:
        folder: descriptor of the folder; stays open.
        uid: the account's.
        gid: the account's group.

    Returns:
        How many changed hands.

    Raises:
        OSError: the file system refuses.
    """
    return _hand_over(folder, uid, gid, os.fstat(folder).st_dev, 0)


def _hand_over(folder: int, uid: int, gid: int, device: int, depth: int) -> int:
    changed = 0
    own = os.fstat(folder)
    if own.st_dev != device:
        return 0
    if own.st_uid == 0:
        os.fchown(folder, uid, gid)
        changed += 1
    if depth >= MAX_DEPTH:
        return changed
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.stat(follow_symlinks=False).st_mode) for entry in entries]
    for name, mode in found:
        # Only these two kinds are opened: opening a pipe or a device may hang or do something.
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            continue
        kind = os.O_DIRECTORY if stat.S_ISDIR(mode) else 0
        inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | kind, dir_fd=folder)
        try:
            if kind:
                changed += _hand_over(inner, uid, gid, device, depth + 1)
            else:
                changed += _hand_over_file(inner, uid, gid)
        finally:
            os.close(inner)
    return changed


def _hand_over_file(file: int, uid: int, gid: int) -> int:
    found = os.fstat(file)  # again: the name may stand for something else by now
    if found.st_uid != 0 or not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        return 0
    os.fchown(file, uid, gid)
    return 1


def _root_link(folder: int, name: str) -> str | None:
    """The target of a link, which must be root's; None for what is no link, or is not there."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(found.st_mode):
        return None
    if found.st_uid != 0:
        raise OSError(errno.ELOOP, f"the link {name!r} on the way to it is not root's")
    return os.readlink(name, dir_fd=folder)


def _enter(folder: int, name: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        os.mkdir(name, FOLDER_MODE, dir_fd=folder)
        os.fsync(folder)
        return os.open(name, flags, dir_fd=folder)


def _exchange(old: int, new: int) -> int:
    os.close(old)
    return new
