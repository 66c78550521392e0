"""Two models on the same pictures: what changed, and how much of it may be chance.

The interval is a paired percentile bootstrap over pictures (Efron & Tibshirani, An Introduction
to the Bootstrap, 1993, ch. 13): pictures are drawn anew with replacement, the same for both
models, and the difference is taken each time. Boxes of one picture stay together, for they are
not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.metrics import Evaluation, Matches

MEAN: Final = "mean"
_DRAWS: Final = 2000
_PERCENTILES: Final = (2.5, 97.5)
_RECALLS: Final = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class Change:
    """Of mAP50, from the model in production to the new one.

    Attributes:
        name: A class, or `MEAN`.
        old, new: The figures.
        low, high: 95 % interval of the difference; NaN where it cannot be told.
    """

    name: str
    old: float
    new: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        """Of the new one."""
        return self.new - self.old


def compare(
    new: Evaluation, old: Evaluation, classes: Sequence[str], main: Sequence[str], seed: int = 0
) -> list[Change]:
    """Changes by class, and of the mean over the classes ``main``.

    Raises:
        ValueError: They are not of the same number of pictures.
    """
    pictures = len(old.matches[classes[0]].labels)
    if any(len(each.matches[name].labels) != pictures for each in (new, old) for name in classes):
        raise ValueError("both models must be judged on the same pictures")
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(pictures, np.full(pictures, 1 / pictures), _DRAWS)
    gains = {
        name: precision50(new.matches[name], draws) - precision50(old.matches[name], draws)
        for name in classes
    }
    gains[MEAN] = np.mean([gains[name] for name in main], axis=0)
    changes = []
    for name in (*classes, MEAN):
        then, now = (_figure(each, name, main) for each in (old, new))
        usable = gains[name][np.isfinite(gains[name])]
        low, high = np.percentile(usable, _PERCENTILES) if len(usable) else (np.nan, np.nan)
        changes.append(Change(name, then, now, float(low), float(high)))
    return changes


def precision50(matches: Matches, draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """mAP50 of one class on drawn pictures.

    Args:
        matches: Of the class.
        draws: ``[N,P]``, how often each picture is in each draw.

    Returns:
        ``[N]``; NaN where a draw has no label of the class.
    """
    return np.asarray([_one(matches, counts) for counts in draws], np.float64)


def _one(matches: Matches, counts: NDArray[np.int64]) -> float:
    labels = int(counts @ matches.labels)
    if labels == 0:
        return float("nan")
    if not len(matches.hits):
        return 0.0
    weights = counts[matches.pictures]
    hits = np.cumsum(weights * matches.hits)
    claims = np.cumsum(weights)
    precision = hits / np.maximum(claims, 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(hits / labels, _RECALLS, side="left")
    reached = at < len(envelope)
    return float(np.where(reached, envelope[np.minimum(at, len(envelope) - 1)], 0.0).mean())


def _figure(evaluation: Evaluation, name: str, main: Sequence[str]) -> float:
    names = main if name == MEAN else (name,)
    return float(np.mean([evaluation.precision[each].map50 for each in names]))
