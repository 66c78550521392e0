"""What ``auto`` measured, remembered in a small JSON file.

It is only a cache: one that cannot be read or written costs a measurement at the next start and a
line in the log, never the start itself.
"""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

MAX_ENTRIES = 32
MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Question:
    """What a measurement is valid for.

    Attributes:
        model_sha256: of the ``.tflite`` file.
        machine: architecture and processor or board: a card may be moved to another Pi.
        runtimes: ``name version`` of every runtime installed.
        threads: of the runtime.
    """

    model_sha256: str
    machine: str
    runtimes: tuple[str, ...]
    threads: int


def recall(path: Path, question: Question) -> dict[str, float] | None:
    """Milliseconds by runtime, measured earlier for the very same question; None if never."""
    for entry in _entries(path):
        if entry["question"] == _as_json(question):
            return dict(entry["milliseconds"])
    return None


def remember(path: Path, question: Question, milliseconds: Mapping[str, float]) -> None:
    """Adds a measurement; the oldest beyond ``MAX_ENTRIES`` go."""
    asked = _as_json(question)
    kept = [entry for entry in _entries(path) if entry["question"] != asked]
    kept.append({"question": asked, "milliseconds": dict(milliseconds)})
    text = json.dumps(kept[-MAX_ENTRIES:], indent=1)
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            temporary = file.name
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        log.warning("%s cannot be written, the next start measures again: %s", path, error.strerror)
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        log.warning("%s cannot be read, measuring again: %s", path, error.strerror)
        return []
    try:
        raw = json.loads(data) if len(data) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, list) or not all(map(_is_entry, raw)):
        log.warning("%s holds something else than measurements, measuring again", path)
        return []
    return raw


def _is_entry(raw: object) -> bool:
    if not isinstance(raw, dict) or not isinstance(raw.get("question"), dict):
        return False
    milliseconds = raw.get("milliseconds")
    return (
        isinstance(milliseconds, dict)
        and bool(milliseconds)
        and all(type(v) is float and math.isfinite(v) and v > 0 for v in milliseconds.values())
    )


def _as_json(question: Question) -> dict[str, Any]:
    raw = asdict(question)
    raw["runtimes"] = list(question.runtimes)
    return raw
