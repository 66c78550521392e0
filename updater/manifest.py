"""``manifest.json`` of a model bundle: what the model is, what it takes and what it gives.

The reader accepts nothing it does not know: a bundle is foreign input until its signature holds,
and a field that is silently ignored is a field that somebody believed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from updater.errors import BundleError
from updater.fields import FieldReader

FORMAT = 1
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.sig"
MODEL_NAME = "model.tflite"
NOT_LISTED = frozenset({MANIFEST_NAME, SIGNATURE_NAME})
"""A manifest cannot hold its own hash, and the signature is made over the manifest."""

MANIFEST_MAX_BYTES = 256 * 1024
ARCHIVE_MAX_BYTES = 256 * 1024 * 1024
"""Of a ``model.zip``. The models are 7 to 30 MB; this leaves room for a much larger one and still
fits beside two releases on an 8 GB card."""
LAYOUTS = ("head_maps", "yolov5", "ultralytics")
VERSION_PATTERN = re.compile(r"[0-9]+(\.[0-9]+){0,3}(-[0-9A-Za-z.]+)?")
PATH_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,3}")
SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The model's input tensor.

    Attributes:
        width: pixels.
        height: pixels.
        layout: ``NHWC`` or ``NCHW``; type and quantisation are read from the tensor itself.
        scale: real value of a full-white pixel: the graph was trained on 0 to ``scale``.
    """

    width: int
    height: int
    layout: str = "NHWC"
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """The model's output tensors.

    Attributes:
        layout: ``head_maps`` (three sigmoid maps), ``yolov5`` (``[1,N,5+nc]``) or
            ``ultralytics`` (``[1,4+nc,N]``).
        box_unit: for the last two: ``pixels`` of the input, or ``fraction`` of it.
        strides: for ``head_maps``: pixels of the input a cell, one a map.
        anchors: for ``head_maps``: (width, height) pairs in input pixels, three a map.
    """

    layout: str
    box_unit: str = "pixels"
    strides: tuple[int, ...] = ()
    anchors: tuple[tuple[tuple[float, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where the model's makers would cut.

    Attributes:
        score: detections under it are dropped.
        iou: NMS joins boxes of a class that overlap more.
    """

    score: float
    iou: float


@dataclass(frozen=True, slots=True)
class GoldenObject:
    """One object that must be found on a golden picture.

    Attributes:
        class_name: which class.
        box: x1, y1, x2, y2 in pixels of the picture.
        min_score: least score that counts as found.
    """

    class_name: str
    box: tuple[float, float, float, float]
    min_score: float


@dataclass(frozen=True, slots=True)
class GoldenPicture:
    """A picture of the bundle and what must be found on it, no more and no less.

    Attributes:
        file: path inside the bundle.
        objects: everything that must be found; nothing else of these classes may be.
        min_iou: least IoU of a found box with the expected one.
    """

    file: str
    objects: tuple[GoldenObject, ...]
    min_iou: float = 0.5


@dataclass(frozen=True, slots=True)
class Probation:
    """What the model's makers ask of a probation; a device's configuration may ask otherwise.

    Attributes:
        seconds: healthy time before the release is committed.
        frames: healthy frames before it is committed; both must be reached.
        min_agreement: least share of the predecessor's stable objects that must be found; less is
            a model that has gone blind.
        max_extra_per_frame: more objects a frame that the predecessor does not see are a model
            that fires everywhere.
        max_slowdown: greatest ratio of the median invoke times, this model over its predecessor.
    """

    seconds: float = 120.0
    frames: int = 100
    min_agreement: float = 0.5
    max_extra_per_frame: float = 2.0
    max_slowdown: float = 3.0


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the bundle.

    Attributes:
        path: inside the bundle, ``/``-separated.
        size_bytes: exact size.
        sha256: 64 lower-case hex digits.
    """

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model bundle's manifest.

    Attributes:
        version: orders bundles: ``2026.11.22`` or ``1.4.0-rc1``.
        name: of the model, for people.
        classes: class names in the model's order.
        input: the input tensor.
        output: the output tensors.
        thresholds: where to cut.
        files: every file of the bundle but ``manifest.json`` and ``manifest.sig``.
        golden: pictures and what must be found on them.
        minimum_daemon: least version of Sitewatch that can run the bundle.
        device_classes: kinds of device it is made for, as the devices' configuration names them;
            empty: all.
        probation: what it must show before it is committed.
        invoke_limit_ms: a self-test whose median invoke takes longer fails; 0: no limit.
        metrics: figures from training, by name, e.g. ``{"val/mAP50": 0.94}``.
        provenance: where and from what it was trained, free text by name.
        format: of the manifest.
    """

    version: str
    name: str
    classes: tuple[str, ...]
    input: InputSpec
    output: OutputSpec
    thresholds: Thresholds
    files: tuple[FileEntry, ...]
    golden: tuple[GoldenPicture, ...] = ()
    minimum_daemon: str = "0.1.0"
    device_classes: tuple[str, ...] = ()
    probation: Probation = Probation()
    invoke_limit_ms: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT


def to_json(manifest: Manifest) -> bytes:
    """The manifest as it is signed: sorted keys, UTF-8, no blanks; the same one, the same bytes.

    Services that sign raw bytes take few: AWS KMS 4096 (API reference, "Sign", ``Message``).
    """
    return _dumped(manifest, separators=(",", ":"))


def to_template(manifest: Manifest) -> bytes:
    """The manifest of a folder, which people read and change before a bundle is made of it."""
    return _dumped(manifest, indent=2)


def _dumped(manifest: Manifest, **form: Any) -> bytes:
    return json.dumps(asdict(manifest), sort_keys=True, ensure_ascii=False, **form).encode() + b"\n"


def from_json(data: bytes, *, where: str = MANIFEST_NAME) -> Manifest:
    """Reads and checks a manifest.

    Args:
        data: the file's bytes, at most :data:`MANIFEST_MAX_BYTES`.
        where: named in errors.

    Raises:
        BundleError: not JSON, an unknown or missing field, a value of the wrong type or range.
    """
    reader = FieldReader(parse_json(data, where=where), where=where)
    if (found := reader.integer("format", 1, 2**31)) != FORMAT:
        raise BundleError(
            f"format {found}, and this version reads format {FORMAT}",
            where=f"{where}: format",
            hint="Install a newer Sitewatch first",
        )
    manifest = Manifest(
        version=reader.text("version", pattern=VERSION_PATTERN),
        name=reader.text("name"),
        classes=reader.texts("classes", at_least=1, at_most=1000),
        input=_input(reader.sub("input")),
        output=_output(reader.sub("output")),
        thresholds=_thresholds(reader.sub("thresholds")),
        files=tuple(_file(entry) for entry in reader.subs("files", at_least=1, at_most=200)),
        golden=tuple(_golden(entry) for entry in reader.subs("golden", at_most=50)),
        minimum_daemon=reader.text("minimum_daemon", pattern=VERSION_PATTERN),
        device_classes=reader.texts("device_classes", at_most=50),
        probation=_probation(reader.sub("probation")),
        invoke_limit_ms=reader.number("invoke_limit_ms", 0.0, 1e6),
        metrics=reader.numbers("metrics"),
        provenance=reader.strings("provenance"),
        format=FORMAT,
    )
    reader.finish()
    _check_whole(manifest, where)
    return manifest


def parse_json(data: bytes, *, where: str) -> dict[str, Any]:
    """A JSON object that says one thing to every reader: UTF-8, no name twice, only real text.

    Raises:
        BundleError: it is larger than :data:`MANIFEST_MAX_BYTES`, or none of this.
    """
    if len(data) > MANIFEST_MAX_BYTES:
        raise BundleError(
            f"{len(data)} bytes are more than the {MANIFEST_MAX_BYTES} allowed", where=where
        )
    try:
        raw = json.loads(data.decode(), object_pairs_hook=_without_repetition)
        # A lone surrogate can be escaped in JSON and written nowhere: not to a journal, nor a log.
        json.dumps(raw, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BundleError(f"not JSON: {error}", where=where) from error
    if not isinstance(raw, dict):
        raise BundleError("must be an object", where=where)
    return raw


def read(folder: Path) -> Manifest:
    """The manifest of an unpacked bundle.

    Raises:
        BundleError: it is not there, cannot be read, or is not valid.
    """
    return from_json(read_bytes(folder), where=str(folder / MANIFEST_NAME))


def read_bytes(folder: Path) -> bytes:
    """The bytes of an unpacked bundle's manifest; one too many if it is too large.

    Raises:
        BundleError: it is not there, or cannot be read.
    """
    path = folder / MANIFEST_NAME
    try:
        with path.open("rb") as file:
            return file.read(MANIFEST_MAX_BYTES + 1)
    except OSError as error:
        raise BundleError(
            f"cannot be read: {error.strerror}",
            where=str(path),
            hint="A bundle is a folder with manifest.json and model.tflite",
        ) from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name is there twice in one object")
    return names


def _input(reader: FieldReader) -> InputSpec:
    spec = InputSpec(
        width=reader.integer("width", 32, 4096),
        height=reader.integer("height", 32, 4096),
        layout=reader.text("layout", choices=("NHWC", "NCHW")),
        scale=reader.number("scale", 1e-3, 1e3),
    )
    reader.finish()
    return spec


def _output(reader: FieldReader) -> OutputSpec:
    anchors = reader.raw_list("anchors", at_most=8)
    spec = OutputSpec(
        layout=reader.text("layout", choices=LAYOUTS),
        box_unit=reader.text("box_unit", choices=("pixels", "fraction")),
        strides=reader.integers("strides", 1, 1024, at_most=8),
        anchors=tuple(_anchor_row(row, f"{reader.where}: anchors") for row in anchors),
    )
    reader.finish()
    if spec.layout == "head_maps" and not (spec.strides and len(spec.strides) == len(spec.anchors)):
        raise BundleError(
            "head_maps needs one stride and one row of anchors for each map", where=reader.where
        )
    return spec


def _anchor_row(row: Any, where: str) -> tuple[tuple[float, float], ...]:
    good = isinstance(row, list) and 1 <= len(row) <= 8
    for pair in row if good else ():
        good = good and isinstance(pair, list) and len(pair) == 2
        good = good and all(type(v) in (int, float) and 0 < v <= 1e5 for v in pair)
    if not good:
        raise BundleError("a row is 1 to 8 pairs [width, height] in pixels", where=where)
    return tuple((float(width), float(height)) for width, height in row)


def _thresholds(reader: FieldReader) -> Thresholds:
    thresholds = Thresholds(
        score=reader.number("score", 0.001, 1.0), iou=reader.number("iou", 0.01, 1.0)
    )
    reader.finish()
    return thresholds


def _probation(reader: FieldReader) -> Probation:
    probation = Probation(
        seconds=reader.number("seconds", 0.0, 86400.0),
        frames=reader.integer("frames", 0, 10**6),
        min_agreement=reader.number("min_agreement", 0.0, 1.0),
        max_extra_per_frame=reader.number("max_extra_per_frame", 0.0, 1000.0),
        max_slowdown=reader.number("max_slowdown", 1.0, 1000.0),
    )
    reader.finish()
    return probation


def _file(reader: FieldReader) -> FileEntry:
    entry = FileEntry(
        path=reader.text("path", pattern=PATH_PATTERN),
        size_bytes=reader.integer("size_bytes", 0, 2**31),
        sha256=reader.text("sha256", pattern=SHA256_PATTERN),
    )
    reader.finish()
    return entry


def _golden(reader: FieldReader) -> GoldenPicture:
    picture = GoldenPicture(
        file=reader.text("file", pattern=PATH_PATTERN),
        objects=tuple(_golden_object(entry) for entry in reader.subs("objects", at_most=200)),
        min_iou=reader.number("min_iou", 0.0, 1.0),
    )
    reader.finish()
    return picture


def _golden_object(reader: FieldReader) -> GoldenObject:
    box = reader.floats("box", -1e5, 1e5, exactly=4)
    entry = GoldenObject(
        class_name=reader.text("class_name"),
        box=(box[0], box[1], box[2], box[3]),
        min_score=reader.number("min_score", 0.0, 1.0),
    )
    reader.finish()
    return entry


def _check_whole(manifest: Manifest, where: str) -> None:
    """What no single field can tell."""
    listed = [entry.path for entry in manifest.files]
    if len(set(listed)) != len(listed):
        raise BundleError("a path is listed twice", where=f"{where}: files")
    for name in sorted(NOT_LISTED.intersection(listed)):
        raise BundleError(f"{name} cannot be listed in itself", where=f"{where}: files")
    if MODEL_NAME not in listed:
        raise BundleError(f"{MODEL_NAME} is not listed", where=f"{where}: files")
    if len(set(manifest.classes)) != len(manifest.classes):
        raise BundleError("a class is named twice", where=f"{where}: classes")
    for picture in manifest.golden:
        if picture.file not in listed:
            raise BundleError(f"{picture.file} is not in files", where=f"{where}: golden")
        for found in picture.objects:
            if found.class_name not in manifest.classes:
                raise BundleError(
                    f"{found.class_name!r} is not one of the classes", where=f"{where}: golden"
                )
