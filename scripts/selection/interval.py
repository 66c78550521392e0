"""How far a mean difference of few paired trials can be believed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from updater.errors import UsageError

#: Student's t, 97.5 % quantile, by degrees of freedom (any table of it; R: qt(0.975, n)).
T_975: Mapping[int, float] = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262,
    10: 2.228, 11: 2.201, 12: 2.179, 13: 2.160, 14: 2.145, 15: 2.131, 16: 2.120, 17: 2.110,
    18: 2.101, 19: 2.093,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def paired(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Mean of ``first - second``, pair by pair, and its 95 % interval by Student's t.

    Args:
        first: one value a seed.
        second: of the same seeds, in the same order.

    Raises:
        UsageError: not pairs, or fewer than two, or more than the table knows.
    """
    if len(first) != len(second) or len(first) - 1 not in T_975:
        raise UsageError(f"needs 2 to {max(T_975) + 1} pairs, not {len(first)} and {len(second)}")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    mean = statistics.fmean(differences)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    half = T_975[len(differences) - 1] * error
    return Interval(mean, mean - half, mean + half)
