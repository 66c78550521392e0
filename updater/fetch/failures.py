"""What went wrong on the network, in our words.

The texts of foreign exceptions hold whole addresses, signatures and passwords included, so none is
repeated or chained: what is needed is read from the exceptions' fields.
"""

from __future__ import annotations

import errno
import http.client
import os
import re
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus

import requests
import urllib3
from urllib3.util.ssl_match_hostname import CertificateError

from updater.errors import ConfigError, FetchError, SitewatchError
from updater.fetch import backoff
from updater.fetch.backoff import TransientError

NETWORK_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,  # of a header or an address that cannot be encoded or taken apart
)
_TUNNEL_STATUS = re.compile(r"Tunnel connection failed: ([0-9]{3})")
_CERTIFICATE_NOT_YET_VALID = 9
"""X509_V_ERR_CERT_NOT_YET_VALID of OpenSSL: as a rule our clock, which may soon be set."""

_WORDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((TimeoutError, urllib3.exceptions.TimeoutError), "no answer in time"),
    (http.client.RemoteDisconnected, "the server closed it without an answer"),
    (
        (http.client.IncompleteRead, urllib3.exceptions.IncompleteRead),
        "the server closed it before the end",
    ),
    (http.client.HTTPException, "the answer is no HTTP"),
)

STATUS_HINTS = {
    401: "The token or key is missing, wrong or expired: see --token-file and --api-key-file",
    403: "The token or key may not read this: ask for read access to the repository",
    404: "Check the address; Artifactory also answers so where the token may not look",
    407: "The proxy asks for a user and password: set them in the proxy's address",
    410: "It was removed: publish the bundle again",
}


def judged(error: Exception, where: str) -> SitewatchError | TransientError:
    """What a failed request means; holds nothing of the error's own text."""
    if isinstance(
        error,
        requests.exceptions.InvalidProxyURL | requests.exceptions.InvalidSchema,
    ):
        return bad_proxy()
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError | CertificateError):
            return _judged_certificate(cause, where)
        refused = _TUNNEL_STATUS.search(str(cause)) if isinstance(cause, OSError) else None
        if refused and not backoff.is_transient(status := int(refused[1])):
            return FetchError(
                f"the proxy answers {describe(status)}",
                where=where,
                hint=STATUS_HINTS[407] if status == 407 else "The proxy does not let us there",
            )
    if isinstance(error, ValueError):  # InvalidURL, InvalidHeader, LocationParseError …
        return FetchError("the address or a header cannot be sent", where=where)
    return TransientError(f"no connection: {reason(error)}")


def _judged_certificate(
    error: ssl.SSLCertVerificationError | CertificateError, where: str
) -> FetchError | TransientError:
    what = "its certificate is not to be trusted"
    if isinstance(error, CertificateError):  # urllib3 1.26 compares the name itself
        return FetchError(
            f"{what}: hostname mismatch", where=where, hint="Check the name in the address"
        )
    what = f"{what}: {error.verify_message}"
    if error.verify_code == _CERTIFICATE_NOT_YET_VALID:
        return TransientError(f"{what} (is this device's clock right?)")
    return FetchError(
        what,
        where=where,
        hint="Check this device's clock, and 'ca_file' if the authority is your own",
    )


def reason(error: BaseException) -> str:
    """The innermost cause that says something, in words of the operating system or ours."""
    causes = list(_causes(error))
    for cause in reversed(causes):
        if words := _words(cause):
            return words
    return type(causes[-1]).__name__


def _words(cause: BaseException) -> str:
    """What one exception means; "" where it only wraps another."""
    if isinstance(cause, socket.gaierror):
        return f"the name is not known ({cause.strerror})"
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {(cause.reason or 'failed').replace('_', ' ').lower()}"
    if isinstance(cause, OSError) and cause.errno in errno.errorcode:
        return os.strerror(cause.errno or 0)
    return next((words for kinds, words in _WORDS if isinstance(cause, kinds)), "")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what is wrapped in it, outermost first.

    requests and urllib3 keep the inner one in an argument or in ``reason`` as often as they chain.
    """
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
        waiting += [entry for entry in inner if isinstance(entry, BaseException)]


def bad_proxy() -> ConfigError:
    """Without the address, which may hold a password."""
    return ConfigError(
        "the proxy cannot be used: its address is malformed, or of a kind not supported here",
        where="proxy",
        hint="Write it as http://host:port, in the configuration or in https_proxy",
    )


def describe(status: int) -> str:
    """A status with its standard phrase; the server's own words are not repeated."""
    try:
        return f"{status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return str(status)
