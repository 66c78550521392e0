"""Which of two versions is the newer one."""

from __future__ import annotations

import re

from updater.errors import UsageError
from updater.manifest import VERSION_PATTERN

PARTS = 4
"""Numbers that a version has at most; ``1.2`` is ``1.2.0.0``."""

Order = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]


def order(version: str) -> Order:
    """A key that sorts versions, the newest last.

    Numbers count as numbers. A suffix comes before the version itself, as in Semantic Versioning
    2.0.0, section 11; unlike there, digits within a suffix count as numbers too, so that ``rc10``
    follows ``rc9``.

    Raises:
        UsageError: ``version`` is not of the form of a manifest's.
    """
    if not VERSION_PATTERN.fullmatch(version):
        raise UsageError(f"{version[:80]!r} is not of the form {VERSION_PATTERN.pattern}")
    numbers, dash, suffix = version.partition("-")
    release = tuple(int(number) for number in numbers.split("."))
    return (
        release + (0,) * (PARTS - len(release)),
        0 if dash else 1,
        tuple(_runs(suffix)),
    )


def is_newer(version: str, than: str) -> bool:
    """Whether ``version`` follows ``than``; neither follows the other if both mean the same.

    Raises:
        UsageError: one of them is not of the form of a manifest's.
    """
    return order(version) > order(than)


def _runs(suffix: str) -> list[tuple[int, int, str]]:
    """Runs of digits and of letters: a dot sorts before digits, digits before letters."""
    found = []
    for run in re.findall(r"[0-9]+|[A-Za-z]+|\.", suffix):
        if run == ".":
            found.append((0, 0, ""))
        elif run.isdigit():
            found.append((1, int(run), ""))
        else:
            found.append((2, 0, run))
    return found
