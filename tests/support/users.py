"""Acts as another user of the machine, for tests of what files allow; only root can."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def acting_as(user_id: int, group_id: int, groups: tuple[int, ...] = ()) -> Iterator[None]:
    """The calling process has the rights of this user and these groups meanwhile."""
    user_before, group_before, groups_before = os.geteuid(), os.getegid(), os.getgroups()
    if user_before != 0:
        pytest.skip("acting as another user needs root")
    # Python loads the module for this when it is first used, and may lie where only root can read.
    time.strptime("2026", "%Y")
    os.setgroups(groups)
    os.setegid(group_id)
    os.seteuid(user_id)
    try:
        yield
    finally:
        os.seteuid(user_before)
        os.setegid(group_before)
        os.setgroups(groups_before)


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach: pytest's own lies below one of the first user's."""
    folder = Path(tempfile.mkdtemp(prefix="sitewatch-test-"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
