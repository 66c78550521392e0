"""A folder that is there whole or not at all, and replaces only what it is allowed to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from updater.errors import StorageError, UsageError


@contextmanager
def made_anew(output: Path, *, mark: str) -> Iterator[Path]:
    """A hidden folder beside ``output`` that takes its place when the block ends well.

    Args:
        output: Absent, empty, or an earlier folder of the same kind.
        mark: Name of a file that tells such a folder.

    Raises:
        UsageError: It holds something else.
        StorageError: It cannot be replaced.
    """
    if output.is_dir() and any(output.iterdir()) and not (output / mark).is_file():
        raise UsageError(
            f"is no folder of ours: there is no {mark} in it",
            where=str(output),
            hint="Name an empty or absent folder",
        )
    making = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        yield making
        if output.is_dir():
            shutil.rmtree(output)
        making.rename(output)
    except OSError as error:
        where = error.filename2 or error.filename or output
        raise StorageError(f"cannot be made: {error.strerror}", where=str(where)) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
