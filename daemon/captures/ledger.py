"""The file beside the captures that must survive a restart: time, limits, the next number."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from daemon.captures.elapsed import Anchor, Elapsed
from daemon.captures.limits import SLOTS, WINDOWS_S, Counts
from updater.atomic import write_atomically
from updater.errors import StorageError
from updater.fields import FieldReader

FORMAT = 1
LEDGER_NAME = "limits.json"
LEDGER_MAX_BYTES = 64 * 1024
LEDGER_MODE = 0o640


@dataclass(frozen=True, slots=True)
class Ledger:
    """What must survive a restart.

    Attributes:
        elapsed: the count of time.
        counts: pictures in each window.
        next_sequence: number of the next capture; never goes back, so no name comes twice.
    """

    elapsed: Elapsed
    counts: Counts
    next_sequence: int


def write(folder: Path, ledger: Ledger) -> None:
    """Replaces the folder's limits file, atomically and durably.

    Raises:
        StorageError: the disk refuses.
    """
    raw = asdict(ledger) | {"format": FORMAT}
    raw["elapsed"]["anchor"] = [raw["elapsed"]["anchor"]] if ledger.elapsed.anchor else []
    raw["counts"] = {
        window: [[slot, number] for slot, number in sorted(slots.items())]
        for window, slots in ledger.counts.items()
    }
    data = json.dumps(raw, sort_keys=True).encode() + b"\n"
    write_atomically(folder / LEDGER_NAME, data, mode=LEDGER_MODE)


def read(folder: Path) -> Ledger | None:
    """The folder's limits file; None if there is none yet.

    Raises:
        StorageError: it cannot be read or is damaged.
    """
    path = folder / LEDGER_NAME
    try:
        with path.open("rb") as file:
            data = file.read(LEDGER_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if len(data) > LEDGER_MAX_BYTES:
        raise StorageError(f"larger than {LEDGER_MAX_BYTES} bytes", where=str(path))
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"not JSON: {error}", where=str(path)) from error
    return _ledger(FieldReader(raw, where=str(path), error=StorageError))


def _ledger(reader: FieldReader) -> Ledger:
    if (found := reader.integer("format", 1, 2**31)) != FORMAT:
        raise StorageError(f"format {found}, not {FORMAT}", where=reader.where)
    counts = reader.sub("counts")
    ledger = Ledger(
        elapsed=_elapsed(reader.sub("elapsed")),
        counts={
            window: dict(
                _slot_count(entry, f"{counts.where}: {window}")
                for entry in counts.raw_list(window, at_most=SLOTS + 2)
            )
            for window in WINDOWS_S
        },
        next_sequence=reader.integer("next_sequence", 0, 10**10),
    )
    counts.finish()
    reader.finish()
    return ledger


def _slot_count(raw: Any, where: str) -> tuple[int, int]:
    good = isinstance(raw, list) and len(raw) == 2 and all(type(v) is int for v in raw)
    if not good or abs(raw[0]) > 10**13 or not 0 <= raw[1] <= 10**7:
        raise StorageError("must hold pairs of slot and number", where=where)
    return raw[0], raw[1]


def _elapsed(reader: FieldReader) -> Elapsed:
    anchor = None
    for inner in reader.subs("anchor", at_most=1):
        anchor = Anchor(
            boot_id=inner.text("boot_id"),
            unix_s=inner.number("unix_s", -1e12, 1e12),
            elapsed_s=inner.number("elapsed_s", 0.0, 1e12),
        )
        inner.finish()
    elapsed = Elapsed(
        elapsed_s=reader.number("elapsed_s", 0.0, 1e12),
        boot_id=reader.text("boot_id"),
        monotonic_s=reader.number("monotonic_s", 0.0, 1e12),
        anchor=anchor,
    )
    reader.finish()
    return elapsed
