"""The results as a Markdown table: means, paired differences and their intervals."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from typing import Final

from scripts.selection.interval import paired
from scripts.selection.results import BOXES, DEVICE, RANDOM, Result, Trial
from updater.errors import UsageError

COLUMNS: Final = {
    "map50": "mean mAP50",
    "helmet_map50": "helmet",
    "head_map50": "head",
    "map50_95": "mean mAP50-95",
}

_CHANCE: Final = (RANDOM, BOXES)

_BEGIN: Final = "<!-- tables -->\n"
_END: Final = "<!-- end of tables -->\n"


def report(results: Sequence[Result]) -> str:
    """Two tables: the arms' means, and each device's arm less chance, seed by seed."""
    return "\n".join([*_means(results), "", *_differences(results)])


def insert(page: str, tables: str) -> str:
    """A page with the tables between its two marks in the place of those that were there.

    Raises:
        UsageError: the page has no such marks.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise UsageError(
            "no place for the tables", hint=f"Mark it: {_BEGIN.strip()} and {_END.strip()}"
        )
    return f"{before}{begin}\n{tables}\n\n{end}{after}"


def _means(results: Sequence[Result]) -> list[str]:
    arms = sorted({(r.trial.pictures, r.trial.arm) for r in results})
    lines = [
        f"| arm | further pictures | seeds | {' | '.join(COLUMNS.values())} | boxes |",
        "|---|---|---|" + "---|" * (len(COLUMNS) + 1),
    ]
    for pictures, arm in arms:
        of_arm = [r for r in results if (r.trial.pictures, r.trial.arm) == (pictures, arm)]
        means = [
            f"{statistics.fmean(r.figures[name] for r in of_arm):.3f}".lstrip("0")
            for name in COLUMNS
        ]
        boxes = statistics.fmean(sum(r.boxes.values()) for r in of_arm)
        cells = [arm, str(pictures) if pictures >= 0 else "all", str(len(of_arm)), *means]
        lines.append(f"| {' | '.join(cells)} | {boxes:.0f} |")
    return lines


def _differences(results: Sequence[Result]) -> list[str]:
    known = {r.trial: r for r in results}
    lines = [
        "| difference | figure | by seed, points | mean | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    arms = sorted({(r.trial.pictures, r.trial.arm) for r in results if r.trial.pictures > 0})
    for (pictures, arm), chance in itertools.product(arms, _CHANCE):
        if chance == BOXES and arm != DEVICE:
            continue  # it has as many boxes as that arm's choice, and no other's
        pairs = [
            (known[trial], known[other])
            for trial in sorted(known)
            if (trial.pictures, trial.arm) == (pictures, arm) and arm not in _CHANCE
            if (other := Trial(trial.seed, chance, pictures)) in known
        ]
        for name, title in COLUMNS.items() if pairs else ():
            first = [100 * a.figures[name] for a, _ in pairs]
            second = [100 * b.figures[name] for _, b in pairs]
            each = ", ".join(f"{a - b:+.1f}" for a, b in zip(first, second, strict=True))
            line = f"| {arm} less {chance}, {pictures} | {title} | {each} |"
            if len(pairs) > 1:
                span = paired(first, second)
                line += f" {span.mean:+.2f} | {span.low:+.2f} to {span.high:+.2f} |"
            else:
                line += " | |"
            lines.append(line)
    return lines
