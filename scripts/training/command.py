"""What the executables share: an error of ours becomes one line and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from updater.errors import SitewatchError


def run(main: Callable[[], None]) -> None:
    """Run a step; exit with an error's own code after saying it on stderr."""
    try:
        main()
    except SitewatchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
