"""The learning rate as a function of progress.

Progress is the share of the planned steps *or* of the time allowed that is used up, whichever
is more: a run on a busy machine then ends in time with a complete schedule, instead of being
cut off at a high rate ("budgeted training", Li et al. 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """Linear warm-up over ``warmup_steps``, then a cosine down to ``floor`` of the rate."""

    rate: float
    warmup_steps: int
    total_steps: int
    budget_s: float | None = None
    floor: float = 0.01

    def progress(self, step: int, elapsed_s: float) -> float:
        """Share of the run that is done, 0 to 1."""
        share = step / max(1, self.total_steps)
        if self.budget_s is not None:
            share = max(share, elapsed_s / self.budget_s)
        return min(1.0, share)

    def rate_at(self, step: int, progress: float) -> float:
        """Learning rate for a step."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        cosine = (1 + math.cos(math.pi * progress)) / 2
        return self.rate * warm * (self.floor + (1 - self.floor) * cosine)
