"""Closing what nothing was written to."""

from __future__ import annotations

import contextlib
import os


def close_unwritten(descriptor: int) -> None:
    """Closes a descriptor through which nothing was written, or all was synced before.

    An error of close(2) tells of earlier writes that were lost; here there is nothing to lose, and
    the kernel frees the descriptor in any case.
    """
    with contextlib.suppress(OSError):
        os.close(descriptor)
