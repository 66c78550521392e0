"""What the steps tell: JSON lines for Valohai on stdout, a progress bar for a person on stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from updater.atomic import write_atomically

T = TypeVar("T")


def say(**values: object) -> None:
    """Print one JSON object on a line; Valohai reads these as metadata of the execution."""
    print(_line(values), flush=True)


def say_into(path: Path, **values: object) -> None:
    """Write the same line into a file that another step reads.

    Raises:
        StorageError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f"{_line(values)}\n".encode())


def _line(values: Mapping[str, object]) -> str:
    return json.dumps({name: _for_json(value) for name, value in values.items()})


def _for_json(value: object) -> object:
    if not isinstance(value, float):
        return value
    return round(value, 6) if math.isfinite(value) else None  # JSON knows no NaN


def progress(items: Iterable[T], title: str, *, quiet: bool = False) -> Iterator[T]:
    """Iterate with a progress bar, if a person is watching stderr."""
    yield from tqdm(
        items, desc=title, disable=quiet or not sys.stderr.isatty(), file=sys.stderr, leave=False
    )
