"""Where a mutation's decisions come from: a random generator, or a fuzzer that learns."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

Kind = TypeVar("Kind")


class Choices(Protocol):
    """Decides."""

    def number(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""

    def data(self, most: int) -> bytes:
        """At most so many bytes."""


class RandomChoices:
    """Decides by a seed: the same seed, the same decisions."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def number(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def data(self, most: int) -> bytes:
        return self._random.randbytes(self._random.randint(0, most))


class AtherisChoices:
    """Decides as the bytes say that libFuzzer has found to lead somewhere new."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def number(self, low: int, high: int) -> int:
        return int(self._provider.ConsumeIntInRange(low, high))

    def data(self, most: int) -> bytes:
        return bytes(self._provider.ConsumeBytes(self.number(0, most)))


def pick(choices: Choices, among: Sequence[Kind]) -> Kind:
    """One of several."""
    return among[choices.number(0, len(among) - 1)]
