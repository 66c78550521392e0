"""One process or several: what ``torchrun`` tells, and a group that ends cleanly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """This process among the others.

    Attributes:
        rank: Number of this process, 0 is the one that reports and saves.
        ranks: Number of processes.
        device: Where this process computes.
    """

    rank: int
    ranks: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process reports and saves."""
        return self.rank == 0


@contextmanager
def world() -> Iterator[World]:
    """Join the group that ``torchrun`` describes (nccl on GPUs, gloo on CPUs), or be alone."""
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if ranks == 1:
        yield World(0, 1, device)
        return
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield World(rank, ranks, device)
    finally:
        distributed.destroy_process_group()


def agree(value: float, here: World) -> float:
    """The leader's ``value``, on every rank."""
    if here.ranks == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=here.device)
    distributed.broadcast(shared, 0)
    return float(shared.item())


def anyone(flag: bool, here: World) -> bool:
    """Whether ``flag`` is set on any rank; every rank must ask, and all hear the same."""
    if here.ranks == 1:
        return flag
    shared = torch.tensor([float(flag)], device=here.device)
    distributed.all_reduce(shared, distributed.ReduceOp.MAX)
    return bool(shared.item())


def shared(value: T, here: World) -> T:
    """The leader's ``value``, whatever it is, on every rank."""
    if here.ranks == 1:
        return value
    box = [value if here.leads else None]
    distributed.broadcast_object_list(box, 0, device=here.device)
    given: T = box[0]  # type: ignore[assignment]  # what the leader put in
    return given
