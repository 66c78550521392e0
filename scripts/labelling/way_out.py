"""Captures written as the tasks of labelling tools, each file importable as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scripts.labelling import labelbox, labelstudio, sama
from scripts.labelling.captures import Capture
from scripts.labelling.problems import LabellingError


@dataclass(frozen=True, slots=True)
class WayOut:
    """How tasks are written.

    Attributes:
        classes: Of the labelling interface.
        sama: What the Sama project calls its fields.
    """

    classes: tuple[str, ...]
    sama: sama.Names = field(default_factory=sama.Names)


def write_tasks(
    form: str, captures: Sequence[Capture], output: Path, settings: WayOut
) -> list[Path]:
    """Write the files of one tool.

    Args:
        form: One of :data:`TOOLS`.
        captures: Most valuable first; tools keep the order.
        output: Folder, made when absent.
        settings: How.

    Returns:
        The files, in the order in which they are imported.

    Raises:
        LabellingError: A file cannot be written.
        UsageError: An address is not one that the tool takes.
    """
    made = []
    for name, text in TOOLS[form](captures, settings).items():
        path = output / name
        try:
            output.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise LabellingError(f"cannot be written: {error.strerror}", where=str(path)) from error
        made.append(path)
    return made


def _label_studio(captures: Sequence[Capture], settings: WayOut) -> dict[str, str]:
    return {
        "label-studio-config.xml": labelstudio.labelling_config(settings.classes),
        "label-studio-tasks.json": _json(labelstudio.tasks(captures)),
    }


def _labelbox(captures: Sequence[Capture], _: WayOut) -> dict[str, str]:
    return {
        "labelbox-data-rows.json": _json(labelbox.data_rows(captures)),
        "labelbox-prelabels.ndjson": _lines(labelbox.mal_lines(captures)),
    }


def _sama(captures: Sequence[Capture], settings: WayOut) -> dict[str, str]:
    bodies = sama.requests(captures, settings.sama)
    return {f"sama-tasks-{number:03d}.json": _json(body) for number, body in enumerate(bodies, 1)}


TOOLS: Final[Mapping[str, Callable[[Sequence[Capture], WayOut], dict[str, str]]]] = {
    "label-studio": _label_studio,
    "labelbox": _labelbox,
    "sama": _sama,
}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
