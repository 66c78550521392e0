"""What was left out, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scripts.labelling.picture import Entry
from updater.errors import SitewatchError


class LabellingError(SitewatchError):
    """An export as a whole cannot be used, or too much of it was left out."""

    exit_code = 25


class Kind(StrEnum):
    """Why something was left out."""

    BROKEN = "broken label"
    UNLABELLED = "not labelled"
    CLASS = "unknown class"
    CONFLICT = "labels differ"
    MISSING = "picture not found"
    UNREADABLE = "picture unreadable"
    SIZE = "size differs"
    DUPLICATE = "duplicate"
    TWIN = "looks the same"
    LEAK = "in another part too"


#: Kinds by which a labelled photograph is missing from the data set; the others are about what
#: nobody labelled, and about photographs that are there under another name.
LOST: Final = frozenset(
    {Kind.BROKEN, Kind.CLASS, Kind.CONFLICT, Kind.MISSING, Kind.UNREADABLE, Kind.SIZE}
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing left out.

    Attributes:
        where: File and line, row or field.
        what: What is wrong with it, a clause without a full stop.
        kind: For counting.
        reference: The picture, as the export calls it; empty when it is not known.
    """

    where: str
    what: str
    kind: Kind
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one export holds."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
