"""The sources of a data set as they are named on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.labelling import coco, labelbox, labelstudio, sama, yolo
from scripts.labelling.problems import LabellingError, Reading
from updater.errors import UsageError

_PERSONS: Final = "+persons"
#: Formats whose export is one file; for them a folder means every export in it.
_ONE_FILE: Final = frozenset({"label-studio", "labelbox", "sama"})
_EXPORT_SUFFIXES: Final = frozenset({".json", ".jsonl", ".ndjson"})


@dataclass(frozen=True, slots=True)
class Source:
    """One export.

    Attributes:
        form: One of :data:`FORMATS`.
        path: File or folder.
        add_persons: Whether persons are not labelled there, so that they have to be added.
    """

    form: str
    path: Path
    add_persons: bool = False

    @property
    def name(self) -> str:
        """As it is written on the command line."""
        return f"{self.form}{_PERSONS if self.add_persons else ''}:{self.path}"


Reader = Callable[[Path, bool], Reading]

#: By name: the reader, whose second argument is whether an empty picture is known to be empty.
FORMATS: Final[Mapping[str, Reader]] = {
    "label-studio": lambda path, _: labelstudio.read(path),
    "label-studio-yolo": lambda path, empty: yolo.read(path, empty_is_background=empty),
    "labelbox": lambda path, _: labelbox.read(path),
    "sama": lambda path, _: sama.read(path),
    "cvat-coco": lambda path, empty: coco.read(path, empty_is_background=empty),
    "cvat-yolo": lambda path, empty: yolo.read(path, empty_is_background=empty),
    "coco": lambda path, empty: coco.read(path, empty_is_background=empty),
    "yolo": lambda path, empty: yolo.read(path, empty_is_background=empty),
}


def parse_source(text: str) -> Source | None:
    """``FORMAT:PATH`` or ``FORMAT+persons:PATH``; None for a text that names no format.

    Raises:
        UsageError: The path is empty, or what stands before the colon looks like a format.
    """
    form, separator, path = text.partition(":")
    add_persons = form.endswith(_PERSONS)
    form = form.removesuffix(_PERSONS)
    if not separator or "/" in form:
        return None
    if form not in FORMATS:
        raise UsageError(
            f"{form[:40]!r} is no format", where="--source", hint=f"One of {', '.join(FORMATS)}"
        )
    if not path:
        raise UsageError(f"{text!r} has no path", where="--source")
    return Source(form, Path(path), add_persons)


def read(source: Source, *, empty_is_background: bool) -> Reading:
    """What a source says.

    Raises:
        LabellingError: It cannot be read as what it is said to be.
    """
    reader = FORMATS[source.form]
    if source.form not in _ONE_FILE or not source.path.is_dir():
        return reader(source.path, empty_is_background)
    exports = sorted(
        path
        for path in source.path.rglob("*")
        if path.suffix.lower() in _EXPORT_SUFFIXES and path.is_file()
    )
    if not exports:
        raise LabellingError(
            "no export in this folder",
            where=str(source.path),
            hint=f"One ends with {', '.join(sorted(_EXPORT_SUFFIXES))}",
        )
    readings = [reader(path, empty_is_background) for path in exports]
    return Reading(
        tuple(entry for reading in readings for entry in reading.entries),
        tuple(problem for reading in readings for problem in reading.problems),
    )
