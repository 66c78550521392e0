"""Folders as tar files, as they travel between steps."""

from __future__ import annotations

import tarfile
from pathlib import Path


def pack(folder: Path, target: Path) -> Path:
    """A folder, under its own name."""
    with tarfile.open(target, "w") as archive:
        archive.add(folder, arcname=folder.name)
    return target


def unpack(packed: Path, folder: Path) -> Path:
    """Into a folder, made when absent."""
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    return folder


def renamed(packed: Path, name: str, work: Path) -> Path:
    """A tar of one folder, with another name for it.

    Args:
        packed: the tar.
        name: for the folder in it.
        work: an absent folder for what comes between.
    """
    (inner,) = unpack(packed, work).iterdir()
    return pack(inner.rename(work / name), work / f"{name}.tar")
