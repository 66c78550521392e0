"""Two models on the same pictures: what changed, and how much of it may be chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from scripts.selection.resample import bootstrap
from training.metrics import Evaluation

MEAN: Final = "mean"


@dataclass(frozen=True, slots=True)
class Change:
    """Of mAP50, from the model in production to the new one.

    Attributes:
        name: A class, or `MEAN`.
        old, new: The figures.
        low, high: 95 % interval of the difference by a paired bootstrap: pictures are drawn anew
            with replacement, the same for both models; the boxes of one stay together, for they
            are not independent. NaN where it cannot be told.
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
    new: Evaluation, old: Evaluation, classes: Sequence[str], main: Sequence[str]
) -> list[Change]:
    """Changes by class, and of the mean over the classes ``main``.

    Raises:
        ValueError: They are not of the same number of pictures.
    """
    pictures = {len(each.matched[name].labels) for each in (new, old) for name in classes}
    if len(pictures) != 1:
        raise ValueError("both models must be judged on the same pictures")
    changes = []
    for name, over in (*((name, (name,)) for name in classes), (MEAN, tuple(main))):
        then, now = (
            float(np.mean([each.precision[one].map50 for one in over])) for each in (old, new)
        )
        span = bootstrap([new.matched[one] for one in over], [old.matched[one] for one in over])
        changes.append(Change(name, then, now, span.low, span.high))
    return changes
