"""The proof that a bundle does on this machine what its manifest says."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from daemon.config import ModelConfig
from daemon.detection.detections import Detection, Detections
from daemon.detection.detector import Detector
from daemon.detection.iou import iou_matrix
from daemon.memory import resident_bytes
from daemon.sources.folder import read_picture
from daemon.sources.picture import ArrayPicture
from updater.bundle import verify_folder
from updater.errors import BundleError, ModelError, SourceError
from updater.manifest import GoldenObject, GoldenPicture, Manifest

TIMED_RUNS = 15
"""Invokes whose median is held against the limit; half a second on a slow Pi."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of it.

    Attributes:
        bundle: its folder.
        version: of the bundle.
        runtime: that ran it.
        threads: of the runtime.
        golden: number of golden pictures looked at.
        invoke_ms: times of single runs, milliseconds.
        invoke_limit_ms: greatest median allowed; 0: none.
        resident_bytes: memory of this process with the model loaded.
        failures: what is wrong, one clause each; empty: all is well.
    """

    bundle: Path
    version: str
    runtime: str
    threads: int
    golden: int
    invoke_ms: tuple[float, ...]
    invoke_limit_ms: float
    resident_bytes: int
    failures: tuple[str, ...]


def prove(config: ModelConfig) -> Proof:
    """Runs a bundle's golden pictures and its model's time.

    Args:
        config: names the bundle's folder, the runtime and its threads; the thresholds are the
            manifest's.

    Raises:
        BundleError: the bundle is incomplete, damaged, or a golden picture is not one.
        ModelError: no runtime can run the model, or its layout is unknown.
    """
    manifest = verify_folder(config.bundle)
    least = min(
        [manifest.thresholds.score]
        + [wanted.min_score for golden in manifest.golden for wanted in golden.objects]
    )
    detector = Detector.open(replace(config, score_threshold=least, iou_threshold=0.0))
    try:
        failures = [] if manifest.golden else ["there are no golden pictures, so nothing is proven"]
        times_ms: list[float] = []
        for golden in manifest.golden:
            picture = _picture(config.bundle, golden)
            failures += _infinite(detector, picture, golden)
            try:
                found = detector.detect(picture)
            except ModelError as error:
                failures.append(f"{golden.file}: {error.what}")
                continue
            failures += compare(golden, found, manifest.thresholds.score)
        blank = ArrayPicture(np.zeros((*reversed(detector.input_size), 3), np.uint8))
        for _ in range(TIMED_RUNS):
            detector.detect(blank)
            times_ms.append(detector.timing.invoke_ms)
        failures += _slow(manifest, times_ms)
        return Proof(
            bundle=config.bundle,
            version=manifest.version,
            runtime=detector.runtime.kind.name,
            threads=config.threads,
            golden=len(manifest.golden),
            invoke_ms=tuple(times_ms),
            invoke_limit_ms=manifest.invoke_limit_ms,
            resident_bytes=resident_bytes(),
            failures=tuple(failures),
        )
    finally:
        detector.close()


def compare(golden: GoldenPicture, found: Detections, threshold: float) -> list[str]:
    """What differs between a golden picture's objects and what was found.

    Each object takes the best overlapping detection of its class that no other has taken.

    Args:
        golden: what must be found.
        found: what was found, at any threshold up to ``threshold``.
        threshold: from this score on, a detection that is no golden object is one too many.

    Returns:
        One clause for each difference.
    """
    failures = []
    left = list(found)
    for wanted in golden.objects:
        same = [one for one in left if one.class_name == wanted.class_name]
        best = max(same, key=partial(_overlap, wanted), default=None)
        if best is None or _overlap(wanted, best) < golden.min_iou:
            place = ", ".join(f"{side:.0f}" for side in wanted.box)
            failures.append(f"{golden.file}: no {wanted.class_name} is found at [{place}]")
            continue
        left.remove(best)
        if best.score < wanted.min_score:
            failures.append(
                f"{golden.file}: the {wanted.class_name} is found with a score of "
                f"{best.score:.3f}, under {wanted.min_score:g}"
            )
    failures += [
        f"{golden.file}: a {one.class_name} is found (score {one.score:.3f}) that is not there"
        for one in left
        if one.score >= threshold
    ]
    return failures


def _overlap(wanted: GoldenObject, one: Detection) -> float:
    pair = np.array([wanted.box, one.box.as_tuple()], np.float32)
    return float(iou_matrix(pair[:1], pair[1:])[0, 0])


def _picture(folder: Path, golden: GoldenPicture) -> ArrayPicture:
    try:
        return ArrayPicture(read_picture(folder / golden.file))
    except SourceError as error:
        raise BundleError(f"golden picture: {error.what}", where=error.where) from error


def _infinite(detector: Detector, picture: ArrayPicture, golden: GoldenPicture) -> list[str]:
    bad = [
        tensor.name
        for tensor, output in zip(
            detector.runtime.tensors.outputs, detector.outputs(picture), strict=True
        )
        if not np.isfinite(output).all()
    ]
    return [f"{golden.file}: {name} holds values that are not finite" for name in bad]


def _slow(manifest: Manifest, times_ms: Sequence[float]) -> list[str]:
    median_ms = statistics.median(times_ms)
    if not 0 < manifest.invoke_limit_ms < median_ms:
        return []
    return [f"a run takes {median_ms:.1f} ms, and {manifest.invoke_limit_ms:g} are allowed"]
