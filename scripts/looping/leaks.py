"""Looks for planted secrets: in processes' arguments while everything runs, in files after."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.support import planted

LOOK_EVERY_S = 0.2


class ArgumentWatch:
    """Collects what every user of this machine could see of processes meanwhile.

    Attributes:
        seen: arguments of every process that ran at one of the looks.
    """

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> ArgumentWatch:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        known: set[int] = set()
        while not self._ended.wait(LOOK_EVERY_S):
            present = {int(name) for name in os.listdir("/proc") if name.isdecimal()}  # noqa: PTH208
            # A process keeps its arguments, except when it becomes another program: the youngest
            # are looked at again.
            newest = sorted(present)[-8:]
            for pid in (present - known) | set(newest):
                self.seen.add(planted.arguments_of(pid))
            known = present


def search(
    secrets: Iterable[str], texts: Mapping[str, str | bytes], folders: Sequence[Path]
) -> int:
    """Fails if a secret is in a text or in any file below the folders.

    Returns:
        How many files were read.

    Raises:
        AssertionError: it is there; says where.
    """
    planted.assert_nowhere(secrets, texts=texts, folders=folders)
    return sum(
        path.is_file() and not path.is_symlink() for folder in folders for path in folder.rglob("*")
    )
