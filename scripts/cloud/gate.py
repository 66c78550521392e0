"""Whether a model may replace the one in production. Pure.

Both are judged on the same pictures. It must be better in the mean, and must not buy that with a
class: people without a helmet are the point, however well helmets are found.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.cloud.errors import GateError
from updater.errors import UsageError

MEAN_KEY = "map50"
PART = "val/"
IDENTITY_KEYS = ("val_sha256", "dataset_version")
"""What may say which pictures the figures are of; compared where both files have it."""


@dataclass(frozen=True, slots=True)
class GateRule:
    """What better means.

    Attributes:
        least_gain: of the mean mAP50, which must gain more than this.
        most_loss: of any class's mAP50.
    """

    least_gain: float = 0.0
    most_loss: float = 0.02


@dataclass(frozen=True, slots=True)
class Figures:
    """A model's.

    Attributes:
        values: mAP50 by name; the mean's is ``map50``.
        identity: of the pictures, as far as it is told.
        where: they were read from.
    """

    values: Mapping[str, float]
    identity: Mapping[str, str]
    where: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of the gate.

    Attributes:
        better: whether it may replace the other.
        reasons: why not, one clause each.
        gain: of the mean.
    """

    better: bool
    reasons: tuple[str, ...]
    gain: float


def compare(candidate: Figures, production: Figures, rule: GateRule) -> Verdict:
    """Holds a model against the one in production.

    Raises:
        GateError: the figures are not of the same pictures, or one of them is missing.
    """
    for key in candidate.identity.keys() & production.identity.keys():
        if candidate.identity[key] != production.identity[key]:
            raise GateError(
                f"not comparable: {key} is {candidate.identity[key]!r}, and {production.where} "
                f"has {production.identity[key]!r}",
                where=candidate.where,
                hint="Evaluate both models on the same pictures",
            )
    missing = sorted(production.values.keys() - candidate.values.keys())
    if missing:
        raise GateError(
            f"{', '.join(missing)} is missing, and production has it", where=candidate.where
        )
    gain = candidate.values[MEAN_KEY] - production.values[MEAN_KEY]
    reasons = []
    if not gain > rule.least_gain:
        reasons.append(
            f"{MEAN_KEY} {candidate.values[MEAN_KEY]:.4f} is not more than production's "
            f"{production.values[MEAN_KEY]:.4f}"
            + (f" by {rule.least_gain:g}" if rule.least_gain else "")
        )
    for name in sorted(production.values.keys() - {MEAN_KEY}):
        loss = production.values[name] - candidate.values[name]
        if loss > rule.most_loss:
            reasons.append(f"{name} loses {loss:.4f}, and {rule.most_loss:g} is allowed")
    return Verdict(not reasons, tuple(reasons), gain)


def read_figures(path: Path) -> Figures:
    """Figures from a file: an object, ``evaluate``'s JSON lines (the last counts) or a manifest.

    Raises:
        UsageError: it cannot be read.
        GateError: it holds no figures.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("cannot be read as text", where=str(path)) from error
    found = None
    for document in _documents(text):
        inner, told = document.get("metrics", document), document.get("provenance")
        if isinstance(inner, dict) and {MEAN_KEY, PART + MEAN_KEY} & inner.keys():
            found = {**document, **inner, **of_pictures(told if isinstance(told, dict) else {})}
    if found is None:
        raise GateError(f"holds no {MEAN_KEY}", where=str(path))
    return figures(found, where=str(path))


def figures(raw: Mapping[str, object], *, where: str) -> Figures:
    """Figures from an object that holds others beside them.

    Raises:
        GateError: there is no mean, or a figure that is no share.
    """
    values: dict[str, float] = {}
    for key, value in raw.items():
        name = key.removeprefix(PART)
        if name != MEAN_KEY and not name.endswith(f"_{MEAN_KEY}"):
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(share := float(str(value))) or not 0 <= share <= 1:
            raise GateError(f"{key} is {value!r}, and should be from 0 to 1", where=where)
        values[name] = share
    if MEAN_KEY not in values:
        raise GateError(f"holds no {MEAN_KEY}", where=where)
    identity = {key: str(raw[key]) for key in IDENTITY_KEYS if raw.get(key)}
    return Figures(values, identity, where)


def of_pictures(provenance: Mapping[str, object]) -> dict[str, object]:
    """Which pictures a manifest's figures are of.

    Not ``dataset_version``: there it is of what the model was trained on, too.
    """
    return {key: provenance[key] for key in ("val_sha256",) if key in provenance}


def _documents(text: str) -> list[dict[str, object]]:
    """The whole text as one object, else each line as one; others are left out."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return [found for line in text.splitlines() if (found := _object(line)) is not None]
    return [whole] if isinstance(whole, dict) else []


def _object(line: str) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
