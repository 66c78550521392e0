"""What is put into a bucket, without its content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """One object to put.

    Attributes:
        key: its name.
        content_type: its media type.
        sha256: base64, as S3 wants it.
        metadata: ASCII, kept with the object.
    """

    key: str
    content_type: str
    sha256: str
    metadata: Mapping[str, str]
