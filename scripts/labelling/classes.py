"""Classes by name: what the tools call them, and what the model calls them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scripts.labelling.picture import Box
from updater.errors import UsageError

#: In ``NAME=-``: boxes of this class are left out, the picture stays.
NOT_WANTED = "-"


class UnknownClassError(ValueError):
    """A class that the mapping does not name."""


@dataclass(frozen=True, slots=True)
class ClassMap:
    """An explicit mapping of class names.

    Attributes:
        classes: The model's, in the order of its outputs.
        names: From a tool's name to one of them, or to None when its boxes are not wanted.
    """

    classes: tuple[str, ...]
    names: Mapping[str, str | None]

    def apply(self, boxes: Iterable[Box]) -> tuple[Box, ...]:
        """The boxes under the model's names, without those that are not wanted.

        Raises:
            UnknownClassError: A class is not in the mapping: it may be one of ours under another
                name, so leaving its boxes out would teach that there is nothing.
        """
        kept = []
        for box in boxes:
            if box.name not in self.names:
                raise UnknownClassError(f"class {box.name[:80]!r} is not mapped")
            if name := self.names[box.name]:
                kept.append(
                    Box(name, box.x1, box.y1, box.x2, box.y2, score=box.score, ignore=box.ignore)
                )
        return tuple(kept)


def class_map(classes: Sequence[str], options: Iterable[str]) -> ClassMap:
    """The mapping of ``NAME=CLASS`` options; the model's own names need none.

    Raises:
        UsageError: An option is not of that form, names no class of the model, or a name is
            mapped twice.
    """
    names: dict[str, str | None] = {}
    for option in options:
        name, separator, wanted = option.rpartition("=")
        if not separator or not name or (wanted not in classes and wanted != NOT_WANTED):
            raise UsageError(
                f"{option[:80]!r} is not NAME=CLASS",
                where="--map",
                hint=f"CLASS is one of {', '.join(classes)}, or {NOT_WANTED} to leave it out",
            )
        if name in names:
            raise UsageError(f"{name[:80]!r} is mapped twice", where="--map")
        names[name] = None if wanted == NOT_WANTED else wanted
    return ClassMap(tuple(classes), {**{name: name for name in classes}, **names})
