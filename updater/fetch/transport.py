"""HTTP as a download needs it: one GET, its redirects, its body piece by piece.

Foreign exceptions end here. Their texts hold whole addresses, signatures included, so none is
printed or chained: each is turned into a text of ours, and that is raised after the handler.
"""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from updater.errors import ConfigError, FetchError
from updater.fetch import address, backoff
from updater.fetch.backoff import TransientError
from updater.fetch.connection import Deadline, DeadlineAdapter
from updater.fetch.credentials import Credentials
from updater.fetch.failures import (
    NETWORK_ERRORS,
    STATUS_HINTS,
    bad_proxy,
    describe,
    judged,
    reason,
)
from updater.fetch.policy import FetchPolicy
from updater.version import VERSION

NO_PROXY = "none"
LEAST_TIMEOUT_S = 0.05
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ANSWERS = frozenset({200, 206, 304, 416})
_PROXY_SCHEMES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})


@dataclass(frozen=True, slots=True)
class Answer:
    """The beginning of an answer with status 200, 206, 304 or 416; the body is still to be read.

    Attributes:
        status: of HTTP.
        headers: by lower-case name; the checksum is that of the first server on the way that told
            one, since what redirects knows the file better than what stores it.
        read: returns what has arrived, at most so many bytes, b"" at the end; raises
            TransientError.
    """

    status: int
    headers: Mapping[str, str]
    read: Callable[[int], bytes]


class Transport:
    """Connections to one server, and to where it redirects.

    Args:
        url: checked address.
        policy: limits, proxy and authorities.
        credentials: for the server of ``url``, and for it alone.
        deadline: ends connections when the time is up.

    Raises:
        ConfigError: the file of authorities cannot be used.
    """

    def __init__(
        self,
        url: str,
        policy: FetchPolicy,
        credentials: Credentials | None,
        deadline: Deadline,
    ) -> None:
        self._url = url
        self._policy = policy
        self._credentials = credentials
        self._deadline = deadline
        self._verify = _authorities(policy)
        # Not a session: it reads ~/.netrc and sends what it finds there, keeps cookies, and goes
        # into each redirect even where it is told not to follow any.
        self._adapter = DeadlineAdapter(deadline)

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._adapter.close()

    @contextlib.contextmanager
    def get(self, headers: Mapping[str, str], *, left_s: float) -> Iterator[Answer]:
        """Asks for the file; the connection is closed with the context.

        Args:
            headers: of this request; the usual ones and the credentials are added.
            left_s: seconds until the deadline; no time-out is longer.

        Raises:
            TransientError: worth another attempt.
            FetchError: it is not: the server refuses, redirects where we do not follow, or
                its certificate is not to be trusted.
            ConfigError: the proxy's address makes no sense.
        """
        with _silence(), contextlib.ExitStack() as stack:
            stack.callback(self._deadline.release)
            response, checksum = self._follow(headers, left_s, stack)
            found = {name.lower(): value for name, value in response.headers.items()}
            if checksum:
                found["x-checksum-sha256"] = checksum
            yield Answer(response.status_code, found, _reader(response))

    def _follow(
        self, headers: Mapping[str, str], left_s: float, stack: contextlib.ExitStack
    ) -> tuple[requests.Response, str]:
        """The first answer that is no redirect, and the checksum told on the way."""
        url = self._url
        home = address.origin(url)
        trusted, checksum = True, ""
        for _ in range(self._policy.redirects + 1):
            # Once another host had its say, the credentials stay here even if it sends us back.
            trusted = trusted and address.origin(url) == home
            response = self._send(url, headers, trusted=trusted, left_s=left_s)
            stack.callback(response.close)
            checksum = checksum or response.headers.get("X-Checksum-Sha256", "")
            if response.status_code not in REDIRECTS:
                self._check_status(response, url)
                return response, checksum
            location = response.headers.get("Location", "")
            if not location:
                raise FetchError("redirects to nowhere", where=address.shown(url))
            url = address.redirected(url, _text(location))
            response.close()
        raise FetchError(
            f"redirects more than {self._policy.redirects} times",
            where=address.shown(self._url),
            hint="Check the address: the server may redirect in a circle",
        )

    def _send(
        self, url: str, headers: Mapping[str, str], *, trusted: bool, left_s: float
    ) -> requests.Response:
        """One request, one answer's beginning."""
        # Range and checksum are about the bytes as they are stored, so they must come as they are.
        wanted = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": f"sitewatch-update/{VERSION}",
            **headers,
        }
        if trusted and self._credentials is not None:
            wanted.update(self._credentials.headers)
        left_s = max(LEAST_TIMEOUT_S, left_s)
        timeouts = (
            min(self._policy.connect_timeout_s, left_s),
            min(self._policy.read_timeout_s, left_s),
        )
        failure: Exception
        try:
            response = self._adapter.send(
                requests.Request("GET", url, headers=wanted).prepare(),
                stream=True,
                timeout=timeouts,
                verify=self._verify,
                proxies=self._proxies(url),
            )
        except NETWORK_ERRORS as error:
            failure = judged(error, address.shown(url))
        else:
            # http.client takes a connection that ends within the headers for the end of headers.
            if not self._deadline.expired:
                return response
            response.close()
            failure = TransientError("the time is up")
        raise failure

    def _proxies(self, url: str) -> dict[str, str]:
        """The proxies by scheme.

        Raises:
            ConfigError: an address among them makes no sense.
        """
        if self._policy.proxy == NO_PROXY:
            return {}
        proxies = dict.fromkeys(address.DEFAULT_PORTS, self._policy.proxy)
        if not self._policy.proxy:
            proxies = dict(requests.utils.get_environ_proxies(url))
        if not all(_is_proxy(proxy) for proxy in proxies.values()):
            raise bad_proxy()
        return proxies

    def _check_status(self, response: requests.Response, url: str) -> None:
        """Raises unless the answer is one of those that a download goes on from."""
        status = response.status_code
        if status in _ANSWERS:
            return
        what = f"the server answers {describe(status)}"
        if backoff.is_transient(status):
            headers = response.headers
            asked_s = backoff.retry_after_s(headers.get("Retry-After"), headers.get("Date"))
            raise TransientError(what, asked_s)
        hint = STATUS_HINTS.get(status, "Check the address")
        if status == 401 and address.origin(url) != address.origin(self._url):
            hint = (
                "It was redirected to, and credentials are sent to the first server only: give "
                "the final address"
            )
        raise FetchError(what, where=address.shown(url), hint=hint)


def _authorities(policy: FetchPolicy) -> str | bool:
    """What requests takes as ``verify``."""
    if policy.ca_file is None:
        return True
    try:
        ssl.create_default_context(cafile=policy.ca_file)
    except OSError as error:  # of which ssl.SSLError is one
        reason = error.strerror if not isinstance(error, ssl.SSLError) else "no certificate in it"
        raise ConfigError(
            f"cannot be used to judge servers: {reason}",
            where=f"ca_file {policy.ca_file}",
            hint="It must hold certificates of authorities in PEM",
        ) from error
    return os.fspath(policy.ca_file)


def _is_proxy(proxy: str) -> bool:
    """Whether an address is one of a proxy; requests fails on some others in ways of its own."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        return parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _reader(response: requests.Response) -> Callable[[int], bytes]:
    """Reads a body as it arrives.

    ``read(n)`` would wait for all n bytes, however slowly they trickle in; ``read1`` returns what
    is there. urllib3 has it since 2.1; in 1.26 the answer of http.client lies one attribute below.
    """
    raw: Any = response.raw
    read1 = raw.read1 if hasattr(raw, "read1") else raw._fp.read1

    def read(limit: int) -> bytes:
        failure: Exception
        try:
            return bytes(read1(limit))
        except NETWORK_ERRORS as error:
            failure = TransientError(f"the connection broke: {reason(error)}")
        raise failure

    return read


def _text(location: str) -> str:
    """A ``Location`` as sent: http.client decodes headers as Latin-1, servers send UTF-8."""
    return location.encode("latin-1", "replace").decode("utf-8", "replace")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps urllib3 from logging addresses: at DEBUG it writes each with its query."""
    logger = logging.getLogger("urllib3")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
