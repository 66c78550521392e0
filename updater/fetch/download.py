"""Brings a bundle here: what is to be downloaded and what lies here already."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from updater.errors import FetchError, UsageError
from updater.fetch import address, local
from updater.fetch.attempts import Attempts, Timing
from updater.fetch.cleanup import cleanup
from updater.fetch.credentials import Credentials
from updater.fetch.part import Part
from updater.fetch.policy import FetchPolicy
from updater.fetch.progress import Progress, Received

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A bundle that lies on this device.

    Attributes:
        path: of the file; a local source is the file itself.
        sha256: of its bytes, 64 lower-case hex digits.
        size_bytes: of it.
        source: where it came from, without anything secret.
    """

    path: Path
    sha256: str
    size_bytes: int
    source: str


def fetch(
    source: str,
    downloads: Path,
    policy: FetchPolicy,
    *,
    sha256: str | None = None,
    credentials: Credentials | None = None,
    progress: Progress | None = None,
    timing: Timing | None = None,
) -> Fetched:
    """Brings a bundle onto this device; goes on where an earlier run was cut off.

    Args:
        source: an http or https address, or the name of a file, which is hashed where it lies.
        downloads: folder for what is downloaded; made if it is missing.
        policy: limits.
        sha256: that it must have, 64 hex digits; None takes any.
        credentials: for the server of the address, and for no other that it redirects to.
        progress: is told how far it is.
        timing: clock and dice; None for the real ones.

    Raises:
        UsageError: the address or the checksum makes no sense.
        ConfigError: the proxy or the file of authorities cannot be used.
        FetchError: the server refuses, cannot be reached in time, or sends something else.
        StorageError: no room, or the disk refuses.
        BusyError: another process is downloading the same.
    """
    expected = _checked_sha256(sha256)
    report = progress or _say_nothing
    if not address.is_url(source):
        return _take_local(Path(source), policy, expected, report)
    url = address.checked(source)
    if credentials and not (policy.credentials_in_clear or address.is_private_way(url)):
        raise FetchError(
            "credentials would travel in the clear",
            where=address.shown(url),
            hint="Use https, or allow it with credentials_in_clear in the configuration",
        )
    # It takes longer to import than a small bundle to fetch, and most commands fetch nothing.
    from updater.fetch.connection import Deadline  # noqa: PLC0415
    from updater.fetch.transport import Transport  # noqa: PLC0415

    key = address.key_of(url, expected)
    shown = address.shown(url)
    cleanup(downloads, policy.keep_downloads, max_bytes=policy.keep_bytes, spare=(key,))
    with (
        Part(downloads, key, source=shown) as part,
        Deadline(policy.total_timeout_s) as deadline,
        Transport(url, policy, credentials, deadline) as transport,
    ):
        attempts = Attempts(
            part=part,
            transport=transport,
            policy=policy,
            expected=expected,
            report=report,
            timing=timing or Timing(),
            where=shown,
        )
        attempts.run()
        return Fetched(part.finish(), part.sha256, part.held_bytes, shown)


def _checked_sha256(sha256: str | None) -> str | None:
    if sha256 is None:
        return None
    lower = sha256.strip().lower()
    if not _SHA256.fullmatch(lower):
        raise UsageError("a sha256 has 64 hex digits", where="--sha256")
    return lower


def _say_nothing(received: Received) -> None:
    """Stands in where nobody wants to know."""


def _take_local(path: Path, policy: FetchPolicy, expected: str | None, report: Progress) -> Fetched:
    path = path.expanduser().absolute()
    digest, size = local.hash_file(
        path,
        max_bytes=policy.max_bytes,
        seen=lambda held, total: report(Received(held, total)),
    )
    if expected not in (None, digest):
        raise FetchError(f"has the sha256 {digest}, not {expected}", where=str(path))
    return Fetched(path, digest, size, str(path))
