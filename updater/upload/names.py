"""Where a capture lies in the bucket. Pure.

``PREFIX/DEVICE/yyyy/mm/dd/NAME-DIGEST.jpg`` and ``….json``. The digest is the beginning of the
sha256 of the *sidecar*, which holds the picture's: so a key stands for the very bytes of both, and
whoever puts the same key again puts the same bytes. That makes keys unique without asking the
bucket, which the credentials may not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from updater.captures import DEVICE_PATTERN, PICTURE_SUFFIX, SIDECAR_SUFFIX, Sidecar
from updater.errors import UsageError

DIGEST_DIGITS = 12
"""48 bits beside the capture's name, which differs already by number, time and picture."""

BUCKET_PATTERN = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""Names of general purpose buckets (Amazon S3 User Guide, "Bucket naming rules")."""

PREFIX_PATTERN = re.compile(r"[A-Za-z0-9_.=-]+(?:/[A-Za-z0-9_.=-]+)*")
"""Safe characters of keys (Amazon S3 User Guide, "Naming objects"), without those that mean
something in a policy's resource: ``*``, ``?`` and ``$``."""

PREFIX_MAX_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class Destination:
    """Where in S3 a device's pictures go.

    Attributes:
        bucket: its name.
        prefix: folder of all devices, without a slash at the ends.
        device: folder of this device; None: each capture's own device.

    Raises:
        UsageError: a name that S3 does not allow or that means something else in a policy.
    """

    bucket: str
    prefix: str
    device: str | None = None

    def __post_init__(self) -> None:
        if not BUCKET_PATTERN.fullmatch(self.bucket) or ".." in self.bucket:
            raise UsageError(
                f"{self.bucket[:80]!r} is not the name of a bucket",
                where="--bucket",
                hint="3 to 63 lower-case letters, digits, '-' and '.'",
            )
        parts = self.prefix.split("/")
        if (
            not PREFIX_PATTERN.fullmatch(self.prefix)
            or len(self.prefix) > PREFIX_MAX_CHARACTERS
            or not {".", ".."}.isdisjoint(parts)
        ):
            raise UsageError(
                f"{self.prefix[:80]!r} is not a prefix",
                where="--prefix",
                hint="Folders of letters, digits, '_', '-', '.' and '=', with '/' between them",
            )
        if self.device is not None and not is_device(self.device):
            raise UsageError(
                f"{self.device[:80]!r} is not the name of a device",
                where="--device",
                hint="1 to 64 letters, digits, '.', '_' and '-'",
            )

    @property
    def url(self) -> str:
        """For people: ``s3://bucket/prefix``, and the device where it is one."""
        return "/".join(("s3:/", self.bucket, self.prefix, *filter(None, [self.device])))

    def keys(self, sidecar: Sidecar, sidecar_sha256: str) -> tuple[str, str]:
        """The keys of a capture's picture and of its sidecar.

        Args:
            sidecar: what is known of the capture.
            sidecar_sha256: of the sidecar's file, hex.
        """
        year, month, day = sidecar.taken.utc[:10].split("-")
        name = f"{sidecar.name}-{sidecar_sha256[:DIGEST_DIGITS]}"
        device = self.device or sidecar.device
        stem = f"{self.prefix}/{device}/{year}/{month}/{day}/{name}"
        return f"{stem}{PICTURE_SUFFIX}", f"{stem}{SIDECAR_SUFFIX}"


def is_device(name: str) -> bool:
    """Whether this may be a device's folder: ``.`` and ``..`` would lead to another one's."""
    return DEVICE_PATTERN.fullmatch(name) is not None and name not in (".", "..")
