"""A stand-in for JFrog Artifactory: a small real HTTP server that follows its documented interface.

It is no Artifactory. It does what the vendor's pages say of generic repositories: deploy by PUT
(with checksums, by checksum alone, with matrix parameters), download by GET and HEAD (ranges,
conditions, checksum headers), item information, properties, deletion, AQL with plain equality; its
three kinds of credentials, and its 401, 403, 404 and 409. Where the pages leave an answer open
(entity tags, a redirect to cloud storage) a test chooses it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.blobs import Blobs, Bucket
from tests.support.http_server import CHUNK_BYTES, FileHandler, Server

CHECKSUM_HEADERS = {
    "md5": "X-Checksum-Md5",
    "sha1": "X-Checksum-Sha1",
    "sha256": "X-Checksum-Sha256",
}
_AQL = re.compile(r"items\.find\((\{.*?\})\)(?:\.include\((.*)\))?", re.DOTALL)


class Etags(StrEnum):
    """How entity tags look; the documentation does not say."""

    QUOTED = "quoted"
    BARE = "bare"
    """The sha1 without quotation marks, against RFC 9110."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may do something.

    Attributes:
        name: user.
        token: sent as ``Authorization: Bearer``.
        password: sent as ``Authorization: Basic``; a token serves there, too.
        api_key: sent as ``X-JFrog-Art-Api``.
        read: whether files may be read.
        deploy: whether new files may be deployed.
        overwrite: whether files may be replaced and deleted; a path: this file only.
    """

    name: str
    token: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    read: bool = True
    deploy: bool = False
    overwrite: bool | str = False

    def may_overwrite(self, path: str) -> bool:
        """Whether a file (its repository in front) may be replaced and deleted."""
        return self.overwrite if isinstance(self.overwrite, bool) else self.overwrite == path


@dataclass(slots=True)
class Item:
    """A deployed file.

    Attributes:
        repo: its repository.
        path: in there, without a slash at the beginning.
        checksums: by algorithm; the content lies under its sha256.
        size_bytes: of the content.
        created: when, ISO 8601.
        created_by: who deployed it.
        properties: values by name.
    """

    repo: str
    path: str
    checksums: Mapping[str, str]
    size_bytes: int
    created: str
    created_by: str
    properties: dict[str, list[str]] = field(default_factory=dict)


class _RefusedError(Exception):
    """Ends a request with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _ArtifactoryHandler(FileHandler):
    def do_GET(self) -> None:  # noqa: N802
        self._answer(self._read)

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self) -> None:  # noqa: N802
        self._answer(self._write)

    def do_DELETE(self) -> None:  # noqa: N802
        self._answer(self._delete)

    def do_POST(self) -> None:  # noqa: N802
        self._answer(self._search)

    @property
    def _artifactory(self) -> Artifactory:
        owner: Artifactory = self.owner
        return owner

    def _answer(self, method: Any) -> None:
        parts = urlsplit(self.path)
        try:
            account = self._account()
            prefix, _, target = parts.path.lstrip("/").partition("/")
            if prefix != "artifactory":
                raise _RefusedError(404, "File not found.")
            method(account, target, parse_qs(parts.query, keep_blank_values=True))
        except _RefusedError as refused:
            # What was sent and not read would be taken for the next request: no keeping alive.
            error = {"errors": [{"status": refused.status, "message": refused.message}]}
            headers = {"Content-Type": "application/json"}
            if refused.status == 401:
                headers["WWW-Authenticate"] = 'Basic realm="Artifactory Realm"'
            self.refuse(refused.status, json.dumps(error).encode(), headers)

    def _json(self, status: int, document: Any) -> None:
        self.reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    # ------------------------------------------------------------ who asks

    def _account(self) -> Account:
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        key = self.headers.get("X-JFrog-Art-Api", "")
        if not kind and not key:
            if self._artifactory.anonymous is None:
                raise _RefusedError(401, "Authentication is required")
            return self._artifactory.anonymous
        for account in self._artifactory.accounts:
            if key and secrets.compare_digest(account.api_key, key):
                return account
            if kind == "Bearer" and account.token and account.token == value:
                return account
            if kind == "Basic" and _basic(value) in (
                (account.name, account.password or None),
                (account.name, account.token or None),
            ):
                return account
        raise _RefusedError(401, "Bad credentials")

    def _allow(self, allowed: bool) -> None:
        if not allowed:
            raise _RefusedError(403, "Forbidden")

    # ------------------------------------------------------------ GET, HEAD

    def _read(self, account: Account, target: str, query: Mapping[str, list[str]]) -> None:
        if target == "api/system/ping":
            self.reply(200, b"OK")
            return
        self._allow(account.read)
        if target.startswith("api/storage/"):
            self._describe(target.removeprefix("api/storage/"), query)
            return
        item = self._item(_plain(target)[0])
        blobs, sums = self._artifactory.blobs, item.checksums
        headers = {name: sums[algorithm] for algorithm, name in CHECKSUM_HEADERS.items()}
        headers["Last-Modified"] = formatdate(
            datetime.fromisoformat(item.created).timestamp(), usegmt=True
        )
        headers["X-Artifactory-Filename"] = item.path.rpartition("/")[2]
        bucket = self._artifactory.bucket
        if bucket is not None and self.command == "GET":
            self.reply(302, headers={**headers, "Location": bucket.presigned(sums["sha256"])})
            return
        etag = {
            Etags.QUOTED: f'"{sums["sha1"]}"',
            Etags.BARE: sums["sha1"],
            Etags.NONE: "",
        }[self._artifactory.etags]
        self.send_file(blobs.path(sums["sha256"]), etag, headers)

    def _describe(self, path: str, query: Mapping[str, list[str]]) -> None:
        owner = self._artifactory
        path = unquote(path).strip("/")
        if path not in owner.items:
            below = [key for key in owner.items if key.startswith(f"{path}/")]
            if not below and path not in owner.repositories:
                raise _RefusedError(404, "Unable to find item")
            repo, _, folder = path.partition("/")
            names = sorted({key[len(path) + 1 :].partition("/")[0] for key in below})
            children = [
                {"uri": f"/{name}", "folder": f"{path}/{name}" not in owner.items} for name in names
            ]
            self._json(200, {"repo": repo, "path": f"/{folder}", "children": children})
            return
        item = owner.items[path]
        if "properties" in query:
            wanted = [name for name in query["properties"][0].split(",") if name]
            found = {
                name: values
                for name, values in item.properties.items()
                if not wanted or name in wanted
            }
            if not found:
                raise _RefusedError(404, "No properties could be found.")
            self._json(200, {"properties": found, "uri": owner.api_uri(item)})
            return
        self._json(200, owner.describe(item, changes=True))

    # ------------------------------------------------------------ PUT, DELETE, POST

    def _write(self, account: Account, target: str, query: Mapping[str, list[str]]) -> None:
        owner = self._artifactory
        if target.startswith("api/storage/"):
            self._allow(account.deploy)
            item = self._item(unquote(target.removeprefix("api/storage/")))
            item.properties.update(_properties("".join(query.get("properties", [])).split(";")))
            self._drain()
            self.reply(204)
            return
        path, properties = _plain(target)
        repo, _, name = path.partition("/")
        if repo not in owner.repositories or not name:
            raise _RefusedError(404, f"Repository {repo} does not exist")
        self._allow(account.may_overwrite(path) if path in owner.items else account.deploy)
        promised = {
            algorithm: self.headers[header].lower()
            for algorithm, header in CHECKSUM_HEADERS.items()
            if header in self.headers
        }
        if self.headers.get("X-Checksum-Deploy", "").lower() == "true":
            self._drain()
            sums, size = owner.known(promised)
        else:
            sums, size = owner.blobs.add(self._pieces())
            for algorithm, value in promised.items():
                if value != sums[algorithm]:
                    raise _RefusedError(
                        409,
                        f"Checksum error for '{path}': received '{value}' but actual is "
                        f"'{sums[algorithm]}'",
                    )
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        item = Item(repo, name, sums, size, now, account.name, properties)
        owner.items[path] = item
        self._json(201, owner.describe(item, changes=False))

    def _delete(self, account: Account, target: str, query: Mapping[str, list[str]]) -> None:
        path = _plain(target)[0]
        self._allow(account.may_overwrite(path))
        self._item(path)
        del self._artifactory.items[path]
        self.reply(204)

    def _search(self, account: Account, target: str, query: Mapping[str, list[str]]) -> None:
        if target != "api/search/aql":
            raise _RefusedError(404, "File not found.")
        self._allow(account.read)
        found = _AQL.fullmatch(b"".join(self._pieces()).decode().strip())
        criteria = json.loads(found[1]) if found else None
        if criteria is None or not all(isinstance(value, str) for value in criteria.values()):
            raise _RefusedError(
                400, "This stand-in understands items.find with plain equality only"
            )
        results = [
            self._artifactory.found(item)
            for item in self._artifactory.items.values()
            if _matches(self._artifactory.found(item), item, criteria)
        ]
        span = {"start_pos": 0, "end_pos": len(results), "total": len(results)}
        self._json(200, {"results": results, "range": span})

    # ------------------------------------------------------------ parts

    def _item(self, path: str) -> Item:
        item = self._artifactory.items.get(path)
        if item is None:
            raise _RefusedError(404, "File not found.")
        return item

    def _drain(self) -> None:
        for _ in self._pieces():
            pass

    def _pieces(self) -> Iterator[bytes]:
        """The body, with a length or in chunks."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", "0"))
        while left > 0:
            piece = self.rfile.read(min(CHUNK_BYTES, left))
            if not piece:
                raise _RefusedError(400, "The body ends too early")
            left -= len(piece)
            yield piece


class Artifactory(Server):
    """The stand-in.

    Attributes:
        items: what is deployed, by repository and path.
        etags: how entity tags look; may be changed at any time.
        bucket: where downloads are redirected to; None serves them itself.

    Args:
        folder: for contents.
        repositories: their names.
        accounts: who may do what.
        anonymous: what may be done without credentials; None wants credentials for everything.
    """

    handler = _ArtifactoryHandler

    def __init__(
        self,
        folder: Path,
        *,
        repositories: tuple[str, ...] = ("models",),
        accounts: tuple[Account, ...] = (),
        anonymous: Account | None = None,
    ) -> None:
        super().__init__()
        self.blobs = Blobs(folder)
        self.repositories = repositories
        self.accounts = accounts
        self.anonymous = anonymous
        self.items: dict[str, Item] = {}
        self.etags = Etags.QUOTED
        self.bucket: Bucket | None = None

    def put(self, path: str, content: bytes, **properties: str) -> str:
        """Deploys a file past all permissions; returns its address."""
        sums, size = self.blobs.add(iter([content]))
        repo, _, name = path.partition("/")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        values = {key: [value] for key, value in properties.items()}
        self.items[path] = Item(repo, name, sums, size, now, "admin", values)
        return f"{self.url}/artifactory/{path}"

    def known(self, promised: Mapping[str, str]) -> tuple[Mapping[str, str], int]:
        """The checksums and size of a content that is deployed already, for a checksum deploy."""
        for item in self.items.values():
            if promised and all(item.checksums[name] == value for name, value in promised.items()):
                return item.checksums, item.size_bytes
        raise _RefusedError(404, "Checksum deploy failed. No existing file with these checksums")

    def api_uri(self, item: Item) -> str:
        """Where an item's information is."""
        return f"{self.url}/artifactory/api/storage/{item.repo}/{item.path}"

    def describe(self, item: Item, *, changes: bool) -> dict[str, Any]:
        """An item as the storage API and a deployment's answer have it."""
        told: dict[str, Any] = {
            "repo": item.repo,
            "path": f"/{item.path}",
            "created": item.created,
            "createdBy": item.created_by,
            "downloadUri": f"{self.url}/artifactory/{item.repo}/{item.path}",
            "mimeType": "application/zip" if item.path.endswith(".zip") else "text/plain",
            "size": str(item.size_bytes),  # a string, as the real one has it
            "checksums": dict(item.checksums),
            "originalChecksums": dict(item.checksums),
            "uri": self.api_uri(item),
        }
        if changes:
            told |= {
                "lastModified": item.created,
                "modifiedBy": item.created_by,
                "lastUpdated": item.created,
            }
        return told

    def found(self, item: Item) -> dict[str, Any]:
        """An item as AQL has it."""
        folder, _, name = item.path.rpartition("/")
        return {
            "repo": item.repo,
            "path": folder or ".",
            "name": name,
            "type": "file",
            "size": item.size_bytes,  # a number here
            "created": item.created,
            "created_by": item.created_by,
            "sha256": item.checksums["sha256"],
        }


def _plain(target: str) -> tuple[str, dict[str, list[str]]]:
    """A path without its matrix parameters, and these."""
    path, *parameters = target.split(";")
    return unquote(path).strip("/"), _properties([unquote(entry) for entry in parameters])


def _properties(parameters: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name:
            found.setdefault(name, []).extend(value.split(","))
    return found


def _basic(value: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise _RefusedError(401, "Bad credentials") from None
    return name, password


def _matches(told: Mapping[str, Any], item: Item, criteria: Mapping[str, str]) -> bool:
    return all(
        value in item.properties.get(name[1:], [])
        if name.startswith("@")
        else str(told.get(name)) == value
        for name, value in criteria.items()
    )
