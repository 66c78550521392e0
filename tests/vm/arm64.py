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
SCORE_TOLERANCE = 0.02
"""Other processors' kernels round otherwise, and a step of a head map is 1/256."""
BOX_TOLERANCE = 0.02
"""Share of the box's longer side."""

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
        box: greatest difference of their corners, share of the box's longer side.
        lost: what one finds and the other does not, and no tolerance explains.
    """

    pictures: int
    objects: int
    score: float
    box: float
    lost: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.pictures} pictures, {self.objects} objects on both machines, scores within "
            f"{self.score:.4f}, corners within {self.box:.2%}; {len(self.lost)} on one alone"
        )

    @property
    def holds(self) -> bool:
        """Whether it is as good as it must be."""
        close = self.score <= SCORE_TOLERANCE and self.box <= BOX_TOLERANCE
        return bool(self.objects) and not self.lost and close


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
            if not agreement.holds:
                raise MachineError("\n".join(agreement.lost) or "the tolerance is exceeded")
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
    objects, score, box = 0, 0.0, 0.0
    alone: list[tuple[str, Mapping[str, Any]]] = []
    for name, wanted in reference.items():
        left = list(found[name])
        for each in wanted:
            twin = min(left, key=lambda other: _distance(each, other), default=None)
            if twin is None or _distance(each, twin) > BOX_TOLERANCE:
                alone.append((name, each))
                continue
            left.remove(twin)
            objects += 1
            score = max(score, abs(each["score"] - twin["score"]))
            box = max(box, _distance(each, twin))
        alone += [(name, each) for each in left]
    surely = SCORE + SCORE_TOLERANCE
    lost = tuple(f"{name}: {each}" for name, each in alone if each["score"] >= surely)
    return Agreement(len(reference), objects, score, box, lost)


def cpu(machine: Machine) -> str:
    """The processor's name."""
    return machine.run("lscpu | sed -n 's/^Model name: *//p'").stdout.strip()


def _distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Of two boxes' corners, share of the longer side; infinite between classes."""
    if one["class"] != other["class"]:
        return float("inf")
    x1, y1, x2, y2 = one["box"]
    corners = zip(one["box"], other["box"], strict=True)
    return float(max(abs(a - b) for a, b in corners) / max(x2 - x1, y2 - y1))
