"""How long to wait before the next try to reach the broker. Pure."""

from __future__ import annotations

from dataclasses import dataclass

LOST_FIRST_S = 1.0
LOST_MOST_S = 30.0
"""A broker that is away: alerts wait at most this long after it is back."""

REFUSED_FIRST_S = 15.0
REFUSED_MOST_S = 300.0
"""A broker that refuses us: only a person can mend that, and brokers lock out who asks often."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter, so that a fleet does not return all at once.

    The method is "Full Jitter" of Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015; here a tenth of the delay is always waited, so that no try follows at once.

    Attributes:
        failures: tries that failed one after another.
    """

    failures: int = 0

    def failed(self) -> Backoff:
        """After one more failure."""
        return Backoff(self.failures + 1)

    def delay_s(self, *, refused: bool, jitter: float) -> float:
        """Seconds to wait now.

        Args:
            refused: whether the broker answered and refused us.
            jitter: at random from 0 to 1.
        """
        first_s, most_s = (
            (REFUSED_FIRST_S, REFUSED_MOST_S) if refused else (LOST_FIRST_S, LOST_MOST_S)
        )
        # The exponent is bounded before it is used: after weeks it would be astronomic.
        ceiling_s = min(most_s, first_s * 2.0 ** min(max(self.failures - 1, 0), 16))
        return ceiling_s * (0.1 + 0.9 * jitter)
