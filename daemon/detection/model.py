"""A model's files read and checked: a bundle's folder, or a bare ``.tflite`` with its labels."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from daemon.config import ModelConfig
from updater import manifest
from updater.errors import BundleError, ModelError
from updater.manifest import FileEntry, InputSpec, Manifest, OutputSpec, Thresholds
from updater.version import VERSION

MODEL_MAX_BYTES = 256 * 1024 * 1024
"""Largest model read; YOLOv5s in int8 has 7.3 MiB, and a Pi 512 MB of memory in all."""

LABELS_MAX_BYTES = 64 * 1024
LABEL_MAX_CHARACTERS = 100
CLASSES_MAX = 1000

DEFAULT_THRESHOLDS = Thresholds(score=0.25, iou=0.45)
"""For a model without a manifest: the defaults of YOLOv5's own ``detect.py``."""

_TFLITE_IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of every ``.tflite``: the file identifier of its FlatBuffers schema."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model ready to be loaded.

    Attributes:
        where: the ``.tflite`` file, for messages.
        content: its bytes, checked where there is a manifest.
        sha256: of ``content``, 64 hex digits.
        classes: class names in the model's order.
        version: of the bundle; for a bare file ``sha256:`` and its first 12 digits.
        thresholds: the makers', or :data:`DEFAULT_THRESHOLDS`.
        input: from the manifest; None for a bare file.
        output: from the manifest; None for a bare file.
    """

    where: Path
    content: bytes
    sha256: str
    classes: tuple[str, ...]
    version: str
    thresholds: Thresholds
    input: InputSpec | None = None
    output: OutputSpec | None = None


def read_model(config: ModelConfig) -> ModelFiles:
    """Reads what the configuration names.

    Raises:
        BundleError: a bundle is not there, incomplete or damaged.
        ModelError: a bare file is not there, is no ``.tflite``, or has no labels.
    """
    if config.bundle.is_dir():
        return read_bundle(config.bundle)
    if config.bundle.suffix == ".tflite":
        return _read_bare(config.bundle, config.labels)
    raise BundleError(
        "there is no model here",
        where=str(config.bundle),
        hint="Name the folder of a bundle or a .tflite file",
    )


def read_bundle(folder: Path) -> ModelFiles:
    """Reads a bundle's model and checks it against the manifest.

    Raises:
        BundleError: see :func:`updater.manifest.read`; the bundle needs a newer Sitewatch; or the
            model's size or hash is not the manifest's.
    """
    told = manifest.read(folder)
    if _release(told.minimum_daemon) > _release(VERSION):
        raise BundleError(
            f"needs Sitewatch {told.minimum_daemon} or newer, and this is {VERSION}",
            where=f"{folder / manifest.MANIFEST_NAME}: minimum_daemon",
            hint="Install a newer Sitewatch first",
        )
    content = read_listed(folder, told, manifest.MODEL_NAME)
    return ModelFiles(
        where=folder / manifest.MODEL_NAME,
        content=content,
        sha256=_entry(told, manifest.MODEL_NAME, folder).sha256,  # which it was just found to have
        classes=told.classes,
        version=told.version,
        thresholds=told.thresholds,
        input=told.input,
        output=told.output,
    )


def read_listed(folder: Path, told: Manifest, path: str) -> bytes:
    """One file of a bundle, exactly as its manifest lists it.

    Raises:
        BundleError: it is not listed, not there, too large, or its size or hash differs.
    """
    entry = _entry(told, path, folder)
    where = str(folder / path)
    if entry.size_bytes > MODEL_MAX_BYTES:
        raise BundleError(f"more than {MODEL_MAX_BYTES} bytes", where=where)
    try:
        content = _read_at_most(folder / path, entry.size_bytes)
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", where=where) from error
    if len(content) != entry.size_bytes:
        longer = "more" if len(content) > entry.size_bytes else str(len(content))
        raise BundleError(
            f"{longer} bytes instead of the manifest's {entry.size_bytes}", where=where
        )
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise BundleError("its sha256 is not the manifest's: the file is damaged", where=where)
    return content


def _entry(told: Manifest, path: str, folder: Path) -> FileEntry:
    entry = next((listed for listed in told.files if listed.path == path), None)
    if entry is None:
        raise BundleError("is not listed in the manifest", where=str(folder / path))
    return entry


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, ``-rc1`` and its like left out; ``1.2`` equals ``1.2.0``."""
    numbers = [int(part) for part in version.partition("-")[0].split(".")]
    return tuple(numbers + [0] * (4 - len(numbers)))


def _read_bare(path: Path, labels: Path | None) -> ModelFiles:
    try:
        content = _read_at_most(path, MODEL_MAX_BYTES)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if len(content) > MODEL_MAX_BYTES:
        raise ModelError(f"more than {MODEL_MAX_BYTES} bytes", where=str(path))
    if content[4:8] != _TFLITE_IDENTIFIER:
        raise ModelError("is not a .tflite model", where=str(path))
    digest = hashlib.sha256(content).hexdigest()
    return ModelFiles(
        where=path,
        content=content,
        sha256=digest,
        classes=_read_labels(path, labels),
        version=f"sha256:{digest[:12]}",
        thresholds=DEFAULT_THRESHOLDS,
    )


def _read_labels(model: Path, labels: Path | None) -> tuple[str, ...]:
    path = labels if labels is not None else model.with_suffix(".txt")
    hint = "Write one class name a line, in the model's order, and name the file as labels"
    try:
        data = _read_at_most(path, LABELS_MAX_BYTES)
        if len(data) > LABELS_MAX_BYTES:
            raise ModelError(f"more than {LABELS_MAX_BYTES} bytes", where=str(path), hint=hint)
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except OSError as error:
        raise ModelError(
            f"the labels of {model.name} cannot be read: {error.strerror}",
            where=str(path),
            hint=hint,
        ) from error
    except UnicodeDecodeError as error:
        raise ModelError("is not UTF-8 text", where=str(path), hint=hint) from error
    names = tuple(line for line in lines if line)
    if not 0 < len(names) <= CLASSES_MAX or len(set(names)) != len(names):
        raise ModelError(
            f"needs 1 to {CLASSES_MAX} class names, each once", where=str(path), hint=hint
        )
    if any(len(name) > LABEL_MAX_CHARACTERS for name in names):
        raise ModelError(
            f"a class name is longer than {LABEL_MAX_CHARACTERS} characters", where=str(path)
        )
    return names


def _read_at_most(path: Path, limit_bytes: int) -> bytes:
    """The file, and at most one byte more than the limit, so that the caller sees the excess."""
    with path.open("rb") as file:
        # Asking for more than there is would set aside the whole limit first.
        present_bytes = os.fstat(file.fileno()).st_size
        return file.read(min(present_bytes, limit_bytes) + 1)
