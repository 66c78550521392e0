"""The folder of captures as anybody may read it: names, sidecars, what counts as present.

A capture is a picture ``NAME.jpg`` and its sidecar ``NAME.json``. The sidecar is renamed into place
last: where it stands, the picture is whole. Whoever removes a capture takes the sidecar first.
``NAME.stored`` beside them says that the capture lies safely elsewhere and may be freed. Who writes
or removes holds the lock (:data:`LOCK_NAME`, ``flock``) meanwhile; reading needs no lock, a file
that has just gone is no error. The page ``docs/captures.md`` documents the format.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from updater.errors import StorageError
from updater.fields import FieldReader

FORMAT = 1
PICTURE_SUFFIX = ".jpg"
SIDECAR_SUFFIX = ".json"
STORED_SUFFIX = ".stored"
LOCK_NAME = ".lock"
SIDECAR_MAX_BYTES = 256 * 1024
PICTURE_MAX_BYTES = 64 * 1024 * 1024
DETECTIONS_MAX = 1000
SUBJECTS_MAX = 16
"""Subjects of one reason; a crowd has more, but the first are the most valuable."""

CLASSES_MAX = 1000
SIDE_MAX_PX = 65_535
SEQUENCE_DIGITS = 10
SEQUENCE_MAX = 10**SEQUENCE_DIGITS - 1

REASONS = (
    "uncertain_score",
    "class_flip",
    "blinking",
    "model_disagreement",
    "random",
    "requested",
)

NAME_PATTERN = re.compile(r"[0-9]{10}-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
DEVICE_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")
BOOT_ID_PATTERN = re.compile(r"[0-9A-Za-z-]{1,64}")
PHASH_PATTERN = re.compile(r"[0-9a-f]{16}")
SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class Subject:
    """What in the picture a reason is about, which need not be a detection: a person just missed.

    Attributes:
        class_name: what it seems to be.
        value: what a label there is worth, 0 to 1.
        box: x1, y1, x2, y2 in pixels of the picture.
    """

    class_name: str
    value: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a picture was kept.

    Attributes:
        reason: one of :data:`REASONS`.
        value: what a label is worth for this reason, 0 to 1.
        subjects: what it is about, most valuable first; empty for random and requested pictures.
    """

    reason: str
    value: float
    subjects: tuple[Subject, ...] = ()


@dataclass(frozen=True, slots=True)
class Pixels:
    """The picture's file.

    Attributes:
        width: pixels.
        height: pixels.
        size_bytes: of the JPEG file.
        sha256: of the JPEG file, 64 lower-case hex digits.
    """

    width: int
    height: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Model:
    """The model that looked.

    Attributes:
        version: of its bundle.
        classes: class names in the model's order.
    """

    version: str
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """One detection.

    Attributes:
        class_name: one of the model's classes.
        score: 0 to 1.
        box: x1, y1, x2, y2 in pixels of the picture.
    """

    class_name: str
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Taken:
    """When the picture was taken, on every clock there is.

    Attributes:
        utc: wall clock, e.g. ``2026-11-22T17:48:12.345000Z``; may be wrong, see next.
        clock_synchronised: whether the wall clock was known to be right.
        boot_id: which boot of the device ``monotonic_s`` belongs to.
        monotonic_s: seconds since that boot.
        elapsed_s: seconds on a count that never goes back: the captures' own, see
            ``docs/captures.md``.
        media_time_s: on the source's clock.
        frame_sequence: number of the frame in its source's run.
    """

    utc: str
    clock_synchronised: bool
    boot_id: str
    monotonic_s: float
    elapsed_s: float
    media_time_s: float
    frame_sequence: int

    @property
    def unix_s(self) -> float:
        """The wall clock in seconds since 1970."""
        return datetime.strptime(self.utc, TIME_FORMAT).replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What is known of a picture.

    Attributes:
        sequence: counts the captures of this folder; a number is never used twice.
        device: id of the camera.
        taken: when.
        picture: the file.
        model: who looked.
        detections: what the model found, strongest first.
        reasons: why it was kept, at least one.
        value: all reasons together, 0 to 1.
        phash: perceptual hash, 16 lower-case hex digits.
        other_model: who looked too, where two were compared; the file has no such field without.
        format: of the sidecar.
    """

    sequence: int
    device: str
    taken: Taken
    picture: Pixels
    model: Model
    detections: tuple[Found, ...]
    reasons: tuple[Reason, ...]
    value: float
    phash: str
    other_model: Model | None = None
    format: int = FORMAT

    @property
    def name(self) -> str:
        """The name of both files without suffix: sequence, time, start of the picture's sha256."""
        stamp = datetime.fromtimestamp(self.taken.unix_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        return f"{self.sequence:010d}-{stamp}-{self.picture.sha256[:8]}"


def utc_text(unix_s: float) -> str:
    """A wall-clock time as sidecars write it."""
    return datetime.fromtimestamp(unix_s, UTC).strftime(TIME_FORMAT)


def to_fields(sidecar: Sidecar) -> dict[str, Any]:
    """The sidecar as the JSON object that the file holds."""
    fields = asdict(sidecar)
    if sidecar.other_model is None:
        del fields["other_model"]  # as in the files of versions that did not know it
    return fields


def to_json(sidecar: Sidecar) -> bytes:
    """The sidecar as JSON (sorted keys, UTF-8): the same sidecar, the same bytes."""
    return json.dumps(to_fields(sidecar), sort_keys=True, ensure_ascii=False).encode() + b"\n"


def from_json(data: bytes, *, where: str) -> Sidecar:
    """Reads and checks a sidecar.

    Args:
        data: the file's bytes, at most :data:`SIDECAR_MAX_BYTES`.
        where: named in errors.

    Raises:
        StorageError: not JSON, an unknown or missing field, a value of the wrong type or range.
    """
    if len(data) > SIDECAR_MAX_BYTES:
        raise StorageError(f"larger than {SIDECAR_MAX_BYTES} bytes", where=where)
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"not JSON: {error}", where=where) from error
    reader = FieldReader(raw, where=where, error=StorageError)
    if (found := reader.integer("format", 1, 2**31)) != FORMAT:
        raise StorageError(
            f"format {found}, and this version reads format {FORMAT}",
            where=f"{where}: format",
            hint="Read it with the version of Sitewatch that wrote it",
        )
    model = _model(reader.sub("model"))
    sidecar = Sidecar(
        sequence=reader.integer("sequence", 0, SEQUENCE_MAX),
        device=reader.text("device", pattern=DEVICE_PATTERN),
        taken=_taken(reader.sub("taken")),
        picture=_picture(reader.sub("picture")),
        model=model,
        detections=tuple(
            _found(entry, model.classes)
            for entry in reader.subs("detections", at_most=DETECTIONS_MAX)
        ),
        reasons=tuple(
            _reason(entry) for entry in reader.subs("reasons", at_least=1, at_most=len(REASONS))
        ),
        value=reader.number("value", 0.0, 1.0),
        phash=reader.text("phash", pattern=PHASH_PATTERN),
        other_model=_model(reader.sub("other_model")) if reader.has("other_model") else None,
    )
    reader.finish()
    return sidecar


def read(folder: Path, name: str) -> Sidecar:
    """The sidecar of one capture.

    Raises:
        StorageError: it is not there, cannot be read, is not valid, or belongs to another name.
    """
    path = folder / f"{name}{SIDECAR_SUFFIX}"
    if not NAME_PATTERN.fullmatch(name):
        raise StorageError(f"{name[:80]!r} is not the name of a capture", where=str(folder))
    try:
        with path.open("rb") as file:
            data = file.read(SIDECAR_MAX_BYTES + 1)
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    sidecar = from_json(data, where=str(path))
    if sidecar.name != name:
        raise StorageError(f"describes {sidecar.name}", where=str(path))
    return sidecar


def complete_names(file_names: Iterable[str]) -> list[str]:
    """Names of the captures that are wholly there, oldest first.

    Args:
        file_names: every file name in the folder; others than captures are passed over.
    """
    present = set(file_names)
    return sorted(
        stem
        for file_name in present
        if file_name.endswith(SIDECAR_SUFFIX)
        and NAME_PATTERN.fullmatch(stem := file_name.removesuffix(SIDECAR_SUFFIX))
        and f"{stem}{PICTURE_SUFFIX}" in present
    )


def sha256_of(data: bytes) -> str:
    """The digest as sidecars write it."""
    return hashlib.sha256(data).hexdigest()


def sequence_of(name: str) -> int:
    """The sequence number in a capture's name."""
    return int(name[:SEQUENCE_DIGITS])


def _taken(reader: FieldReader) -> Taken:
    taken = Taken(
        utc=_time(reader),
        clock_synchronised=reader.flag("clock_synchronised"),
        boot_id=reader.text("boot_id", pattern=BOOT_ID_PATTERN),
        monotonic_s=reader.number("monotonic_s", 0.0, 1e12),
        elapsed_s=reader.number("elapsed_s", 0.0, 1e12),
        media_time_s=reader.number("media_time_s", -1e12, 1e12),
        frame_sequence=reader.integer("frame_sequence", 0, 2**63),
    )
    reader.finish()
    return taken


def _time(reader: FieldReader) -> str:
    text = reader.text("utc")
    try:
        again = datetime.strptime(text, TIME_FORMAT).strftime(TIME_FORMAT)
    except ValueError:
        again = ""
    if text != again:
        raise StorageError(
            f"{text[:80]!r} is not a time like 2026-11-22T17:48:12.345000Z",
            where=f"{reader.where}: utc",
        )
    return text


def _picture(reader: FieldReader) -> Pixels:
    pixels = Pixels(
        width=reader.integer("width", 1, SIDE_MAX_PX),
        height=reader.integer("height", 1, SIDE_MAX_PX),
        size_bytes=reader.integer("size_bytes", 1, PICTURE_MAX_BYTES),
        sha256=reader.text("sha256", pattern=SHA256_PATTERN),
    )
    reader.finish()
    return pixels


def _model(reader: FieldReader) -> Model:
    model = Model(
        version=reader.text("version"),
        classes=reader.texts("classes", at_least=1, at_most=CLASSES_MAX),
    )
    reader.finish()
    return model


def _found(reader: FieldReader, classes: tuple[str, ...]) -> Found:
    class_name = reader.text("class_name")
    if class_name not in classes:
        raise StorageError(
            f"{class_name[:80]!r} is not a class of the model", where=f"{reader.where}: class_name"
        )
    found = Found(
        class_name=class_name,
        score=reader.number("score", 0.0, 1.0),
        box=_box(reader),
    )
    reader.finish()
    return found


def _box(reader: FieldReader) -> tuple[float, float, float, float]:
    # A tracker's prediction may lie partly outside the picture.
    x1, y1, x2, y2 = reader.floats("box", -SIDE_MAX_PX, 2.0 * SIDE_MAX_PX, exactly=4)
    return x1, y1, x2, y2


def _reason(reader: FieldReader) -> Reason:
    reason = Reason(
        reason=reader.text("reason", choices=REASONS),
        value=reader.number("value", 0.0, 1.0),
        subjects=tuple(_subject(entry) for entry in reader.subs("subjects", at_most=SUBJECTS_MAX)),
    )
    reader.finish()
    return reason


def _subject(reader: FieldReader) -> Subject:
    subject = Subject(
        class_name=reader.text("class_name"),
        value=reader.number("value", 0.0, 1.0),
        box=_box(reader),
    )
    reader.finish()
    return subject
