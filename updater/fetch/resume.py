"""Whether a download may go on where it stopped: pure rules, no input or output.

Two things can go wrong. The server may have changed the file since, so that its tail does not
belong to our head: the rules below compare what the server said then and says now. Or what lies on
our disk is not what we received, since the power was cut before it was written: a checkpoint says
up to where it surely is, and what its hash is. Ranges and validators after RFC 9110, sections 8.8,
13.1.5 and 14.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ETAG_MAX_CHARACTERS = 256
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_BARE_ETAG = re.compile(r"[\x21\x23-\x7e]+")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_NO_RANGE = re.compile(r"bytes \*/([0-9]{1,18})")
_LENGTH = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one content of a file from another, as the server says it.

    Attributes:
        etag: its entity tag as sent; "" if it has none or a weak one, which says nothing of bytes.
        sha256: of the whole file (Artifactory's ``X-Checksum-Sha256``), 64 lower-case hex digits;
            "" if not told.
        size_bytes: of the whole file; None if not told.
    """

    etag: str = ""
    sha256: str = ""
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A beginning of the file that is on the disk for certain.

    Attributes:
        length_bytes: of it.
        sha256: of it.
    """

    length_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the server.

    Attributes:
        held_bytes: what we have, and build upon if the answer allows it.
        complete: whether that is the whole file, so that we only ask whether it still is.
        headers: of the request.
    """

    held_bytes: int = 0
    complete: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContentRange:
    """The header of that name.

    Attributes:
        first: offset of the first byte of the body; None where there is no body (status 416).
        last: offset of its last byte; None likewise.
        size_bytes: of the whole file; None if not told.
    """

    first: int | None
    last: int | None
    size_bytes: int | None

    @property
    def length_bytes(self) -> int:
        """Of the body."""
        return 0 if self.first is None or self.last is None else self.last + 1 - self.first


class Verdict(StrEnum):
    """What is done with an answer."""

    APPEND = "append"
    """The body goes on where we stopped."""
    START_OVER = "start over"
    """The body is the whole file: what we have is dropped."""
    ASK_AGAIN = "ask again"
    """What we have is dropped, and the body is of no use without it."""
    COMPLETE = "complete"
    """What we have is the whole file."""


def version_of(headers: Mapping[str, str], size_bytes: int | None) -> Version:
    """The version that an answer is about.

    Args:
        headers: of the answer; found by lower-case name.
        size_bytes: of the whole file, if known.
    """
    etag = headers.get("etag", "").strip()
    known = _STRONG_ETAG.fullmatch(etag) or _BARE_ETAG.fullmatch(etag)
    if etag.startswith("W/") or len(etag) > ETAG_MAX_CHARACTERS or not known:
        etag = ""
    sha256 = headers.get("x-checksum-sha256", "").strip()
    if not _SHA256.fullmatch(sha256):
        sha256 = ""
    return Version(etag=etag, sha256=sha256.lower(), size_bytes=size_bytes)


def content_range(value: str | None) -> ContentRange | None:
    """Reads ``Content-Range``; None if it is absent or not of bytes in one piece."""
    if value is None:
        return None
    if found := _NO_RANGE.fullmatch(value.strip()):
        return ContentRange(None, None, int(found[1]))
    found = _RANGE.fullmatch(value.strip())
    if not found:
        return None
    first, last = int(found[1]), int(found[2])
    size = None if found[3] == "*" else int(found[3])
    if last < first or (size is not None and last >= size):
        return None
    return ContentRange(first, last, size)


def content_length(value: str | None) -> int | None:
    """Reads ``Content-Length``; None if it is absent or no number."""
    return int(value) if value is not None and _LENGTH.fullmatch(value.strip()) else None


def usable_bytes(
    checkpoint: Checkpoint,
    version: Version,
    *,
    length_bytes: int,
    same_boot: bool,
) -> int:
    """How much of what an earlier run left may be built upon, if the checkpoint's hash holds.

    Within one boot all that was written is there, even after a kill: the kernel has it. After
    another boot only what was synced is certain; behind it may be zeros.

    Args:
        checkpoint: as recorded.
        version: as recorded.
        length_bytes: of the file as found.
        same_boot: whether it was written since the machine started.
    """
    if length_bytes < checkpoint.length_bytes:
        return 0
    usable = length_bytes if same_boot else checkpoint.length_bytes
    if version.size_bytes is not None and usable > version.size_bytes:
        return 0
    return usable


def request_for(held_bytes: int, version: Version, expected_sha256: str | None) -> Request:
    """What to ask, given what we have.

    A range is asked for only where something will tell whether it fits: a strong entity tag (the
    server itself compares it, ``If-Range``), else the checksum that comes with the answer, else the
    checksum expected of the whole.
    """
    if held_bytes == 0:
        return Request()
    quoted = _STRONG_ETAG.fullmatch(version.etag) is not None
    if held_bytes == version.size_bytes:
        headers = {"If-None-Match": version.etag} if quoted else {}
        return Request(held_bytes, complete=True, headers=headers)
    wanted = {"Range": f"bytes={held_bytes}-"}
    if quoted:
        return Request(held_bytes, headers={**wanted, "If-Range": version.etag})
    if version.sha256 or version.etag or expected_sha256:
        return Request(held_bytes, headers=wanted)
    return Request()


def judge(
    request: Request,
    held: Version,
    *,
    status: int,
    answered: Version,
    covers: ContentRange | None,
    expected_sha256: str | None,
) -> Verdict:
    """What is done with an answer of status 200, 206, 304 or 416.

    Args:
        request: that it answers.
        held: the version that what we have belongs to.
        status: of the answer.
        answered: the version that the answer is about.
        covers: its ``Content-Range``.
        expected_sha256: that the whole must have, if it was given.
    """
    asked_for_rest = "Range" in request.headers
    if status == 200:
        comparable = bool(held.sha256 and answered.sha256) or bool(held.etag and answered.etag)
        unchanged = comparable and is_same(held, answered, expected_sha256)
        fits = Verdict.COMPLETE if request.complete and unchanged else Verdict.START_OVER
    elif status == 304 and "If-None-Match" in request.headers:
        fits = Verdict.COMPLETE
    elif (
        status == 416 and asked_for_rest and covers == ContentRange(None, None, request.held_bytes)
    ):
        # With If-Range this answer means that the tag still holds (RFC 9110, section 13.1.5), and
        # without it a checksum decides in the end.
        fits = Verdict.COMPLETE
    elif (
        status == 206
        and asked_for_rest
        and covers is not None
        and covers.first == request.held_bytes
        and is_same(held, answered, expected_sha256)
    ):
        fits = Verdict.APPEND
    else:
        fits = Verdict.ASK_AGAIN
    return fits


def is_same(held: Version, answered: Version, expected_sha256: str | None) -> bool:
    """Whether two answers are about the same content, the strongest evidence first.

    Where there is nothing to compare, a checksum expected of the whole lets us try: it decides at
    the end.
    """
    sizes = (held.size_bytes, answered.size_bytes)
    if None not in sizes and sizes[0] != sizes[1]:
        return False
    if held.sha256 and answered.sha256:
        return held.sha256 == answered.sha256
    if held.etag and answered.etag:
        return held.etag == answered.etag
    return expected_sha256 is not None
