"""Bundles whose model went wrong after training: whole, hashed and signed as any other."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from updater import manifest as manifests
from updater.bundle import list_files
from updater.manifest import MANIFEST_NAME, MODEL_NAME

WEIGHTS_LEAST_BYTES = 1024
"""Smaller buffers hold shapes and biases."""

# Places of fields in the tables of TFLite's schema.fbs.
MODEL_BUFFERS = 4
BUFFER_DATA, BUFFER_OFFSET, BUFFER_SIZE = 0, 1, 2


def shuffle_weights(bundle: Path, seed: int = 0) -> None:
    """Every buffer of weights keeps its values, each at another's place.

    The file stays a valid model with the same tensors, sizes and speed.
    """
    path = bundle / MODEL_NAME
    content = bytearray(path.read_bytes())
    chance = random.Random(seed)
    for start, size in weights(bytes(content)):
        values = list(content[start : start + size])
        chance.shuffle(values)
        content[start : start + size] = bytes(values)
    path.write_bytes(content)
    list_anew(bundle)


def truncate_model(bundle: Path, share: float) -> None:
    """Only the first part of the model is left, and the manifest says so."""
    path = bundle / MODEL_NAME
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    list_anew(bundle)


def list_anew(bundle: Path) -> None:
    """The manifest takes the files as they are now."""
    manifest = replace(manifests.read(bundle), files=list_files(bundle))
    (bundle / MANIFEST_NAME).write_bytes(manifests.to_json(manifest))


def weights(content: bytes) -> Iterator[tuple[int, int]]:
    """(start, size) of the large buffers of a TFLite file, inside its FlatBuffer or behind it."""
    root = _unsigned(content, 0)
    field = _field(content, root, MODEL_BUFFERS)
    vector = field + _unsigned(content, field)
    for index in range(_unsigned(content, vector)):
        entry = vector + 4 + 4 * index
        buffer = entry + _unsigned(content, entry)
        if data := _field(content, buffer, BUFFER_DATA):
            inner = data + _unsigned(content, data)
            start, size = inner + 4, _unsigned(content, inner)
        elif offset := _field(content, buffer, BUFFER_OFFSET):
            start = _long(content, offset)
            size = _long(content, _field(content, buffer, BUFFER_SIZE))
        else:
            continue
        if size >= WEIGHTS_LEAST_BYTES:
            yield start, size


def _field(content: bytes, table: int, number: int) -> int:
    """Where a table has a field; 0 where it has none."""
    (back,) = struct.unpack_from("<i", content, table)
    places = table - back
    (size,) = struct.unpack_from("<H", content, places)
    if 4 + 2 * number >= size:
        return 0
    (place,) = struct.unpack_from("<H", content, places + 4 + 2 * number)
    return table + place if place else 0


def _unsigned(content: bytes, place: int) -> int:
    return int(struct.unpack_from("<I", content, place)[0])


def _long(content: bytes, place: int) -> int:
    return int(struct.unpack_from("<Q", content, place)[0])
