"""Bounded, strict reading of foreign text and JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from scripts.labelling.picture import BrokenLabelError
from scripts.labelling.problems import LabellingError

#: A hundred thousand pictures with ten boxes each are about 200 MB in the wordiest format.
EXPORT_MAX_BYTES: Final = 512 * 1024 * 1024
#: One row with ten thousand boxes.
LINE_MAX_BYTES: Final = 8 * 1024 * 1024
#: Boxes of one picture: a crowd has hundreds.
BOXES_MAX: Final = 2000
_TEXT_MAX: Final = 4096
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_SHA256: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def read_text(path: Path, most_bytes: int = EXPORT_MAX_BYTES) -> str:
    """A UTF-8 file, with or without a byte order mark.

    Raises:
        LabellingError: It cannot be read, is larger, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise LabellingError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if len(data) > most_bytes:
        raise LabellingError(f"larger than {most_bytes} bytes", where=str(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabellingError(f"not UTF-8 at byte {error.start}", where=str(path)) from error


def parse_json(text: str) -> Any:
    """JSON as the standard has it: no NaN, no key twice in an object.

    Raises:
        ValueError: It is not.
    """
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises:
        LabellingError: It cannot be read or is not JSON.
    """
    try:
        return parse_json(read_text(path))
    except ValueError as error:
        raise LabellingError(f"not JSON: {error}", where=str(path)) from error


def json_lines(path: Path) -> Iterator[tuple[int, Any | BrokenLabelError]]:
    """Line number and object of each line that is not blank; what is wrong with one that is not.

    Raises:
        LabellingError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LINE_MAX_BYTES + 1):
                number += 1
                if len(line) > LINE_MAX_BYTES:
                    raise LabellingError(
                        f"longer than {LINE_MAX_BYTES} bytes",
                        where=f"{path}:{number}",
                        hint="Newline-delimited JSON has one object a line",
                    )
                if line.strip():
                    try:
                        yield number, parse_json(line.decode("utf-8-sig"))
                    except ValueError as error:
                        yield number, BrokenLabelError(f"not JSON: {error}")
    except OSError as error:
        raise LabellingError(f"cannot be read: {error.strerror}", where=str(path)) from error


def as_object(value: Any, what: str) -> dict[str, Any]:
    """The value, which must be a JSON object.

    Raises:
        BrokenLabelError: It is not.
    """
    if not isinstance(value, dict):
        raise BrokenLabelError(f"{what} must be an object, found {shown(value)}")
    return value


def as_list(value: Any, what: str) -> list[Any]:
    """The value, which must be a JSON list.

    Raises:
        BrokenLabelError: It is not.
    """
    if not isinstance(value, list):
        raise BrokenLabelError(f"{what} must be a list, found {shown(value)}")
    return value


def as_boxes(value: Any, what: str) -> list[Any]:
    """The value, which must be a list of at most :data:`BOXES_MAX`.

    Raises:
        BrokenLabelError: It is not.
    """
    if len(found := as_list(value, what)) > BOXES_MAX:
        raise BrokenLabelError(f"{what} has {len(found)} entries, and at most {BOXES_MAX} are read")
    return found


def as_number(value: Any, what: str) -> float:
    """The value, which must be a finite JSON number.

    Raises:
        BrokenLabelError: It is not.
    """
    # A whole number of JSON may be larger than any float.
    if type(value) is float or (type(value) is int and abs(value) < 2**63):
        number = float(value)
        if math.isfinite(number):
            return number
    raise BrokenLabelError(f"{what} must be a finite number, found {shown(value)}")


def as_size(value: Any, what: str) -> int:
    """A width or height in pixels.

    Raises:
        BrokenLabelError: It is no positive whole number.
    """
    number = as_number(value, what)
    if number != int(number) or not 0 < number <= 2**20:
        raise BrokenLabelError(f"{what} must be a size in pixels, found {shown(value)}")
    return int(number)


def as_text(value: Any, what: str) -> str:
    """A text of 1 to 4096 characters.

    Raises:
        BrokenLabelError: It is not.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _TEXT_MAX:
        raise BrokenLabelError(f"{what} must be a text, found {shown(value)}")
    return value


def decimal(word: str, what: str) -> float:
    """A decimal number in a text file.

    Raises:
        BrokenLabelError: It is none (``float`` would also take ``nan``, ``inf`` and ``1_0``).
    """
    if not _NUMBER.fullmatch(word) or not math.isfinite(number := float(word)):
        raise BrokenLabelError(f"{what} must be a number, found {word[:40]!r}")
    return number


def sha256_in(text: str) -> str | None:
    """The one sha256 in a key, or None."""
    found = set(_SHA256.findall(text))
    return found.pop() if len(found) == 1 else None


def shown(value: Any) -> str:
    """A foreign value in a message: short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(n for n in names if names.count(n) > 1)[:80]!r} twice")
    return made
