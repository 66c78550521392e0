"""Captures to be uploaded, and uploads of them, for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daemon.captures.buffer import CaptureBuffer
from daemon.captures.reasons import CaptureReason
from tests.support.captures import SetClock, config, decision, jpeg
from tests.support.s3_server import BUCKET, DESTINATION, Key
from updater import captures as stored
from updater.captures import STORED_SUFFIX
from updater.upload.body import Pace
from updater.upload.credentials import Credentials
from updater.upload.names import Destination
from updater.upload.plan import Budget
from updater.upload.s3 import Bucket, Endpoint
from updater.upload.upload import Report, Upload

ROOMY = Budget(max_files=1000, max_bytes=10**9)


def fill(
    folder: Path,
    values: Sequence[float],
    *,
    reason: CaptureReason = CaptureReason.UNCERTAIN_SCORE,
    picture: Callable[[int], bytes] = jpeg,
) -> list[str]:
    """Captures of these values, taken by a real buffer; their names."""
    clock = SetClock()
    buffer = CaptureBuffer(config(folder), "cam-1", clock=clock.clock())
    names: list[str] = []
    for number, value in enumerate(values):
        found = decision(reason=reason, value=value, sequence=number, monotonic_s=clock.monotonic_s)
        name = buffer.store(found, picture(number)).name
        assert name is not None
        names.append(name)
        clock.passes(60.0)
    return names


def marked(folder: Path) -> set[str]:
    """Names of the captures that are marked as stored."""
    return {path.stem for path in folder.glob(f"*{STORED_SUFFIX}")}


def keys_of(folder: Path, names: Sequence[str], destination: Destination) -> list[str]:
    """The keys of these captures, picture and sidecar of each in turn."""
    found: list[str] = []
    for name in names:
        data = (folder / f"{name}.json").read_bytes()
        found += destination.keys(stored.read(folder, name), stored.sha256_of(data))
    return found


def credentials_of(key: Key) -> Credentials:
    """A server's key as the upload has it."""
    return Credentials(key.key_id, key.secret, key.token or "", None)


@contextlib.contextmanager
def bucket_at(url: str, key: Key, name: str = BUCKET) -> Iterator[Bucket]:
    """A bucket of a test's server."""
    bucket = Bucket(name, Endpoint(url=url, proxy="none"), credentials_of(key))
    try:
        yield bucket
    finally:
        bucket.close()


@dataclass
class Uploader:
    """Runs of uploads that wait for nothing, and remember for how long they would have.

    Attributes:
        folder: the captures.
        url: of the server.
        key: to show it.
        destination: where pictures go.
        pauses_s: every pause so far.
    """

    folder: Path
    url: str
    key: Key
    destination: Destination = DESTINATION
    pauses_s: list[float] = field(default_factory=list)

    def run(self, budget: Budget = ROOMY) -> Report:
        """One run."""
        with bucket_at(self.url, self.key, self.destination.bucket) as bucket:
            return Upload(
                self.folder,
                self.destination,
                bucket,
                pace=Pace(0),
                sleep=self.pauses_s.append,
                draw=lambda: 1.0,
            ).run(budget)
