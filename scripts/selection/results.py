"""Results of trials as JSON lines: written one by one, so that a run can go on where it ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from updater.errors import StorageError

START: Final = "start"
"""The model before anything was chosen."""

MORE_STEPS: Final = "none"
"""That model trained on with the pictures it had."""

DEVICE: Final = "device"
RANDOM: Final = "random"

BOXES: Final = "random-boxes"
"""Pictures drawn by chance until they have as many boxes as those the device chose."""

ALL: Final = "all"


@dataclass(frozen=True, slots=True, order=True)
class Trial:
    """One training.

    Attributes:
        seed: of everything in it.
        arm: how its further pictures were chosen.
        pictures: how many further pictures.
    """

    seed: int
    arm: str
    pictures: int


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a trial.

    Attributes:
        trial: which.
        steps: optimisation steps of the training.
        figures: ``map50`` and its like, on the validation photographs.
        boxes: labels in the further pictures, by class.
        chosen: why the further pictures were kept, by reason; empty unless a device chose.
        filled: pictures drawn at random since the device had not kept enough.
        size_px: input size, of training and validation.
    """

    trial: Trial
    steps: int
    figures: dict[str, float]
    boxes: dict[str, int] = field(default_factory=dict)
    chosen: dict[str, int] = field(default_factory=dict)
    filled: int = 0
    size_px: int = 0


def read(path: Path) -> list[Result]:
    """All results in a file; none if there is no file.

    A last line without its end was being written when the run was cut off: it is left out, and
    :func:`append` removes it.

    Raises:
        StorageError: it cannot be read, or a line is not a result.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    results = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            break
        try:
            fields = json.loads(line)
            trial = Trial(**{name: fields.pop(name) for name in Trial.__slots__})
            results.append(Result(trial, **fields))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StorageError(
                f"not a result: {line[:80]!r}",
                where=f"{path}:{number}",
                hint="Remove the line; its trial is then done again",
            ) from error
    return results


def append(path: Path, result: Result) -> None:
    """Adds one result.

    Raises:
        StorageError: it cannot be written.
    """
    values = asdict(result)
    values = values.pop("trial") | values
    values["figures"] = {name: round(value, 5) for name, value in result.figures.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _cut_unfinished(path)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values, separators=(",", ":")) + "\n")
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=str(path)) from error


def left(wanted: Sequence[Trial], done: Sequence[Result]) -> list[Trial]:
    """The trials that have no result yet, in their order."""
    known = {result.trial for result in done}
    return [trial for trial in wanted if trial not in known]


def _cut_unfinished(path: Path) -> None:
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        path.write_bytes(whole)
