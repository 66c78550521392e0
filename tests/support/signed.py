"""A small signed bundle in memory, the keys for it, and the path on which a device reads one."""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.rawzip import RawFile, RawZip
from updater.archive import DEFAULT_LIMITS, ArchiveLimits, open_archive
from updater.trust.examination import Examined, examine
from updater.trust.key import KeyState, PrivateKey, PublicKey, key_id_of
from updater.trust.keys import KeyRing
from updater.trust.rules import DeviceFacts, check_installable
from updater.trust.signature import Signature, encode
from updater.zipformat import DEFLATED

WHERE = "model.zip"


def private_key(seed: int) -> PrivateKey:
    """A key of its own for each seed, the same in every run: never one to be trusted."""
    return PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def public_key(key: PrivateKey, state: KeyState = KeyState.ACTIVE) -> PublicKey:
    public = key.public_bytes()
    return PublicKey(key_id_of(public), state, public, "test key")


KEY, RETIRED_KEY, REVOKED_KEY, UNKNOWN_KEY = (private_key(seed) for seed in range(1, 5))
RING = KeyRing(
    (
        public_key(KEY),
        public_key(RETIRED_KEY, KeyState.RETIRED),
        public_key(REVOKED_KEY, KeyState.REVOKED),
    ),
    where="keys",
)

FILES: Mapping[str, bytes] = {
    "MODEL_CARD.md": b"# Card\n\nA model that finds nothing.\n" * 8,
    "golden/one.jpg": random.Random(1).randbytes(500),
    "model.tflite": random.Random(2).randbytes(3000) + bytes(3000),
}
"""One that deflates well, one that does not, and one between."""

MANIFEST: Mapping[str, Any] = {
    "format": 1,
    "version": "2026.11.22",
    "name": "test model",
    "classes": ["helmet", "head"],
    "input": {"width": 64, "height": 64, "layout": "NHWC", "scale": 1.0},
    "output": {"layout": "yolov5", "box_unit": "pixels", "strides": [], "anchors": []},
    "thresholds": {"score": 0.4, "iou": 0.5},
    "golden": [
        {
            "file": "golden/one.jpg",
            "min_iou": 0.5,
            "objects": [{"class_name": "head", "box": [1, 2, 3, 4], "min_score": 0.5}],
        }
    ],
    "minimum_daemon": "0.1.0",
    "device_classes": [],
    "probation": {
        "seconds": 120.0,
        "frames": 100,
        "min_agreement": 0.5,
        "max_extra_per_frame": 2.0,
        "max_slowdown": 3.0,
    },
    "invoke_limit_ms": 0.0,
    "metrics": {"val/map50": 0.9},
    "provenance": {"data": "none"},
}


def manifest(contents: Mapping[str, bytes] = FILES, **changes: Any) -> dict[str, Any]:
    """A manifest's fields, those of :data:`MANIFEST` but for ``changes``."""
    made = copy.deepcopy(dict(MANIFEST))
    made["files"] = [
        {"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for path, data in contents.items()
    ]
    return {**made, **changes}


def to_bytes(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, indent=2, sort_keys=True).encode() + b"\n"


def sign(data: bytes, key: PrivateKey = KEY) -> bytes:
    return encode(Signature(key.key_id, key.sign(data)))


def bundle(
    data: bytes | None = None,
    *,
    signature: bytes | None = b"",
    key: PrivateKey = KEY,
    files: Mapping[str, bytes] = FILES,
    **changes: Any,
) -> RawZip:
    """A bundle's archive.

    Args:
        data: the manifest's bytes; None: made from ``files`` and ``changes``.
        signature: its bytes, None to leave it out, empty to make it.
        key: that makes it.
        files: to pack.
        changes: of the manifest's fields.
    """
    if data is None:
        data = to_bytes(manifest(files, **changes))
    if signature == b"":
        signature = sign(data, key)
    packed = [RawFile(b"manifest.json", data, DEFLATED)]
    if signature is not None:
        packed.append(RawFile(b"manifest.sig", signature))
    for path, content in files.items():
        method = 0 if path.endswith(".jpg") else DEFLATED
        packed.append(RawFile(path.encode(), content, method))
    return RawZip(tuple(packed))


def read(
    file: BinaryIO,
    staging: Path,
    *,
    ring: KeyRing = RING,
    facts: DeviceFacts = DeviceFacts(),  # noqa: B008  (frozen)
    limits: ArchiveLimits = DEFAULT_LIMITS,
    archive_sha256: str = "",
) -> Examined:
    """What an installation does with an archive, in its order, up to the unpacked folder."""
    archive = open_archive(file, limits, where=WHERE)
    examined = examine(archive, ring, require_signature=True)
    check_installable(examined.manifest, examined.digest, archive_sha256, facts)
    archive.unpack(examined.manifest.files, staging)
    return examined
