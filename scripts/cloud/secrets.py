"""Secrets: from a file or an environment variable, never from an argument, never printed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from updater.errors import ConfigError, UsageError
from updater.fetch.credentials import SECRET_MAX_BYTES, Credentials

HIDDEN = "…"
ARTIFACTORY_TOKEN = "ARTIFACTORY_TOKEN"
ARTIFACTORY_API_KEY = "ARTIFACTORY_API_KEY"
CONNECT_TOKEN = "CONNECT_TOKEN"
SIGNING_KEY = "SITEWATCH_SIGNING_KEY"
VARIABLES = (ARTIFACTORY_TOKEN, ARTIFACTORY_API_KEY, CONNECT_TOKEN, SIGNING_KEY)
"""What no process that we start inherits."""

_PRINTABLE = re.compile(r"[\x21-\x7e]+")


def read_file(path: Path) -> bytes:
    """A secret's file, which only its owner and group may read.

    Raises:
        ConfigError: it cannot be read, is no plain file, open to everybody, or too large.
    """
    try:
        # Without O_NONBLOCK a pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(SECRET_MAX_BYTES + 1) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError("is no plain file", where=str(path))
    if status.st_mode & stat.S_IRWXO:
        raise ConfigError(
            "every user of this machine may use this secret",
            where=str(path),
            hint=f"Run: chmod 600 {path}. Were others on this machine meanwhile, make a new one",
        )
    if len(data) > SECRET_MAX_BYTES:
        raise ConfigError(f"larger than {SECRET_MAX_BYTES} bytes: no secret", where=str(path))
    return data


def one_line(data: bytes | str, *, where: str) -> str:
    """A token or a key as a header takes it.

    Raises:
        ConfigError: empty, or not one line of printable ASCII.
    """
    text = (data if isinstance(data, str) else data.decode("latin-1")).strip()
    if not _PRINTABLE.fullmatch(text):
        raise ConfigError(
            "holds no secret: it must be one line of printable ASCII without blanks", where=where
        )
    return text


def token(file: Path | None, variable: str, environment: Mapping[str, str]) -> str | None:
    """A token from its file, else from its variable; None where there is neither.

    Raises:
        ConfigError: it is there and cannot be used.
    """
    if file is not None:
        return one_line(read_file(file), where=str(file))
    if environment.get(variable):
        return one_line(environment[variable], where=variable)
    return None


def artifactory(
    token_file: Path | None, api_key_file: Path | None, environment: Mapping[str, str]
) -> Credentials:
    """What Artifactory is shown: a token (access, identity, reference) or an API key.

    Raises:
        UsageError: there is none, or there are two.
        ConfigError: it cannot be used.
    """
    if token_file is not None and api_key_file is not None:
        raise UsageError("a token and an API key: give one", where="--token-file")
    bearer = None
    if api_key_file is None:
        bearer = token(token_file, ARTIFACTORY_TOKEN, environment)
    if bearer is not None:
        return Credentials("Authorization", f"Bearer {bearer}")
    key = token(api_key_file, ARTIFACTORY_API_KEY, environment)
    if key is not None:
        return Credentials("X-JFrog-Art-Api", key)
    raise UsageError(
        "no credentials for Artifactory",
        hint=f"Name a file with --token-file or --api-key-file, or set {ARTIFACTORY_TOKEN} or "
        f"{ARTIFACTORY_API_KEY}",
    )


def connect(token_file: Path | None, environment: Mapping[str, str]) -> str:
    """What Connect is shown.

    Raises:
        UsageError: there is none.
        ConfigError: it cannot be used.
    """
    found = token(token_file, CONNECT_TOKEN, environment)
    if found is None:
        raise UsageError(
            "no token for Connect",
            hint=f"Name a file with --connect-token-file, or set {CONNECT_TOKEN}",
        )
    return found


def without(secrets: Iterable[str], text: str) -> str:
    """Somebody else's text without our secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    return text


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without our secrets, for a process that has no business with them."""
    return {name: value for name, value in environment.items() if name not in VARIABLES}
