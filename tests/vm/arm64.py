"""The arm64 package on an arm64 machine: installed, watching, updated, rolled back.

What its runtimes find on pictures is compared with the amd64 package's, on this computer.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daemon.detection.iou import iou_matrix
from tests.support import rootfs
from tests.support.box import Box
from tests.vm import media
from tests.vm.camera import APT, SELFTEST_FAILED, WORK_TIMEOUT_S, Camera
from tests.vm.machine import Machine, MachineError

MEMORY_MB = 2048
RUNTIMES = {"bookworm": ("litert", "tflite-runtime"), "trixie": ("litert",)}
MODELS = 1

SCORE = 0.35
"""Least score; what one machine finds just above it, the other may just miss."""
SAME_IOU = 0.5
"""From here on two boxes are of the same object, as everywhere in the field."""


@dataclass(frozen=True)
class Tolerance:
    """How far the same model on two kinds of processors may differ.

    Attributes:
        score: of an object.
        iou: least overlap of its boxes.
    """

    score: float
    iou: float


TOLERANCES = {
    "litert": Tolerance(score=0.01, iou=0.98),
    # Its int8 kernels for ARM round otherwise than those for x86.
    "tflite-runtime": Tolerance(score=0.05, iou=0.75),
}

Run = Callable[[str], subprocess.CompletedProcess[str]]
Found = Mapping[str, Sequence[Mapping[str, Any]]]
"""Detections by the picture's name."""


@dataclass(frozen=True)
class Agreement:
    """How far two machines agree.

    Attributes:
        pictures: compared.
        objects: found by both.
        score: greatest difference of their scores.
        iou: least overlap of their boxes.
        alone: what only one finds, with the picture's name.
    """

    pictures: int
    objects: int
    score: float
    iou: float
    alone: tuple[tuple[str, Mapping[str, Any]], ...]

    def __str__(self) -> str:
        return (
            f"{self.pictures} pictures, {self.objects} objects found by both, scores within "
            f"{self.score:.3f}, overlap at least {self.iou:.3f}; {len(self.alone)} by one alone"
        )

    def holds(self, tolerance: Tolerance) -> bool:
        """Whether it is as good as it must be."""
        lost = any(found["score"] >= SCORE + tolerance.score for _, found in self.alone)
        close = self.score <= tolerance.score and self.iou >= tolerance.iou
        return bool(self.objects) and close and not lost


def run(machine: Machine, suite: str, reference: Mapping[str, Found]) -> None:
    """All steps.

    Args:
        machine: off; with one good model and the damaged one on its media.
        suite: the Debian release in it.
        reference: what the amd64 package finds, by runtime.

    Raises:
        MachineError: something does not hold.
    """
    with machine:
        camera = Camera(machine)
        print(f"{machine.run('uname -srm').stdout.strip()}, {cpu(machine)}", flush=True)
        print(f"from apt's start to the first frame: {camera.install():.0f} s", flush=True)
        floor = camera.expect(str(camera.update_status()["current"]["version"]))
        # What is compared needs the processors for itself.
        machine.run("systemctl stop sitewatch")
        for runtime in RUNTIMES[suite]:
            found = detect(lambda command: machine.run(command, timeout_s=WORK_TIMEOUT_S), runtime)
            agreement = compare(reference[runtime], found)
            print(f"{runtime}: {agreement}", flush=True)
            if not agreement.holds(TOLERANCES[runtime]):
                raise MachineError(f"more than {TOLERANCES[runtime]}: {agreement.alone}")
        machine.run("systemctl start sitewatch")
        camera.wait_until_it_watches()
        took_s = camera.expect_installed(media.model(1), media.version(1))
        print(f"{media.version(1)} installed, proven, committed: {took_s:.0f} s", flush=True)
        refused = camera.install_model(media.DAMAGED_MODEL)
        print(refused.stderr.strip().rpartition("\n")[2], flush=True)
        if refused.returncode != SELFTEST_FAILED:
            raise MachineError(f"{refused.returncode}\n{refused.stderr}")
        camera.expect(media.version(1))
        print(machine.run("sitewatch-update rollback").stdout.strip(), flush=True)
        camera.expect(floor)
        camera.wait_until_it_watches()
        machine.shut_down()


def on_this_computer(suite: str, deb: Path, work: Path) -> dict[str, Found]:
    """What the amd64 package finds in a booted box, by runtime."""
    with Box(rootfs.debian(suite), work / "box") as box:
        box.put(deb, media.DEB)
        for path in media.pictures():
            box.put(path, f"{media.PICTURES}/{path.name}")
        box.run(f"systemctl mask sitewatch; {APT}{media.DEB}")
        return {runtime: detect(box.run, runtime) for runtime in RUNTIMES[suite]}


def detect(run: Run, runtime: str) -> Found:
    """What the package's model finds on the pictures."""
    command = f"sitewatch detect --json --runtime {runtime} --threshold {SCORE}"
    lines = run(f"{command} --model /usr/share/sitewatch/model {media.PICTURES}").stdout
    records = [json.loads(line) for line in lines.splitlines()]
    return {Path(record["path"]).name: record["detections"] for record in records}


def compare(reference: Found, found: Found) -> Agreement:
    """Compares what two machines found on the same pictures."""
    if reference.keys() != found.keys():
        raise MachineError(f"pictures {sorted(reference)}, but {sorted(found)}")
    pairs: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
    alone: list[tuple[str, Mapping[str, Any]]] = []
    for name, wanted in reference.items():
        left = list(found[name])
        for each in wanted:
            twin = max(left, key=lambda other: _overlap(each, other), default=None)
            if twin is None or _overlap(each, twin) < SAME_IOU:
                alone.append((name, each))
            else:
                left.remove(twin)
                pairs.append((each, twin))
        alone += [(name, each) for each in left]
    return Agreement(
        pictures=len(reference),
        objects=len(pairs),
        score=max((abs(one["score"] - other["score"]) for one, other in pairs), default=0.0),
        iou=min((_overlap(one, other) for one, other in pairs), default=1.0),
        alone=tuple(alone),
    )


def cpu(machine: Machine) -> str:
    """The processor's name."""
    return machine.run("lscpu | sed -n 's/^Model name: *//p'").stdout.strip()


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Intersection over union; 0 between classes."""
    if one["class"] != other["class"]:
        return 0.0
    boxes = (np.array([each["box"]], np.float32) for each in (one, other))
    return float(iou_matrix(*boxes)[0, 0])
