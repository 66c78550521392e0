"""Several sources become one data set: each photograph once, in one part, with labels that hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from scripts.labelling.classes import ClassMap, UnknownClassError
from scripts.labelling.duplicates import twins
from scripts.labelling.index import NotFoundError, PictureIndex, group_on_disk
from scripts.labelling.picture import (
    BrokenLabelError,
    Entry,
    LabelledPicture,
    placed,
    same_boxes,
)
from scripts.labelling.pictures import Measured, PictureError
from scripts.labelling.problems import LOST, Kind, LabellingError, Problem
from scripts.labelling.sources import Source, read
from scripts.labelling.split import SplitRule, part_of_group, strictest
from updater.errors import StorageError


@dataclass(frozen=True, slots=True)
class Sample:
    """One photograph of the data set.

    Attributes:
        picture: The file and its boxes under the model's class names.
        measured: What the file holds.
        part: ``train``, ``val`` or ``test``.
        group: What stays together; the picture's own hash when nothing is known.
        source: The export that its labels are from.
        where: File and line, row or field of them.
        fixed: Whether the part is the source's own.
    """

    picture: LabelledPicture
    measured: Measured
    part: str
    group: str
    source: Source
    where: str
    fixed: bool


@dataclass(frozen=True, slots=True)
class Assembly:
    """A data set, not yet written.

    Attributes:
        samples: Sorted by content hash.
        problems: All that was left out, in the order it was met.
        entries: Pictures with labels that each source named.
    """

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]
    entries: dict[str, int]

    @property
    def dropped(self) -> list[Problem]:
        """Problems for which a labelled photograph is missing."""
        return [problem for problem in self.problems if problem.kind in LOST]


@dataclass(frozen=True, slots=True)
class AssembleSettings:
    """What goes into a data set.

    Attributes:
        sources: In rising order of trust: of one photograph labelled in two, the last holds.
        pictures: Folders with pictures that exports do not contain.
        classes: How the tools' names map to the model's.
        split: How parts are given.
        empty_is_background: Whether YOLO's and COCO's pictures without a box have no object.
    """

    sources: tuple[Source, ...]
    classes: ClassMap
    pictures: tuple[Path, ...] = ()
    split: SplitRule = field(default_factory=SplitRule)
    empty_is_background: bool = False


class _SizeError(ValueError):
    """The picture is not of the size at which it was labelled."""


#: What an error about one entry is counted as.
_KINDS: Final[dict[type[Exception], Kind]] = {
    NotFoundError: Kind.MISSING,
    PictureError: Kind.UNREADABLE,
    UnknownClassError: Kind.CLASS,
    BrokenLabelError: Kind.BROKEN,
    StorageError: Kind.BROKEN,
    _SizeError: Kind.SIZE,
}

Progress = Callable[[Sequence[Entry], str], Iterable[Entry]]


def assemble(settings: AssembleSettings, progress: Progress = lambda items, _: items) -> Assembly:
    """Read every source, find its pictures, and settle what is said twice.

    Args:
        settings: What goes in.
        progress: Wraps a source's entries and its name; for a progress bar.

    Raises:
        LabellingError: A source or a folder cannot be read at all.
    """
    problems: list[Problem] = []
    entries: dict[str, int] = {}
    samples: dict[str, Sample] = {}
    parts: dict[str, set[str]] = defaultdict(set)
    for source in settings.sources:
        reading = read(source, empty_is_background=settings.empty_is_background)
        problems.extend(reading.problems)
        entries[source.name] = entries.get(source.name, 0) + len(reading.entries)
        root = source.path if source.path.is_dir() else source.path.parent
        index = PictureIndex([root, *settings.pictures])
        own: dict[str, list[Sample]] = defaultdict(list)
        for entry in progress(reading.entries, source.name):
            found = _sample(entry, source, index, settings)
            if isinstance(found, Problem):
                problems.append(found)
            else:
                own[found.picture.sha256].append(found)
        for sha256, named in own.items():
            parts[sha256].update(sample.part for sample in named if sample.fixed)
            if (settled := _settle(named, problems)) is not None:
                _take(settled, samples, problems)
    final = {
        sha256: _in_part(sample, strictest(parts[sha256])) for sha256, sample in samples.items()
    }
    kept = _without_leaks([final[sha256] for sha256 in sorted(final)], problems)
    return Assembly(tuple(kept), tuple(problems), entries)


def check_share(assembly: Assembly, most: float) -> None:
    """Refuse a data set of which too much was left out: a broken export must not shrink it quietly.

    Raises:
        LabellingError: There is no picture at all, or more than the share ``most`` was left out.
    """
    dropped, kept = len(assembly.dropped), len(assembly.samples)
    unknown = sorted({p.what for p in assembly.dropped if p.kind is Kind.CLASS})
    hint = f"First: {assembly.dropped[0].where}: {assembly.dropped[0].what}" if dropped else ""
    if unknown:
        hint = f"{'; '.join(unknown[:8])}: map them with --map NAME=CLASS, or NAME=-"
    if not kept:
        raise LabellingError("no picture with labels is left", hint=hint)
    if dropped > most * (dropped + kept):
        raise LabellingError(
            f"{dropped} of {dropped + kept} labelled pictures were left out, more than {most:.0%}",
            hint=hint,
        )


def _sample(
    entry: Entry, source: Source, index: PictureIndex, settings: AssembleSettings
) -> Sample | Problem:
    """One entry with its picture, or why it is left out."""
    path: Path | None = None
    try:
        path = index.find(entry)
        measured = index.measured(path)
        _check_size(entry, measured)
        scale = (measured.width, measured.height) if entry.unit == "relative" else (1, 1)
        boxes = tuple(
            placed(box.scaled(*scale), measured.width, measured.height)
            for box in settings.classes.apply(entry.boxes)
        )
        group = group_on_disk(path) or entry.group or measured.sha256
    except tuple(_KINDS) as error:
        what = f"{path.name}: {error}" if path and isinstance(error, PictureError) else str(error)
        return Problem(entry.where, what, _KINDS[type(error)], entry.reference)
    fixed = settings.split.keep and entry.part is not None
    return Sample(
        picture=LabelledPicture(path, measured.sha256, measured.width, measured.height, boxes),
        measured=measured,
        part=str(entry.part) if fixed else part_of_group(group, settings.split),
        group=group,
        source=source,
        where=entry.where,
        fixed=fixed,
    )


def _check_size(entry: Entry, measured: Measured) -> None:
    labelled = (entry.width or measured.width, entry.height or measured.height)
    if labelled != (measured.width, measured.height):
        raise _SizeError(
            f"labelled at {labelled[0]}x{labelled[1]} px, "
            f"and the picture has {measured.width}x{measured.height}"
        )


def _settle(named: list[Sample], problems: list[Problem]) -> Sample | None:
    """One source's labels of one photograph, or None where they contradict each other."""
    first = named[0]
    for other in named[1:]:
        reference = other.picture.path.name
        if not same_boxes(first.picture.boxes, other.picture.boxes):
            problems.extend(
                Problem(each.where, "the same photograph has other labels elsewhere in this source",
                        Kind.CONFLICT, reference)
                for each in named
            )  # fmt: skip
            return None
        problems.append(
            Problem(other.where, f"the photograph of {first.where}", Kind.DUPLICATE, reference)
        )
    return first


def _take(sample: Sample, samples: dict[str, Sample], problems: list[Problem]) -> None:
    """Of one photograph in two sources the later one's labels hold."""
    before = samples.get(sample.picture.sha256)
    samples[sample.picture.sha256] = sample
    if before is not None:
        same = same_boxes(before.picture.boxes, sample.picture.boxes)
        problems.append(
            Problem(
                before.where,
                f"{'labelled alike' if same else 'labelled otherwise'}, later, in {sample.where}",
                Kind.DUPLICATE,
                before.picture.path.name,
            )
        )


def _in_part(sample: Sample, part: str | None) -> Sample:
    return sample if part is None else replace(sample, part=part, fixed=True)


def _without_leaks(samples: list[Sample], problems: list[Problem]) -> list[Sample]:
    """The samples without those to train on that are, saved again, in another part.

    Two that look the same in one part both stay, and are only reported.
    """
    gone: set[int] = set()
    for index, twin in twins([s.measured for s in samples], [s.part for s in samples]):
        sample, other = samples[index], samples[twin]
        name = sample.picture.path.name
        if sample.part == other.part:
            what = f"looks like {other.where}; both stay"
            problems.append(Problem(sample.where, what, Kind.TWIN, name))
        else:
            gone.add(index)
            what = f"is in {other.part} too: {other.where}"
            problems.append(Problem(sample.where, what, Kind.LEAK, name))
    return [sample for index, sample in enumerate(samples) if index not in gone]
