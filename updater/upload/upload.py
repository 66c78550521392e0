"""Captures go to the bucket, one after the other, and are marked.

For each: the picture, then the sidecar, then the mark. So a sidecar in the bucket means that its
picture is there too, and a mark in the folder that both are. A run that is killed in between is
taken up by the next: what was put already is put again under the same key with the same bytes, or
refused as there already, and either way marked.
"""

from __future__ import annotations

import base64
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from updater.atomic import fsync_folder
from updater.capturelock import mark_stored
from updater.errors import StorageError, UploadError
from updater.fetch.backoff import retry_after_s, wait_s
from updater.upload import folder as captures
from updater.upload import plan
from updater.upload.answers import Action, Answer, Judgement, judge
from updater.upload.body import Pace, PacedBody
from updater.upload.folder import Checked, DamagedError, GoneError
from updater.upload.item import Item
from updater.upload.names import Destination
from updater.upload.plan import Budget

ATTEMPTS = 8
PAUSE_S = 1.0
PAUSE_MAX_S = 60.0
ASKED_MAX_S = 300.0
"""Longest pause that a server may ask for."""

LOCK_TIMEOUT_S = 30.0
"""Longer than any command holds the folder's lock: a mark that fails costs an upload."""

PICTURE_TYPE = "image/jpeg"
SIDECAR_TYPE = "application/json"

_log = logging.getLogger(__name__)


class ObjectStore(Protocol):
    """Where objects are put."""

    def put(self, item: Item, body: PacedBody, *, conditional: bool) -> Answer:
        """Puts one object, once."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did.

    Attributes:
        stored: names of the captures that are now marked, in order.
        size_bytes: of them, pictures and sidecars.
        already_there: how many of them an earlier run had put, without coming to mark them.
        damaged: captures left out, and why.
        gone: captures that the daemon deleted meanwhile.
        left: captures that did not fit the budget.
    """

    stored: tuple[str, ...]
    size_bytes: int
    already_there: int
    damaged: tuple[DamagedError, ...]
    gone: int
    left: int


class Upload:
    """One run.

    Args:
        folder: the captures.
        destination: where they go.
        bucket: puts them there.
        pace: the rate cap.
        attempts: for one object.
        sleep: waits.
        draw: at random from 0 to 1, for the pauses.
    """

    def __init__(
        self,
        folder: Path,
        destination: Destination,
        bucket: ObjectStore,
        *,
        pace: Pace,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], object] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._folder = folder
        self._destination = destination
        self._bucket = bucket
        self._pace = pace
        self._attempts = attempts
        self._sleep = sleep
        self._draw = draw
        self._conditional = True
        self._stored: list[str] = []
        self._size_bytes = self._already_there = self._gone = 0
        self._damaged: list[DamagedError] = []

    def run(self, budget: Budget) -> Report:
        """Sends what is worth most, as much as the budget allows.

        Raises:
            BusyError: another upload is at work on this folder.
            StorageError: the folder cannot be read or marked.
            UploadError: S3 refuses for good or cannot be reached; what was stored before is marked,
                everything else is as it was.
        """
        with captures.exclusive(self._folder):
            found = captures.scan(self._folder)
            for problem in found.damaged:
                self._leave_out(problem)
            todo = plan.make(found.candidates, budget)
            for number, candidate in enumerate(todo.chosen, 1):
                try:
                    self._send(candidate.name)
                except GoneError:
                    self._gone += 1
                except DamagedError as problem:
                    self._leave_out(problem)
                except UploadError as error:
                    raise self._stopped(error, len(todo.chosen) - number + 1) from error
                else:
                    _log.info("%d/%d %s", number, len(todo.chosen), candidate.name)
            self._sync()
        return Report(
            stored=tuple(self._stored),
            size_bytes=self._size_bytes,
            already_there=self._already_there,
            damaged=tuple(self._damaged),
            gone=self._gone,
            left=todo.left,
        )

    def _send(self, name: str) -> None:
        with captures.checked(self._folder, name) as capture:
            picture_key, sidecar_key = self._destination.keys(
                capture.sidecar, capture.sidecar_sha256
            )
            digest = capture.sidecar.picture.sha256
            picture = _item(picture_key, PICTURE_TYPE, digest, capture)
            sidecar = _item(sidecar_key, SIDECAR_TYPE, capture.sidecar_sha256, capture)
            self._put(picture, capture.picture)
            last = self._put(sidecar, capture.sidecar_file)
            if not mark_stored(self._folder, name, timeout_s=LOCK_TIMEOUT_S):
                _log.info("%s: stored, and meanwhile deleted here", name)
            self._stored.append(name)
            self._size_bytes += capture.size_bytes
            self._already_there += last is Action.ALREADY_THERE

    def _put(self, item: Item, file: BinaryIO) -> Action:
        """Puts one object, trying again as long as that makes sense.

        Raises:
            UploadError: it does not.
        """
        failures = 0
        while True:
            file.seek(0)
            body = PacedBody(file, self._pace)
            answer = self._bucket.put(item, body, conditional=self._conditional)
            judgement = judge(answer, sha256=item.sha256)
            if judgement.action in (Action.DONE, Action.ALREADY_THERE):
                return judgement.action
            if judgement.action is Action.UNCONDITIONALLY and self._conditional:
                # The keys are unique without it: it only saves sending what is there.
                _log.info("the server does not know If-None-Match: going on without")
                self._conditional = False
                continue
            failures += 1
            if judgement.action is not Action.RETRY or failures >= self._attempts:
                raise self._refused(judgement, failures)
            self._pause(judgement, answer, failures)

    def _pause(self, judgement: Judgement, answer: Answer, failures: int) -> None:
        pause_s = wait_s(
            failures,
            base_s=PAUSE_S,
            max_s=PAUSE_MAX_S,
            random=self._draw,
            asked_s=retry_after_s(answer.headers.get("retry-after"), answer.headers.get("date")),
            asked_max_s=ASKED_MAX_S,
        )
        _log.warning("%s; trying again in %.0f s", judgement.what, pause_s)
        self._sleep(pause_s)

    def _refused(self, judgement: Judgement, failures: int) -> UploadError:
        tries = f" ({failures} attempts)" if failures > 1 else ""
        return UploadError(
            f"{judgement.what}{tries}", where=self._destination.url, hint=judgement.hint
        )

    def _stopped(self, error: UploadError, waiting: int) -> UploadError:
        """The error with what a person asks next: is anything lost?"""
        rest = f"{len(self._stored)} captures were stored before, {waiting} wait for the next run"
        hint = f"{error.hint}. {rest}" if error.hint else rest
        return UploadError(error.what, where=error.where, hint=hint)

    def _leave_out(self, problem: DamagedError) -> None:
        _log.warning("left out: %s", problem)
        self._damaged.append(problem)

    def _sync(self) -> None:
        """Once for all marks; why that is enough, says :func:`mark_stored`."""
        try:
            fsync_folder(self._folder)
        except OSError as error:
            raise StorageError(
                f"cannot be synced: {error.strerror}", where=str(self._folder)
            ) from error


def _item(key: str, content_type: str, sha256: str, capture: Checked) -> Item:
    sidecar = capture.sidecar
    return Item(
        key=key,
        content_type=content_type,
        sha256=base64.b64encode(bytes.fromhex(sha256)).decode(),
        metadata={"device": sidecar.device, "capture": sidecar.name, "sha256": sha256},
    )
