"""Which part of the data set a photograph belongs to. Pure.

A group's part follows from its name alone, so a picture never moves when others are added; a larger
share for validation moves groups from training only. What is taken together (one camera's day) is
one group: its frames show the same people in the same clothes, and in two parts they would flatter
the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from scripts.labelling.picture import PARTS


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How parts are given.

    Attributes:
        val_share: Of groups, 0 to 1, expected.
        salt: Another one makes another split.
        keep: Whether a part that a source comes with is kept.
    """

    val_share: float = 0.15
    salt: str = ""
    keep: bool = True


def part_of_group(group: str, rule: SplitRule) -> str:
    """``train`` or ``val``."""
    digest = hashlib.sha256(f"{rule.salt}\0{group}".encode()).digest()
    return "val" if int.from_bytes(digest[:8], "big") < rule.val_share * 2**64 else "train"


def strictest(given: Iterable[str]) -> str | None:
    """Of the parts that sources give one photograph, the one it may least be trained in."""
    return max(given, key=PARTS.index, default=None)
