"""The gist of what steps and devices say, on one line."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.looping.valohai import Execution

_FIGURES = (
    "train/pictures", "train/helmet", "train/head", "train/person", "captures", "tasks", "pictures",
    "prelabels", "labelled", "kept", "relabelled", "removed", "added", "map50", "version", "gain",
)  # fmt: skip
_ROLLED_BACK = "rolled back to "


def gist(execution: Execution) -> str:
    """Of a step, by the last figures of its metadata that say most."""
    lines = [json.loads(line) for line in execution.said.splitlines() if line.startswith("{")]
    if groups := [line for line in lines if "verdict" in line]:
        return "; ".join(
            f"group {line['group']}: {line['success']} succeeded, {line['failed']} failed, "
            f"verdict: {line['verdict']}"
            for line in groups
        )
    found = {name: line[name] for line in lines for name in _FIGURES if name in line}
    return ", ".join(f"{name} {_short(value)}" for name, value in found.items()) or "done"


def reason(said: str) -> str:
    """The first reason for which a device went back; "" where none did."""
    line = next((line for line in said.splitlines() if _ROLLED_BACK in line), "")
    return line.partition(_ROLLED_BACK)[2].partition(": ")[2]


def map50(figures: Path) -> float:
    """The mean mAP50 in lines of ``evaluate.py``; the last counts."""
    lines = [json.loads(line) for line in figures.read_text().splitlines() if line.strip()]
    return float(next(line["map50"] for line in reversed(lines) if "map50" in line))


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
