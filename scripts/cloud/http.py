"""One request to a service and its answer: retries, limits, and no word of ours in the wrong hands.

Foreign exceptions end here: their texts hold whole addresses, so ``updater.fetch.failures`` says it
in its own words. No redirect is followed: credentials are meant for one server.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import requests
from requests.adapters import HTTPAdapter

from scripts.cloud.errors import ServiceError
from scripts.cloud.secrets import without
from scripts.cloud.timing import RateLimit, Timing
from updater.errors import SitewatchError, StorageError, UsageError
from updater.fetch import address, backoff
from updater.fetch.backoff import TransientError
from updater.fetch.failures import NETWORK_ERRORS, describe, judged
from updater.version import VERSION

ANSWER_MAX_BYTES = 16 * 1024 * 1024
"""A page of 1000 devices has about one."""

SAID_MAX_CHARACTERS = 200
_WITHOUT_BODY = frozenset({204, 304})
_ELSEWHERE = "No redirect is followed with credentials: give the address that it leads to"
HINTS = {
    **dict.fromkeys((301, 302, 303, 307, 308), _ELSEWHERE),
    401: "The token or key is missing, wrong or expired",
    403: "The token or key may not do this: ask for the permission",
    404: "Check the address and the names in it; they are case-sensitive",
    413: "It is larger than the service takes, or the quota is used up",
    507: "The service's storage is full: nothing was stored",
}
FINAL_STATUSES = frozenset({501, 505, 507})
"""Of 5xx, those that waiting does not mend: not implemented, no such HTTP, storage full."""

# At DEBUG it writes each address with its query.
logging.getLogger("urllib3").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often, and after which waits, a request is made again."""

    attempts: int = 6
    base_s: float = 1.0
    max_s: float = 30.0
    asked_max_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        status: of HTTP.
        headers: by lower-case name.
        body: whole.
        where: the address, as it may be printed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    where: str

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ServiceError: it is none.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise ServiceError(
                "the answer is no JSON", where=self.where, hint="Is this the right address?"
            ) from None


class UnclearError(ServiceError):
    """Nobody can tell whether a request that must not be made twice was carried out."""


@dataclass(slots=True)
class Client:
    """Requests to one service.

    Attributes:
        base: its address, without a slash at the end.
        headers: sent with each request, credentials among them.
        secrets: what no message may hold.
        retry: how often a request is made again.
        limit: of calls.
        timing: clock, sleep and dice.
        ca_file: authorities to judge the server by; None: the usual ones.
        timeout_s: to connect, and of silence.

    Raises:
        UsageError: the address is none, or credentials would travel in the clear.
    """

    base: str
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    secrets: tuple[str, ...] = field(repr=False, default=())
    retry: Retry = field(default_factory=Retry)
    limit: RateLimit = field(default_factory=lambda: RateLimit(0))
    timing: Timing = field(default_factory=Timing)
    ca_file: Path | None = None
    timeout_s: tuple[float, float] = (15.0, 120.0)

    def __post_init__(self) -> None:
        self.base = address.checked(self.base).rstrip("/")
        if self.secrets and not address.is_private_way(self.base):
            raise UsageError(
                "credentials would travel in the clear", where=self.base, hint="Use https"
            )

    def ask(
        self,
        method: str,
        path: str,
        *,
        accept: Collection[int] = (200,),
        headers: Mapping[str, str] | None = None,
        document: object = None,
        content: Path | bytes | None = None,
        once: bool = False,
    ) -> Reply:
        """Makes a request until it is answered.

        Args:
            method: of HTTP.
            path: below the base address, escaped.
            accept: statuses that are an answer; others are an error.
            headers: further ones.
            document: sent as JSON.
            content: sent as it is.
            once: it must not be carried out twice: it is made again only where it surely was not
                carried out.

        Raises:
            ServiceError: the service refuses, or cannot be reached.
            UnclearError: ``once``, and whether it was carried out is not known.
            StorageError: the content cannot be read.
        """
        url = f"{self.base}/{path}"
        where = address.shown(url)
        failures = 0
        while True:
            self.limit.wait()
            try:
                reply = self._send(method, url, headers or {}, document, content)
            except TransientError as error:
                if once:
                    raise UnclearError(error.what, where=where) from None
                asked_s, what = error.asked_s, error.what
            else:
                if reply.status in accept:
                    return reply
                if reply.status in FINAL_STATUSES or not backoff.is_transient(reply.status):
                    raise self._refused(reply)
                what = f"the service answers {describe(reply.status)}"
                if once and reply.status != requests.codes.too_many_requests:
                    raise UnclearError(what, where=where)
                told = reply.headers
                asked_s = backoff.retry_after_s(told.get("retry-after"), told.get("date"))
            failures += 1
            if failures >= self.retry.attempts:
                raise ServiceError(f"{what}, {failures} times", where=where, hint="Try again later")
            self.timing.sleep(
                backoff.wait_s(
                    failures,
                    base_s=self.retry.base_s,
                    max_s=self.retry.max_s,
                    random=self.timing.random,
                    asked_s=asked_s,
                    asked_max_s=self.retry.asked_max_s,
                )
            )

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        document: object,
        content: Path | bytes | None,
    ) -> Reply:
        """One request, one answer; raises TransientError as well."""
        wanted = {"User-Agent": f"sitewatch/{VERSION}", "Accept": "*/*", **self.headers, **headers}
        if document is not None:
            content = json.dumps(document, separators=(",", ":")).encode()
            wanted["Content-Type"] = "application/json"
        failure: SitewatchError | TransientError
        with contextlib.ExitStack() as stack:
            body = _opened(content, stack)
            # Not a session: it reads ~/.netrc and keeps cookies.
            adapter = HTTPAdapter()
            stack.callback(adapter.close)
            try:
                response = adapter.send(
                    requests.Request(method, url, headers=wanted, data=body).prepare(),
                    stream=True,
                    timeout=self.timeout_s,
                    verify=True if self.ca_file is None else str(self.ca_file),
                    proxies=requests.utils.get_environ_proxies(url),
                )
                stack.callback(response.close)
                # One byte more shows that there is more.
                data = response.raw.read(ANSWER_MAX_BYTES + 1, decode_content=True) or b""
            except NETWORK_ERRORS as error:
                failure = judged(error, address.shown(url))
            else:
                if len(data) > ANSWER_MAX_BYTES:
                    raise ServiceError("the answer is too large", where=address.shown(url))
                lower = {name.lower(): value for name, value in response.headers.items()}
                # urllib3 1.26 does not look.
                if _is_whole(response.status_code, lower, response.raw.tell()):
                    return Reply(response.status_code, lower, data, address.shown(url))
                failure = TransientError("no connection: the server closed it before the end")
        # Raised out of the handler: the foreign error's text holds the whole address.
        if isinstance(failure, TransientError):
            raise failure
        raise ServiceError(failure.what, where=failure.where, hint=failure.hint)

    def _refused(self, reply: Reply) -> ServiceError:
        said = said_in(reply.body)
        what = f"the service answers {describe(reply.status)}"
        if said:
            what += f": {without(self.secrets, said)}"
        return ServiceError(what, where=reply.where, hint=HINTS.get(reply.status, ""))


def _is_whole(status: int, headers: Mapping[str, str], received: int) -> bool:
    """Whether an answer's body came to its end, as far as its head tells.

    Args:
        status: of HTTP.
        headers: by lower-case name.
        received: bytes of the body as they came, before decompression.
    """
    length = headers.get("content-length", "").strip()
    if length.isdecimal():
        return received == int(length)
    # Without length and chunks the connection's end is the answer's, and an answer that was cut
    # within its head has neither: nothing at all is then no answer.
    return bool(received) or status in _WITHOUT_BODY or "transfer-encoding" in headers


def said_in(body: bytes) -> str:
    """What an error's body says in words, as far as it can be told: Connect's and Artifactory's."""
    try:
        found = json.loads(body)
        if isinstance(found.get("errors"), list):
            found = found["errors"][0]
        said = found.get("error_message") or found.get("message") or found.get("error") or ""
    except (ValueError, RecursionError, AttributeError, IndexError):
        return ""
    text = "".join(each if each.isprintable() else " " for each in str(said))
    return text[:SAID_MAX_CHARACTERS]


def _opened(content: Path | bytes | None, stack: contextlib.ExitStack) -> BinaryIO | bytes | None:
    if not isinstance(content, Path):
        return content
    try:
        return stack.enter_context(content.open("rb"))
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}", where=str(content)) from error


def json_client(base: str, bearer: str, **options: Any) -> Client:
    """A client that shows a bearer token."""
    return Client(base, headers={"Authorization": f"Bearer {bearer}"}, secrets=(bearer,), **options)
