"""What one run of the demonstration is made of: pictures, devices, how long, how much training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.looping import archives, faulty, photographs
from scripts.looping.faulty import Fault
from scripts.looping.photographs import Photograph
from scripts.looping.valohai import Execution, Order


@dataclass(frozen=True, slots=True)
class Plan:
    """A run.

    Attributes:
        views: what each device's camera shows, photograph after photograph.
        first: orders for the nodes that make and publish the first model, but for addresses.
        next: likewise for the second.
        first_done, next_done: nodes that are not run, and what they would have made.
        captures: section of each device's configuration.
        probation: section of each device's ``update.toml``.
        asked: of each model, by its gate and its probation: parameters of the step publish.
        fault: what the bad model suffers from.
        golden: folders that golden pictures are chosen from; None leaves the bundle's own.
        frames_per_s: of each camera; slow, so that the devices leave the processors to training.
    """

    views: Sequence[Sequence[Photograph]]
    first: Mapping[str, Order]
    next: Mapping[str, Order]
    captures: Mapping[str, Any]
    probation: Mapping[str, Any]
    fault: Fault
    first_done: Mapping[str, Execution] = field(default_factory=dict)
    next_done: Mapping[str, Execution] = field(default_factory=dict)
    golden: Sequence[str] | None = ("packaging/model",)
    asked: Mapping[str, float] = field(default_factory=dict)
    frames_per_s: int = 2

    @property
    def devices(self) -> tuple[str, ...]:
        """Their names; the first is the canary."""
        return tuple(f"cam-{number}" for number in range(1, len(self.views) + 1))


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything.

    Attributes:
        devices: cameras.
        start: photographs that the first model is made of.
        judged: photographs of ``val`` that both models are judged on.
        each: that each camera shows.
        kept: pictures that a device keeps: the best of what it saw.
        first_epochs, next_epochs: of training.
    """

    devices: int = 5
    start: int = 120
    judged: int = 60
    each: int = 36
    kept: int = 24
    first_epochs: int = 8
    next_epochs: int = 4


WEIGHTS = "weights/yolov5s_v6.0_coco.npz"
PROBATION = {
    "seconds": 10.0, "frames": 20, "timeout_s": 300.0, "max_slowdown": 20.0,
}  # fmt: skip
"""Shorter than on a site, where a model has a minute of frames to prove itself; and devices that
share two processors say nothing about a model's speed."""

ASKED = {"min-agreement": 0.2, "max-extra-per-frame": 4.0, "most-loss": 0.05}
"""Of what a model trained for minutes is sure of, a better one rightly finds less than half at
times; each photograph shows a crowd, so the first model's misses are many; and on 60 photographs
two points of one class are chance."""


def with_training(data: Path, work: Path, size: Size) -> Plan:
    """The whole, on the in-house photographs.

    Args:
        data: folder with ``hardhat/`` and ``weights/``.
        work: takes the first data set.
        size: how much.
    """
    source = data / "hardhat"
    dealt = photographs.deal(photographs.read(source, "train"), size.start, size.devices, size.each)
    start = work / "hardhat"
    photographs.write_set(dealt.start, "train", source, start)
    photographs.write_set(photographs.read(source, "val")[: size.judged], "val", source, start)
    packed = archives.pack(start, work / "hardhat.tar")
    weights = {"weights": [data / WEIGHTS]}

    def training(epochs: int) -> dict[str, Order]:
        return {
            "train": Order(weights, {"epochs": epochs, "batch": 8}),
            "export": Order(parameters={"calibration": 64}),
        }

    prepared = {"source": ["yolo+persons:/tmp/hardhat"], "val-share": 0.0}
    grown = {"source": ["yolo:/tmp/hardhat", "coco+persons:/tmp/labels"], "val-share": 0.0}
    return Plan(
        views=dealt.cameras,
        first={
            "prepare": Order({"dataset": [packed], **weights}, prepared),
            **training(size.first_epochs),
        },
        next={"prepare": Order(weights, grown), **training(size.next_epochs)},
        captures={
            "max_files": size.kept, "per_minute": 60, "per_hour": 600, "per_day": 600,
            "jpeg_quality": 95,
        },
        probation=PROBATION,
        asked=ASKED,
        fault=faulty.DISORDERED,
    )  # fmt: skip
