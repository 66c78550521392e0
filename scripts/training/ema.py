"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy
import math
from typing import Generic, TypeVar

import torch
from torch import nn

N = TypeVar("N", bound=nn.Module)


class WeightAverage(Generic[N]):
    """Keeps a slow copy of a network; the copy is what is evaluated and exported.

    The decay grows from 0 with the time constant ``ramp_steps``, so that the copy follows the
    network quickly while it is still far from anything useful.
    """

    def __init__(self, network: N, decay: float = 0.998, ramp_steps: int = 150) -> None:
        self.network: N = copy.deepcopy(network).eval().requires_grad_(False)
        self.steps = 0
        self._decay, self._ramp_steps = decay, ramp_steps

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the copy a step towards ``network``; buffers are taken over likewise."""
        self.steps += 1
        decay = self._decay * (1 - math.exp(-self.steps / self._ramp_steps))
        fresh = network.state_dict()
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(fresh[name].detach().to(value.dtype), 1 - decay)
            else:
                value.copy_(fresh[name])
