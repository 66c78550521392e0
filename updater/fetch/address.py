"""Addresses of downloads: which are accepted, how they are printed, where a redirect may lead.

Pure functions. Origins after RFC 6454, redirects after RFC 9110, section 15.4.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from urllib.parse import SplitResult, urljoin, urlsplit

from updater.errors import FetchError, SitewatchError, UsageError

ADDRESS_MAX_CHARACTERS = 8192
SHOWN_MAX_CHARACTERS = 1024
HIDDEN = "…"
"""Presigned addresses have one to two thousand."""

DEFAULT_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|https?:", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:@\[\]]*)(?::[0-9]*)?")
_UNSAFE = re.compile(r"[\x00-\x20\x7f]")

Origin = tuple[str, str, int]
"""Scheme, host, port."""


def is_url(source: str) -> bool:
    """Whether a source is an address rather than the name of a file."""
    return _SCHEME.match(source) is not None


def checked(url: str) -> str:
    """The address without its fragment, if it is one to download from.

    Raises:
        UsageError: neither http nor https, no host, a bad port, blanks or control characters, or
            a user and password in it.
    """
    return _checked(url, UsageError, "the address")


def redirected(url: str, location: str) -> str:
    """Where a redirect leads.

    Args:
        url: the address that answered with it.
        location: its ``Location``, absolute or relative.

    Raises:
        FetchError: it leads from https to http, or to what :func:`checked` would refuse.
    """
    what = f"{shown(url)} redirects, and the address"
    joined = _joined(url, location)
    if joined is None:
        raise FetchError(f"{what} is malformed", where=shown(location))
    target = _checked(joined, FetchError, what)
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        raise FetchError(
            "redirects from https to http, where anybody on the way could answer",
            where=shown(url),
            hint="Let the server redirect to https",
        )
    return target


def origin(url: str) -> Origin:
    """Scheme, host and port of a checked address: whom credentials were meant for."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or DEFAULT_PORTS[scheme]


def is_private_way(url: str) -> bool:
    """Whether nobody else can read what is sent: over TLS, or within this machine."""
    scheme, host, _ = origin(url)
    if scheme == "https" or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def shown(source: str) -> str:
    """An address as it may be printed: without user, password, query, parameters and fragment.

    Presigned addresses carry their signature in the query. For any text, however malformed; the
    name of a file stays as it is, control characters apart.
    """
    if is_url(source):
        scheme, _, rest = source.partition(":")
        rest = rest.lstrip("/")
        authority = _first(r"[/?#;\\]", rest)
        if "@" in authority and rest.count("@") == 1:
            rest = rest.partition("@")[2]
            authority = _first(r"[/?#;\\]", rest)
        # A password with a slash or question mark in it looks like host, port and path.
        doubtful = ":" in authority and "@" in rest
        if doubtful or not _AUTHORITY.fullmatch(authority):
            rest = HIDDEN
        source = f"{scheme}://{_first('[?#;]', rest)}"
    return _UNSAFE.sub("?", source)[:SHOWN_MAX_CHARACTERS]


def _first(separators: str, text: str) -> str:
    return re.split(separators, text, maxsplit=1)[0]


def key_of(url: str, sha256: str | None) -> str:
    """The name under which a download is kept: by its content where that is known beforehand.

    So a bundle that is fetched from another mirror, or with a renewed signature in the address,
    goes on where the last run stopped. Nothing of the address can be read from it.
    """
    named = f"sha256:{sha256}" if sha256 else f"url:{url}"
    return hashlib.sha256(named.encode()).hexdigest()[:24]


def _checked(url: str, error: type[SitewatchError], what: str) -> str:
    where = shown(url)
    if len(url) > ADDRESS_MAX_CHARACTERS:
        raise error(f"{what} is longer than {ADDRESS_MAX_CHARACTERS} characters", where=where[:200])
    parts = _split(url)
    if _UNSAFE.search(url) or parts is None:
        raise error(f"{what} is malformed", where=where)
    if parts.scheme.lower() not in DEFAULT_PORTS:
        raise error(
            f"{what} has the scheme {parts.scheme!r}", where=where, hint="Use https or http"
        )
    if not parts.hostname:
        raise error(f"{what} names no host", where=where)
    if parts.username is not None or parts.password is not None:
        raise error(
            f"{what} has a user or password in it, where every process could read it",
            where=where,
            hint="Put the credentials into a file and name it with --token-file or --api-key-file",
        )
    return parts._replace(scheme=parts.scheme.lower(), fragment="").geturl()


def _joined(url: str, location: str) -> str | None:
    """An address relative to another; None where it is malformed, as of :func:`_split`."""
    if _UNSAFE.search(location):  # urljoin would drop some of these
        return None
    try:
        return urljoin(url, location)
    except ValueError:
        return None


def _split(url: str) -> SplitResult | None:
    """The parts, or None where there are none: no exception, whose text would hold the address."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts
