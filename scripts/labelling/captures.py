"""The captures of devices as they lie in a bucket's copy: pictures with what the model found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from scripts.labelling.picture import Box, BrokenLabelError, LabelledPicture, placed
from scripts.labelling.pictures import Measured, PictureError, measure
from scripts.labelling.problems import Kind, LabellingError, Problem
from updater.captures import (
    NAME_PATTERN,
    PICTURE_SUFFIX,
    SIDECAR_MAX_BYTES,
    SIDECAR_SUFFIX,
    Sidecar,
    from_json,
)
from updater.errors import StorageError

_KEY: Final = re.compile(r"(?P<device>[A-Za-z0-9._-]{1,64})\.(?P<day>\d{8})\.(?P<sha>[0-9a-f]{64})")
_DAY: Final = re.compile(r"20\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")


@dataclass(frozen=True, slots=True)
class Capture:
    """A picture that a device kept, and what is known of it.

    Attributes:
        picture: The file and the model's detections, clipped to it.
        name: Of the capture on its device.
        address: Where a labelling tool fetches the picture.
        device: Which camera.
        taken_utc: When, by the device's clock, e.g. ``2026-11-22T17:48:12.345000Z``.
        model_version: Of the model that looked.
        reasons: Why it was kept.
        value: What a label is worth, 0 to 1.
    """

    picture: LabelledPicture
    name: str
    address: str
    device: str
    taken_utc: str
    model_version: str
    reasons: tuple[str, ...]
    value: float

    @property
    def group(self) -> str:
        """What stays in one part of a data set: one camera's day."""
        return f"{self.device}/{self.taken_utc[:10]}"


@dataclass(frozen=True, slots=True)
class Key:
    """What a global key of ours says."""

    group: str
    sha256: str


def key_of(capture: Capture) -> str:
    """A key for tools that have one name a picture: device, day, content. Unique, no slash."""
    day = capture.taken_utc[:10].replace("-", "")
    return f"{capture.device}.{day}.{capture.picture.sha256}"


def parse_key(key: str) -> Key | None:
    """What :func:`key_of` made, or None for another's key."""
    found = _KEY.fullmatch(key)
    if not found:
        return None
    day = found["day"]
    return Key(f"{found['device']}/{day[:4]}-{day[4:6]}-{day[6:]}", found["sha"])


def group_of(sidecar: Sidecar) -> str:
    """The group of a capture: its camera's day."""
    return f"{sidecar.device}/{sidecar.taken.utc[:10]}"


def read_sidecar(path: Path) -> Sidecar | None:
    """The sidecar in a file; None for a file that is none by its name.

    Raises:
        StorageError: It is named like one and cannot be used.
    """
    if path.suffix != SIDECAR_SUFFIX or not NAME_PATTERN.match(path.stem):
        return None
    try:
        with path.open("rb") as file:
            data = file.read(SIDECAR_MAX_BYTES + 1)
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    sidecar = from_json(data, where=str(path))
    # In a bucket the capture's name is followed by a digest (docs/upload.md).
    if path.stem != sidecar.name and not path.stem.startswith(f"{sidecar.name}-"):
        raise StorageError(f"describes {sidecar.name}", where=str(path))
    return sidecar


def read_captures(
    folder: Path, address: str, *, least_score: float = 0.0
) -> tuple[list[Capture], list[Problem]]:
    """Every capture below a folder, most valuable first, and what was left out.

    Args:
        folder: A copy of the bucket below ``address``, or the captures of one device.
        address: Of the same folder for the labelling tool, e.g. ``s3://pictures/site-7``.
        least_score: Detections below it are no pre-labels.

    Raises:
        LabellingError: It is no folder.
    """
    if not folder.is_dir():
        raise LabellingError("no such folder", where=str(folder))
    captures: dict[str, Capture] = {}
    problems: list[Problem] = []
    for path in sorted(folder.rglob(f"*{SIDECAR_SUFFIX}")):
        try:
            if (sidecar := read_sidecar(path)) is None:
                continue
            capture = _capture(path, sidecar, _join(address, path, folder), least_score)
        except StorageError as error:
            problems.append(Problem(str(path), error.what, Kind.BROKEN))
        except PictureError as error:
            problems.append(Problem(str(path), str(error), Kind.UNREADABLE))
        else:
            if (twin := captures.get(capture.picture.sha256)) is not None:
                problems.append(Problem(str(path), f"the picture of {twin.name}", Kind.DUPLICATE))
            else:
                captures[capture.picture.sha256] = capture
    return sorted(captures.values(), key=lambda c: (-c.value, c.name)), problems


def _capture(path: Path, sidecar: Sidecar, address: str, least_score: float) -> Capture:
    picture = path.with_suffix(PICTURE_SUFFIX)
    measured = measure(picture)
    if measured.sha256 != sidecar.picture.sha256:
        raise PictureError(f"{picture.name} is not the picture that the sidecar describes")
    return Capture(
        picture=LabelledPicture(
            picture,
            measured.sha256,
            measured.width,
            measured.height,
            tuple(_boxes(sidecar, measured, least_score)),
        ),
        name=sidecar.name,
        address=address,
        device=sidecar.device,
        taken_utc=sidecar.taken.utc,
        model_version=sidecar.model.version,
        reasons=tuple(reason.reason for reason in sidecar.reasons),
        value=sidecar.value,
    )


def _boxes(sidecar: Sidecar, measured: Measured, least_score: float) -> Iterator[Box]:
    for found in sidecar.detections:
        if found.score < least_score:
            continue
        box = Box(found.class_name, *found.box, score=found.score)
        try:
            yield placed(box, measured.width, measured.height)
        except BrokenLabelError:
            # A tracker's prediction beyond the edge: nothing a person could correct.
            continue


def _join(address: str, sidecar: Path, folder: Path) -> str:
    relative = sidecar.with_suffix(PICTURE_SUFFIX).relative_to(folder)
    return f"{address.rstrip('/')}/{quote(relative.as_posix())}"


def day_in_path(path: Path) -> str | None:
    """The group in a path as uploads have it, ``DEVICE/yyyy/mm/dd/NAME``, or None."""
    if len(path.parts) < 5:
        return None
    device, *day = path.parts[-5:-1]
    text = "-".join(day)
    return f"{device}/{text}" if _DAY.fullmatch(text) else None
