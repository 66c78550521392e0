"""What the executables share: an error of ours becomes one line and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from updater.errors import DISK_ERRORS, SitewatchError, StorageError


def run(main: Callable[[], None]) -> None:
    """Run a step; exit with an error's own code after saying it on stderr.

    A disk that is full, read-only or damaged strikes wherever files are written, by libraries, too;
    it ends the step as a `StorageError`.
    """
    try:
        main()
    except SitewatchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        where = error.filename2 or error.filename or "an output"
        hint = "Make room or name another --output, and run the step again"
        told = StorageError(str(error.strerror), where=str(where), hint=hint)
        print(f"error: {told}", file=sys.stderr)
        sys.exit(told.exit_code)
