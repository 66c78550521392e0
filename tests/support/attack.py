"""One attack bundle, and the good one that all are made from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.rawzip import RawZip
from tests.support.signed import bundle, manifest, sign, to_bytes
from updater.archive import DEFAULT_LIMITS, ArchiveLimits
from updater.errors import BundleError, SitewatchError
from updater.trust.rules import DeviceFacts

MODEL = "model.tflite"
JPEG = "golden/one.jpg"


@dataclass(frozen=True)
class Attack:
    """One bundle that must be refused.

    Attributes:
        name: of the kind.
        make: makes the archive.
        where: in the archive, as the error names it; "" for the archive itself.
        what: the error's text.
        error: its class.
        exit_code: of the command.
        limits: under which it is opened.
        facts: about the device.
        archive_sha256: as the download said it.
    """

    name: str
    make: Callable[[], bytes]
    where: str
    what: str
    error: type[SitewatchError] = BundleError
    exit_code: int = 4
    limits: ArchiveLimits = DEFAULT_LIMITS
    facts: DeviceFacts = field(default_factory=DeviceFacts)
    archive_sha256: str = ""


GOOD = bundle()
GOOD_BYTES = GOOD.to_bytes()
MANIFEST_DATA = to_bytes(manifest())
SIGNATURE = sign(MANIFEST_DATA)
DIGEST = hashlib.sha256(MANIFEST_DATA).hexdigest()


def attack(name: str, made: RawZip | bytes, where: str, what: str, **options: Any) -> Attack:
    data = made if isinstance(made, bytes) else made.to_bytes()
    return Attack(name, lambda: data, where, what, **options)
