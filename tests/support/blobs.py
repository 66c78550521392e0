"""Contents kept by their hash, and a stand-in for the cloud storage that hands them out."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.http_server import FileHandler, Server

ALGORITHMS = ("md5", "sha1", "sha256")


class Blobs:
    """Contents on disk, by sha256.

    Args:
        folder: made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Where a content lies, or would."""
        return self._folder / sha256

    def add(self, pieces: Iterator[bytes]) -> tuple[dict[str, str], int]:
        """Keeps a content; returns its checksums and size."""
        digests = {name: hashlib.new(name) for name in ALGORITHMS}
        temporary, size = self._folder / f".{secrets.token_hex(8)}", 0
        with temporary.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                size += len(piece)
                for digest in digests.values():
                    digest.update(piece)
        sums = {name: digest.hexdigest() for name, digest in digests.items()}
        temporary.replace(self.path(sums["sha256"]))
        return sums, size


class _BucketHandler(FileHandler):
    def do_GET(self) -> None:  # noqa: N802
        parts = urlsplit(self.path)
        bucket: Bucket = self.owner
        if "Authorization" in self.headers:
            # As S3 does; so a client that forwards its token is found out.
            self.reply(400, b"<Error><Code>InvalidArgument</Code></Error>")
        elif parse_qs(parts.query).get("X-Amz-Signature") != [bucket.signature]:
            self.reply(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        elif not (path := bucket.blobs.path(parts.path.strip("/"))).is_file():
            self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self.send_file(path, f'"{parts.path.strip("/")[:32]}"', {})

    do_HEAD = do_GET  # noqa: N815


class Bucket(Server):
    """The cloud storage that a cloud Artifactory redirects to, by presigned addresses.

    Args:
        blobs: what it stores.
    """

    handler = _BucketHandler

    def __init__(self, blobs: Blobs) -> None:
        super().__init__()
        self.blobs = blobs
        self.signature = secrets.token_hex(16)

    def presigned(self, sha256: str) -> str:
        """Where a content can be had by whoever knows the address."""
        return f"{self.url}/{sha256}?X-Amz-Expires=60&X-Amz-Signature={self.signature}"
