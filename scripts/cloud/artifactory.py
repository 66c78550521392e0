"""Artifactory's repository interface, as far as publishing needs it.

JFrog's REST API: "Deploy Artifact", "Deploy Artifact by Checksum", "File Info", "Item Properties".
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from scripts.cloud.errors import ConflictError, ServiceError
from scripts.cloud.http import Client, Reply
from updater.errors import FetchError, UsageError
from updater.fetch import FetchPolicy, Timing, fetch
from updater.fetch.credentials import Credentials

CHUNK_BYTES = 1 << 20
PATH_PATTERN = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")
"""No character that means something in an address or to Artifactory (``;``, ``:``, ``*``)."""
PROPERTY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
PROPERTY_VALUE = re.compile(r"[A-Za-z0-9._:+/@-]{1,200}")
"""Without ``,``, ``;``, ``=`` and ``|``, which separate properties in an address."""

_CREATED = (200, 201)


@dataclass(frozen=True, slots=True)
class Checksums:
    """A file's, and its size."""

    sha1: str
    sha256: str
    size_bytes: int

    @property
    def headers(self) -> dict[str, str]:
        """With which a deployment promises them."""
        told = {"X-Checksum-Sha1": self.sha1, "X-Checksum-Sha256": self.sha256}
        return {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class Item:
    """A file in a repository.

    Attributes:
        path: with the repository in front.
        sha1: of its content.
        sha256: likewise; "" where the repository does not know it.
        properties: first value of each.
    """

    path: str
    sha1: str
    sha256: str
    properties: Mapping[str, str] = field(default_factory=dict)

    def holds(self, other: Checksums | Item) -> bool:
        """Whether its content is that; by sha1 where one of the two has no sha256."""
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        return bool(self.sha1) and self.sha1 == other.sha1


class Artifactory:
    """A server.

    Args:
        client: whose base address ends in ``/artifactory``.
        credentials: as the client sends them; for downloads, which go their own way.
    """

    def __init__(self, client: Client, credentials: Credentials) -> None:
        self._client = client
        self._credentials = credentials

    def url(self, path: str) -> str:
        """Where a file is downloaded from."""
        return f"{self._client.base}/{checked_path(path)}"

    def find(self, path: str) -> Item | None:
        """A file and its properties, or None.

        Raises:
            ServiceError: the server refuses or cannot be reached.
        """
        where = f"api/storage/{checked_path(path)}"
        reply = self._client.ask("GET", where, accept=(200, 404))
        if reply.status == 404:
            return None
        found = _object(reply)
        sums = found.get("checksums")
        if not isinstance(sums, dict):
            raise ServiceError("is a folder, and should be a file", where=reply.where)
        properties = self._client.ask("GET", f"{where}?properties", accept=(200, 404))
        values = _object(properties).get("properties") if properties.status == 200 else None
        return Item(
            path=path,
            sha1=str(sums.get("sha1", "")).lower(),
            sha256=str(sums.get("sha256", "")).lower(),
            properties={
                str(name): str(value[0])
                for name, value in (values.items() if isinstance(values, dict) else ())
                if isinstance(value, list) and value
            },
        )

    def deploy(
        self,
        path: str,
        sums: Checksums,
        content: Path | bytes | None,
        properties: Mapping[str, str],
    ) -> None:
        """Puts a file there; what the server has already is not sent again.

        Args:
            path: with the repository in front.
            sums: of the content; the server holds what arrives against them.
            content: to send; None where the server must have it.
            properties: of the file.

        Raises:
            ServiceError: the server refuses, or something else arrived.
            ConflictError: ``content`` is None and the server has none of it.
        """
        where = checked_path(path) + matrix(properties)
        by_checksum = {**sums.headers, "X-Checksum-Deploy": "true"}
        # A server that does not take it by checksum says so in one of these ways; all of them are
        # about the checksum as well as they might be about the path, which the upload will show.
        accept = (*_CREATED, 404, 409)
        reply = self._client.ask("PUT", where, accept=accept, headers=by_checksum)
        if reply.status in _CREATED:
            return
        if content is None:
            raise ConflictError(f"the content {sums.sha256[:12]}… is gone", where=path)
        self._client.ask("PUT", where, accept=_CREATED, headers=sums.headers, content=content)

    def delete(self, path: str) -> None:
        """Removes a file; one that is not there is removed already.

        Raises:
            ServiceError: the server refuses or cannot be reached.
        """
        self._client.ask("DELETE", checked_path(path), accept=(200, 204, 404))

    def download(self, path: str, sums: Checksums, folder: Path) -> Path:
        """Downloads a file the way devices do, and holds it against its checksum.

        Raises:
            ServiceError: it cannot be had, or is something else.
        """
        timing = self._client.timing
        try:
            found = fetch(
                self.url(path),
                folder,
                FetchPolicy(ca_file=self._client.ca_file),
                sha256=sums.sha256 or None,
                credentials=self._credentials,
                timing=Timing(timing.monotonic_s, timing.sleep, timing.random),
            )
        except FetchError as error:
            raise ServiceError(error.what, where=error.where, hint=error.hint) from error
        return found.path

    def verify(self, path: str, sums: Checksums) -> None:
        """Downloads a file for nothing but the proof that it arrived.

        Raises:
            ServiceError: it cannot be had, or is something else.
        """
        with tempfile.TemporaryDirectory(prefix="sitewatch-") as folder:
            self.download(path, sums, Path(folder))


def checksums_of(content: Path | bytes) -> Checksums:
    """Of a file or of bytes.

    Raises:
        UsageError: the file cannot be read.
    """
    sha1, sha256, size = hashlib.sha1(usedforsecurity=False), hashlib.sha256(), 0
    if isinstance(content, bytes):
        sha1.update(content)
        sha256.update(content)
        return Checksums(sha1.hexdigest(), sha256.hexdigest(), len(content))
    try:
        with content.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                sha1.update(chunk)
                sha256.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(content)) from error
    return Checksums(sha1.hexdigest(), sha256.hexdigest(), size)


def checked_path(path: str) -> str:
    """A path, if it is a plain one.

    Raises:
        UsageError: it is not.
    """
    if not PATH_PATTERN.fullmatch(path) or not {".", ".."}.isdisjoint(path.split("/")):
        raise UsageError(
            f"{path[:200]!r} is not a path in a repository",
            hint="Letters, digits, '.', '_' and '-', with '/' between the parts",
        )
    return path


def matrix(properties: Mapping[str, str]) -> str:
    """Properties as matrix parameters of a deployment's address.

    Raises:
        UsageError: a name or a value that would mean something else there.
    """
    for name, value in properties.items():
        if not is_property(name, value):
            raise UsageError(f"{name[:64]}={value[:200]!r} cannot be a property")
    return "".join(f";{name}={quote(value, safe='')}" for name, value in properties.items())


def is_property(name: str, value: str) -> bool:
    """Whether it can be written as a matrix parameter and means itself."""
    return bool(PROPERTY_NAME.fullmatch(name) and PROPERTY_VALUE.fullmatch(value))


def _object(reply: Reply) -> Mapping[str, object]:
    found = reply.json()
    if not isinstance(found, dict):
        raise ServiceError("the answer is no object", where=reply.where)
    return found
