"""Photographs as a camera's stream through the capture code of the device, as it is.

Detector, selector and buffer are the daemon's own. What stands in for a device: each photograph is
a frame, one every :data:`FRAME_EVERY_S`, and the clock is moved by hand. No photograph is followed
by another of the same scene, so nobody is tracked: ``class_flip`` and ``blinking`` cannot occur.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from daemon.captures.buffer import CaptureBuffer
from daemon.captures.selection import CaptureSelector
from daemon.clock import Clock
from daemon.config import CapturesConfig, RulesConfig
from daemon.detection.detections import HEAD, HELMET, Detections
from daemon.frames import Frame, Picture, RgbImage
from daemon.sources.picture import ArrayPicture
from updater import captures as stored
from updater.errors import SourceError

FRAME_EVERY_S: Final = 60.0
"""At this rate 370 photographs are six hours of a site, and the default random share gives six."""

_START_UNIX_S: Final = 1_795_000_000.0


class Eye(Protocol):
    """What of the detector is used; the daemon's ``Detector`` is one."""

    def small(self, picture: Picture) -> RgbImage:
        """The picture as the detector and the perceptual hash see it."""

    def detect_small(self, small: RgbImage, picture: Picture) -> Detections:
        """What is found on it."""


class OnceSeen:
    """A detector that looks at each picture once and remembers what it found.

    Args:
        eye: the detector.
    """

    def __init__(self, eye: Eye) -> None:
        self._eye = eye
        self._found: dict[bytes, Detections] = {}

    def small(self, picture: Picture) -> RgbImage:
        """See :class:`Eye`."""
        return self._eye.small(picture)

    def detect_small(self, small: RgbImage, picture: Picture) -> Detections:
        """See :class:`Eye`."""
        content = hashlib.sha256(small.tobytes()).digest()
        if content not in self._found:
            self._found[content] = self._eye.detect_small(small, picture)
        return self._found[content]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a device kept of a stream.

    Attributes:
        names: of the photographs in the folder at the end (file names without suffix), in the
            order of the stream.
        reasons: how many of them were kept for each reason.
        decided: photographs that the selector named, kept or not.
    """

    names: tuple[str, ...]
    reasons: dict[str, int]
    decided: int


def device_config(folder: Path, most: int) -> CapturesConfig:
    """The default configuration, with the limits on pictures a time out of the way.

    Args:
        folder: of the captures.
        most: pictures that the budget allows: the only limit that can bind.
    """
    return CapturesConfig(
        folder=folder,
        max_files=most,
        max_bytes=1_000_000_000,
        free_floor_bytes=0,
        per_minute=10_000,
        per_hour=100_000,
        per_day=1_000_000,
    )


def keep(photographs: Sequence[Path], eye: Eye, config: CapturesConfig, *, seed: int) -> Choice:
    """Shows photographs to a device, one after the other, and tells which it still has at the end.

    Selector and buffer are called in the recorder's order, but without its thread: a picture is on
    disk before the next is looked at, so that the same seed gives the same choice.

    Args:
        photographs: files, in the order of the stream.
        eye: the detector.
        config: see :func:`device_config`; the folder must be empty.
        seed: of the random share.

    Raises:
        SourceError: a photograph cannot be read.
        StorageError: the folder cannot be written.
    """
    now_s = 0.0
    clock = Clock(
        wall_s=lambda: _START_UNIX_S + now_s,
        monotonic_s=lambda: now_s,
        synchronised=lambda: True,
        boot_id="experiment",
    )
    rules = RulesConfig()
    selector = CaptureSelector(
        config,
        chance=random.Random(seed),
        thresholds={HELMET: rules.helmet_score, HEAD: rules.bare_score},
    )
    buffer = CaptureBuffer(config, "experiment", clock=clock)
    decided = 0
    for number, path in enumerate(photographs):
        now_s = (number + 1) * FRAME_EVERY_S
        picture = ArrayPicture(read_photograph(path))
        frame = Frame(number, now_s, _START_UNIX_S + now_s, now_s, picture)
        small = eye.small(picture)
        decision = selector.decide(frame, eye.detect_small(small, picture), (), small)
        if decision is None:
            continue
        decided += 1
        if buffer.refusal(decision) is not None:
            continue
        selector.remember(decision)
        # The file as it is, where a device would encode its frame: training sees no second JPEG.
        if buffer.store(decision, path.read_bytes()).name is None:
            selector.forget(decision)
    return _kept(config.folder, photographs, decided)


def read_photograph(path: Path) -> RgbImage:
    """A photograph as RGB, shape (height, width, 3).

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise SourceError(f"not a readable picture: {error}", where=str(path)) from error


def _kept(folder: Path, photographs: Sequence[Path], decided: int) -> Choice:
    present = [path.name for path in folder.iterdir()]
    sidecars = [stored.read(folder, name) for name in sorted(stored.complete_names(present))]
    return Choice(
        names=tuple(photographs[one.taken.frame_sequence].stem for one in sidecars),
        reasons=dict(Counter(each.reason for one in sidecars for each in one.reasons)),
        decided=decided,
    )
