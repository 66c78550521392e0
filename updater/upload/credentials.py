"""The temporary credentials: read from a file or the environment, and never shown.

A file is what STS answers, ``{"Credentials": {"AccessKeyId": …}}`` or only the inner object, or an
AWS credentials file with one section. No error here quotes what was read.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO

from updater.errors import UploadError

FILE_MAX_BYTES = 64 * 1024
SECRET_MAX_CHARACTERS = 16 * 1024
"""STS says that tokens may grow; today they have up to 2 KiB."""

TEMPORARY_PREFIX = "ASIA"
"""Key ids of STS begin so (IAM User Guide, "Understanding unique ID prefixes")."""

NEW_ONES = "Bring new ones: the weekly flow makes them"

_PRINTABLE = re.compile(rf"[\x21-\x7e]{{1,{SECRET_MAX_CHARACTERS}}}")
_FIELDS = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
_INI_FIELDS = {
    "aws_access_key_id": "AccessKeyId",
    "aws_secret_access_key": "SecretAccessKey",
    "aws_session_token": "SessionToken",
    "expiration": "Expiration",
}
_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "AccessKeyId",
    "AWS_SECRET_ACCESS_KEY": "SecretAccessKey",
    "AWS_SESSION_TOKEN": "SessionToken",
    "AWS_CREDENTIAL_EXPIRATION": "Expiration",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What S3 is shown. Neither ``repr`` nor ``str`` shows a secret.

    Attributes:
        access_key_id: names the key; not secret, but nobody's business either.
        secret_access_key: signs.
        session_token: of temporary credentials; empty for a permanent key.
        expires_unix_s: None where it is not known.
    """

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expires_unix_s: float | None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no text may hold."""
        found = (self.secret_access_key, self.session_token, self.access_key_id)
        return tuple(text for text in found if text)

    @property
    def permanent(self) -> bool:
        """Whether these look like a key that never expires, which does not belong on a device."""
        return not self.session_token


def read(file: BinaryIO, *, where: str) -> Credentials:
    """Reads an open file.

    Args:
        file: opened before rights were given up, perhaps.
        where: its name, for errors.

    Raises:
        UploadError: others on this device may read or change it, it cannot be read, or is none of
            the two forms.
    """
    try:
        mode = os.fstat(file.fileno()).st_mode
        data = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise UploadError(f"cannot be read: {error.strerror}", where=where) from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise UploadError(
            f"others may read or change these credentials (mode {stat.S_IMODE(mode):o})",
            where=where,
            hint=f"Run: chmod 600 {where}. Were others on this device meanwhile, take new ones",
        )
    if len(data) > FILE_MAX_BYTES:
        raise UploadError(f"larger than {FILE_MAX_BYTES} bytes: no credentials", where=where)
    return parse(data, where=where)


def parse(data: bytes, *, where: str) -> Credentials:
    """Reads either form.

    Raises:
        UploadError: it is none of the two, or a field is missing or malformed.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _unknown(where) from None  # its message holds bytes of the file
    if text.lstrip().startswith("{"):
        return _checked(_from_json(text, where), where)
    return _checked(_from_ini(text, where), where)


def from_environment(environment: Mapping[str, str]) -> Credentials | None:
    """What the variables ``AWS_…`` hold; None where they hold no key.

    Raises:
        UploadError: one is missing or malformed.
    """
    found = {name: environment[key] for key, name in _VARIABLES.items() if environment.get(key)}
    if not {"AccessKeyId", "SecretAccessKey"} & found.keys():
        return None
    return _checked(found, "the environment's AWS_ variables")


def check_not_expired(credentials: Credentials, now_unix_s: float) -> None:
    """Checks before anything is sent; S3 checks again, with its own clock.

    Raises:
        UploadError: they have expired.
    """
    expires_s = credentials.expires_unix_s
    if expires_s is not None and expires_s <= now_unix_s:
        raise UploadError(
            f"the credentials expired at {_utc(expires_s)}, and this device's clock says "
            f"{_utc(now_unix_s)}",
            hint=NEW_ONES,
        )


def _from_json(text: str, where: str) -> Mapping[str, object]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise _unknown(where) from None
    inner = raw.get("Credentials", raw)
    if not isinstance(inner, dict):
        raise _unknown(where)
    return {name: inner[name] for name in _FIELDS if inner.get(name)}


def _from_ini(text: str, where: str) -> Mapping[str, object]:
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(text)
    except configparser.Error:
        raise _unknown(where) from None
    sections = parser.sections()
    name = "default" if "default" in sections else sections[0] if len(sections) == 1 else None
    if name is None:
        raise UploadError(
            f"has {len(sections)} sections, none of them [default]",
            where=where,
            hint="Leave the one to be used",
        )
    section = parser[name]
    return {_INI_FIELDS[key]: section[key] for key in section if key in _INI_FIELDS}


def _checked(raw: Mapping[str, object], where: str) -> Credentials:
    for name in ("AccessKeyId", "SecretAccessKey"):
        if name not in raw:
            raise UploadError(f"{name} is missing", where=where)
    for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"):
        value = raw.get(name)
        if value is not None and not (isinstance(value, str) and _PRINTABLE.fullmatch(value)):
            raise UploadError(f"{name} is not a text of printable characters", where=where)
    token = str(raw.get("SessionToken", ""))
    if str(raw["AccessKeyId"]).startswith(TEMPORARY_PREFIX) and not token:
        raise UploadError("temporary credentials, but SessionToken is missing", where=where)
    return Credentials(
        access_key_id=str(raw["AccessKeyId"]),
        secret_access_key=str(raw["SecretAccessKey"]),
        session_token=token,
        expires_unix_s=_time(raw.get("Expiration"), where),
    )


def _time(value: object, where: str) -> float | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise UploadError(
            "Expiration is not a time like 2026-11-22T22:05:16Z", where=where
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _utc(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _unknown(where: str) -> UploadError:
    return UploadError(
        "neither STS's JSON nor an AWS credentials file",
        where=where,
        hint='It must hold {"AccessKeyId": …, "SecretAccessKey": …, "SessionToken": …}',
    )
