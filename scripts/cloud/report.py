"""What the steps tell: JSON lines, which Valohai takes as metadata, and tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from updater.atomic import write_atomically

TAG_KEY = "valohai.tags"
ALIAS_KEY = "valohai.alias"


def say(**values: object) -> None:
    """Prints one JSON object on a line of standard output."""
    print(json.dumps(values), flush=True)


def tell(line: str) -> None:
    """Prints a line for people, on standard error: standard output is for metadata."""
    print(line, file=sys.stderr, flush=True)


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of left-aligned columns, its lines without blanks at the end."""
    lines = [heading, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heading))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def write_json(path: Path, document: object) -> None:
    """Writes a document, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(document, indent=2, sort_keys=True).encode() + b"\n")


def write_sidecar(output: Path, *, alias: str, tags: Sequence[str], **values: object) -> Path:
    """Writes what Valohai shall note of an output: ``NAME.metadata.json`` beside it.

    Args:
        output: the file that it is about.
        alias: a name that moves to this output (``datum://ALIAS``); "" for none.
        tags: words to find it by.
        values: further properties.
    """
    path = output.with_name(f"{output.name}.metadata.json")
    write_json(path, {**({ALIAS_KEY: alias} if alias else {}), TAG_KEY: list(tags), **values})
    return path
