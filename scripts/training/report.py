"""What the steps tell: JSON lines for Valohai on stdout, a progress bar for a person on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def say(**values: object) -> None:
    """Print one JSON object on a line; Valohai reads these as metadata of the execution."""
    rounded = {
        name: round(value, 6) if isinstance(value, float) else value
        for name, value in values.items()
    }
    print(json.dumps(rounded), flush=True)


def progress(items: Iterable[T], title: str, *, quiet: bool = False) -> Iterator[T]:
    """Iterate with a progress bar, if a person is watching stderr."""
    yield from tqdm(
        items, desc=title, disable=quiet or not sys.stderr.isatty(), file=sys.stderr, leave=False
    )
