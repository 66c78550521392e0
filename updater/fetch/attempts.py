"""Receives one file over a network that fails: attempts, waits, and the limits on both."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from updater.errors import FetchError
from updater.fetch import backoff, resume, space
from updater.fetch.backoff import TransientError
from updater.fetch.part import CHUNK_BYTES, Part
from updater.fetch.policy import FetchPolicy
from updater.fetch.progress import Progress, Received, amount
from updater.fetch.rate import StallWatch, TokenBucket
from updater.fetch.resume import Request, Verdict, Version

if TYPE_CHECKING:
    from updater.fetch.transport import Answer, Transport

ENOUGH_BYTES = 64 * 1024
"""An attempt that brought this much was no failure in vain: the count of failures begins anew."""

SPACE_EVERY_BYTES = 4 * 1024 * 1024
"""The disk is asked again after each of these: others write to it too."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The clock and the dice of a download; tests bring their own.

    Attributes:
        monotonic: seconds on a clock that never jumps.
        sleep: waits so many seconds.
        random: draws evenly from 0 to 1.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random


class Attempts:
    """The attempts at one download.

    Args:
        part: what is held of it.
        transport: to the server.
        policy: limits.
        expected: sha256 that it must have, None for any.
        report: is told how far it is.
        timing: clock and dice.
        where: the address, without anything secret.
    """

    def __init__(
        self,
        *,
        part: Part,
        transport: Transport,
        policy: FetchPolicy,
        expected: str | None,
        report: Progress,
        timing: Timing,
        where: str,
    ) -> None:
        self._part = part
        self._transport = transport
        self._policy = policy
        self._expected = expected
        self._report = report
        self._timing = timing
        self._where = where
        self._until_s = timing.monotonic() + policy.total_timeout_s
        self._bucket = TokenBucket(policy.rate_bytes_per_s, timing.monotonic())
        self._started_over = False

    def run(self) -> None:
        """Attempt after attempt, until the whole file is held and right.

        Raises:
            FetchError: the server refuses, cannot be reached in time, or sends something else.
            ConfigError: the proxy's address makes no sense.
            StorageError: no room, or the disk refuses.
        """
        part = self._part
        if part.held_bytes:
            self._note(f"going on after {amount(self._received())}")
        while True:
            if not (part.is_whole and part.sha256 == self._expected):
                self._receive()
            if not part.held_bytes:
                raise self._empty()
            if self._is_right():
                return
            self._started_over = True
            self._note("the pieces do not make the promised file: starting over")
            part.begin(Version())

    def _receive(self) -> None:
        """Attempts until everything is here.

        Raises:
            FetchError: too many failed in a row, or the time is up.
        """
        failures = 0
        while True:
            before = self._part.held_bytes
            try:
                if self._attempt():
                    return
                continue
            except TransientError as error:
                what, asked_s = error.what, error.asked_s
            gained = self._part.held_bytes - before
            failures = 1 if gained >= ENOUGH_BYTES else failures + 1
            self._wait(what, asked_s, failures)

    def _wait(self, what: str, asked_s: float | None, failures: int) -> None:
        policy, part = self._policy, self._part
        kept = f"; {part.held_bytes} bytes are kept for the next run" if part.held_bytes else ""
        if failures > policy.retries and self._left_s() > 0:
            raise FetchError(
                f"{what}; given up after {failures} attempts in a row{kept}",
                where=self._where,
                hint="Check network and server, then run it again",
            )
        wait_s = backoff.wait_s(
            failures,
            base_s=policy.backoff_base_s,
            max_s=policy.backoff_max_s,
            random=self._timing.random,
            asked_s=asked_s,
            asked_max_s=policy.retry_after_max_s,
        )
        if wait_s >= self._left_s():
            raise FetchError(
                f"not done within {policy.total_timeout_s:g} s, the last was: {what}{kept}",
                where=self._where,
                hint="Run it again, or raise total_timeout_s",
            )
        self._note(f"{what}; attempt {failures + 1} in {wait_s:.1f} s")
        self._timing.sleep(wait_s)

    def _attempt(self) -> bool:
        """One request; whether everything is here.

        Raises:
            TransientError: it broke off.
            FetchError: it makes no sense to go on.
        """
        part = self._part
        request = resume.request_for(part.held_bytes, part.version, self._expected)
        with self._transport.get(request.headers, left_s=self._left_s()) as answer:
            covers = resume.content_range(answer.headers.get("content-range"))
            size = resume.content_length(answer.headers.get("content-length"))
            whole = size if answer.status == 200 else covers.size_bytes if covers else None
            version = resume.version_of(answer.headers, whole)
            verdict = resume.judge(
                request,
                part.version,
                status=answer.status,
                answered=version,
                covers=covers,
                expected_sha256=self._expected,
            )
            if verdict is Verdict.COMPLETE:
                return True
            if verdict is Verdict.ASK_AGAIN:
                return self._ask_again(request, answer.status)
            self._check_offer(answer, version)
            if verdict is Verdict.START_OVER:
                if request.held_bytes:
                    self._note("the server has another file now, or no ranges: starting over")
                part.begin(version)
                coming = size
            else:
                part.resumed = True
                coming = covers.length_bytes if covers else None
            self._stream(answer, coming)
        return part.version.size_bytes is None or part.is_whole

    def _ask_again(self, request: Request, status: int) -> bool:
        """Drops what is held, since the answer does not go with it."""
        if not request.headers:
            raise FetchError(
                f"answers {status} to a request for the whole file",
                where=self._where,
                hint="Check the server, or a proxy on the way",
            )
        self._note("the server has another file now: starting over")
        self._part.begin(Version())
        return False

    def _check_offer(self, answer: Answer, version: Version) -> None:
        """Looks at what is about to come, before any of it is written."""
        coding = answer.headers.get("content-encoding", "identity").strip().lower()
        transfer = answer.headers.get("transfer-encoding", "chunked").strip().lower()
        if coding not in ("", "identity") or transfer not in ("", "identity", "chunked"):
            raise FetchError(
                "is sent compressed although that was not asked for",
                where=self._where,
                hint="Turn compression off for this address, at the server or the proxy",
            )
        if self._expected and version.sha256 and version.sha256 != self._expected:
            raise FetchError(
                f"has the sha256 {version.sha256}, not {self._expected}",
                where=self._where,
                hint="Check the address and --sha256",
            )
        size = version.size_bytes
        if size == 0:
            raise self._empty()
        if size is not None and size > self._policy.max_bytes:
            raise self._too_large(f"{size} bytes")
        same = answer.status != 200
        needed = (size or 0) - (self._part.held_bytes if same else 0)
        self._require_space(max(0, needed))

    def _stream(self, answer: Answer, coming: int | None) -> None:
        """Reads a body to its end; ``coming`` is its length, None if not told."""
        policy, part, now = self._policy, self._part, self._timing.monotonic
        watch = StallWatch(policy.stall_bytes_per_s, policy.stall_timeout_s, now())
        received, asked_space_at = 0, SPACE_EVERY_BYTES
        while chunk := answer.read(CHUNK_BYTES):
            received += len(chunk)
            if part.held_bytes + len(chunk) > policy.max_bytes:
                part.discard()
                raise self._too_large("more")
            part.write(chunk)
            self._report(self._received())
            if received >= asked_space_at:
                asked_space_at = received + SPACE_EVERY_BYTES
                self._require_space(0)
            if self._left_s() <= 0:
                raise TransientError("the time is up")
            if watch.stalled(len(chunk), now()):
                raise TransientError(
                    f"the connection is slower than {policy.stall_bytes_per_s:g} bytes a second"
                )
            if wait_s := self._bucket.take(len(chunk), now()):
                self._timing.sleep(min(wait_s, max(0.0, self._left_s())))
        chunked = "transfer-encoding" in answer.headers
        if coming is not None and received != coming:
            raise TransientError(f"the connection broke after {received} of {coming} bytes")
        if coming is None and not chunked and received == 0:
            # A connection that ends within the headers looks like this.
            raise TransientError("the connection broke before the first byte")

    def _is_right(self) -> bool:
        """Compares the checksums; False where starting over may mend it.

        Raises:
            FetchError: it is not the promised file, and starting over would not help.
        """
        part = self._part
        promised = (self._expected, part.version.sha256)
        wrong = [digest for digest in promised if digest and digest != part.sha256]
        if not wrong:
            return True
        # Pieces may belong to different files, and what the server promised was damaged on the way;
        # but a file that came in one piece and was never promised would only come again.
        if not self._started_over and (part.resumed or wrong != [self._expected]):
            return False
        found = part.sha256
        part.discard()
        raise FetchError(
            f"has the sha256 {found}, not {wrong[0]}",
            where=self._where,
            hint="Check --sha256, and whether the bundle was published whole",
        )

    def _empty(self) -> FetchError:
        return FetchError("is empty", where=self._where, hint="Publish the bundle again")

    def _too_large(self, size: str) -> FetchError:
        return FetchError(
            f"has {size}, and at most {self._policy.max_bytes} bytes are allowed",
            where=self._where,
            hint="See max_bytes in the configuration",
        )

    def _require_space(self, needed: int) -> None:
        margin = self._policy.free_margin_bytes
        space.require(self._part.path.parent, needed, margin_bytes=margin)

    def _left_s(self) -> float:
        return self._until_s - self._timing.monotonic()

    def _received(self, note: str = "") -> Received:
        return Received(self._part.held_bytes, self._part.version.size_bytes, note)

    def _note(self, note: str) -> None:
        self._report(self._received(note))
