"""Amazon's side: credentials for the run from STS, and what arrived in S3, by device.

The operator's own credentials are what botocore finds: variables, ``~/.aws``, or the machine's
role. They never leave this process.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.cloud.errors import ServiceError
from scripts.cloud.secrets import without
from updater.captures import PICTURE_SUFFIX, SIDECAR_SUFFIX
from updater.errors import StorageError, UsageError
from updater.upload.names import Destination
from updater.upload.policy import session_policy

try:
    import botocore.session
    from botocore import exceptions
    from botocore.config import Config
except ImportError as missing:
    raise UsageError(
        f"needs botocore, which is not installed ({missing.name})",
        hint="Run: pip install botocore",
    ) from missing

LEAST_S, MOST_S = 900, 43_200
"""Of DurationSeconds (AWS STS API Reference, "AssumeRole")."""

SESSION_NAME_MAX_CHARACTERS = 64
CLOCK_TOLERANCE_S = 300.0
"""Between our clock and Amazon's, which refuses requests from 15 minutes on."""

OBJECT_MAX_BYTES = 64 * 1024 * 1024
_KEY = re.compile(
    r"(?!\.)[A-Za-z0-9._-]{1,64}/[0-9]{4}/[0-9]{2}/[0-9]{2}/[A-Za-z0-9_-]{1,128}\.json"
)
"""Below a run's folder: device, day, capture."""

# Their debug messages hold whole requests, tokens among the headers.
for _name in ("botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Amazon:
    """How Amazon is reached.

    Attributes:
        region: "" for what the environment says, else ``us-east-1``.
        s3_url: of another server than Amazon's; "" for Amazon's.
        sts_url: likewise.
    """

    region: str = ""
    s3_url: str = ""
    sts_url: str = ""


@dataclass(frozen=True, slots=True)
class Temporary:
    """Credentials for devices. Neither ``repr`` nor ``str`` shows a secret.

    Attributes:
        key_id: of the key.
        secret: that signs.
        token: of the session.
        expires: as STS says it, ISO 8601.
    """

    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(repr=False)
    expires: str

    def as_json(self) -> str:
        """As ``sitewatch-update upload --credentials`` reads it, on one line."""
        return json.dumps(
            {
                "AccessKeyId": self.key_id,
                "SecretAccessKey": self.secret,
                "SessionToken": self.token,
                "Expiration": self.expires,
            },
            separators=(",", ":"),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no text may hold."""
        return self.secret, self.token


@dataclass(frozen=True, slots=True)
class Arrived:
    """Of one device.

    Attributes:
        captures: complete ones: sidecars, which are put after their pictures.
        pictures: with or without a sidecar.
        size_bytes: of everything.
        sidecars: keys of the complete ones.
    """

    captures: int
    pictures: int
    size_bytes: int
    sidecars: tuple[str, ...]


def run_destination(bucket: str, prefix: str, run: str) -> Destination:
    """A folder of its own for each run; the devices' folders are below it.

    The policy's last folder is the run's, and so its credentials open no other run's.

    Raises:
        UsageError: a name that S3 does not allow.
    """
    return Destination(bucket, prefix.strip("/"), run)


def assume_role(
    amazon: Amazon,
    role: str,
    destination: Destination,
    *,
    duration_s: int,
    create_only: bool = False,
    partition: str = "aws",
    now_unix_s: Callable[[], float] = time.time,
) -> Temporary:
    """Credentials that can put objects into one folder, and nothing else, for so long.

    Args:
        amazon: how it is reached.
        role: its ARN.
        destination: the folder; its device is the run.
        duration_s: 900 to 43200; at most an hour where we are a role ourselves.
        create_only: nothing can be overwritten either; Amazon's own S3 only.
        partition: of AWS.
        now_unix_s: our clock.

    Raises:
        UsageError: the duration or the destination cannot be right.
        ServiceError: STS refuses, cannot be reached, or gives more time than was asked for.
    """
    if not LEAST_S <= duration_s <= MOST_S:
        raise UsageError(
            f"{duration_s / 3600:g} hours, and STS gives {LEAST_S / 3600:g} to {MOST_S / 3600:g}",
            where="--hours",
        )
    policy = session_policy(destination, create_only=create_only, partition=partition)
    asked_unix_s = now_unix_s()
    with _client("sts", amazon, amazon.sts_url) as sts:
        answer = sts.assume_role(
            RoleArn=role,
            RoleSessionName=f"sitewatch-{destination.device}"[:SESSION_NAME_MAX_CHARACTERS],
            Policy=policy,
            DurationSeconds=duration_s,
        )["Credentials"]
    expires = answer["Expiration"]
    if not isinstance(expires, datetime):
        expires = datetime.fromisoformat(str(expires))
    left_s = expires.timestamp() - asked_unix_s
    if left_s > duration_s + CLOCK_TOLERANCE_S:
        raise ServiceError(
            f"gave credentials for {left_s / 3600:.1f} hours, and {duration_s / 3600:.1f} were "
            "asked for",
            where="STS",
            hint="Is this machine's clock right?",
        )
    return Temporary(
        str(answer["AccessKeyId"]),
        str(answer["SecretAccessKey"]),
        str(answer["SessionToken"]),
        expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def arrived(amazon: Amazon, destination: Destination) -> Mapping[str, Arrived]:
    """What lies in a run's folder, by device.

    Raises:
        ServiceError: S3 refuses, or cannot be reached.
    """
    folder = f"{destination.prefix}/{destination.device}/"
    pictures: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    sidecars: dict[str, list[str]] = {}
    with _client("s3", amazon, amazon.s3_url) as s3:
        pages = s3.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=destination.bucket, Prefix=folder):
            for one in page.get("Contents", ()):
                key = str(one["Key"])
                device, slash, _ = key.removeprefix(folder).partition("/")
                if not slash:
                    continue
                sizes[device] += int(one["Size"])
                pictures[device] += key.endswith(PICTURE_SUFFIX)
                if key.endswith(SIDECAR_SUFFIX):
                    sidecars.setdefault(device, []).append(key)
    return {
        device: Arrived(
            len(sidecars.get(device, ())),
            pictures[device],
            sizes[device],
            tuple(sorted(sidecars.get(device, ()))),
        )
        for device in sorted(sizes)
    }


def download(
    amazon: Amazon, destination: Destination, found: Mapping[str, Arrived], folder: Path
) -> int:
    """Copies the complete captures of a run, laid out as in the bucket.

    What devices put there is foreign: only names that an upload makes are taken, and none is larger
    than any capture.

    Args:
        amazon: how it is reached.
        destination: the run's folder.
        found: what arrived.
        folder: takes a folder a device.

    Returns:
        Captures left out.

    Raises:
        ServiceError: S3 refuses, or cannot be reached.
        StorageError: the folder cannot be written.
    """
    top = f"{destination.prefix}/{destination.device}/"
    left_out = 0
    with _client("s3", amazon, amazon.s3_url) as s3:
        for one in found.values():
            for sidecar in one.sidecars:
                if not _KEY.fullmatch(sidecar.removeprefix(top)):
                    left_out += 1
                    continue
                picture = sidecar.removesuffix(SIDECAR_SUFFIX) + PICTURE_SUFFIX
                bodies = {key: _body(s3, destination.bucket, key) for key in (picture, sidecar)}
                if None in bodies.values():
                    left_out += 1
                    continue
                for key, data in bodies.items():
                    _write(folder / key.removeprefix(top), data or b"")
    return left_out


def _body(s3: Any, bucket: str, key: str) -> bytes | None:
    """An object; None if it is not there, or too large."""
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NoSuchKey":
            return None
        raise
    try:
        data = bytes(body.read(OBJECT_MAX_BYTES + 1))
    finally:
        body.close()
    return data if len(data) <= OBJECT_MAX_BYTES else None


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=str(path)) from error


@contextmanager
def _client(service: str, amazon: Amazon, url: str) -> Iterator[Any]:
    """A client whose connections are closed at the end, and whose errors are ours.

    Raises:
        ServiceError: for what the service or the way there does not do.
    """
    session = botocore.session.Session()
    found = None
    shown: tuple[str, ...] = ()
    try:
        own = session.get_credentials()
        shown = () if own is None else tuple(filter(None, (own.secret_key, own.token)))
        client = session.create_client(
            service,
            region_name=amazon.region or session.get_config_variable("region") or "us-east-1",
            endpoint_url=url or None,
            config=Config(
                retries={"total_max_attempts": 6, "mode": "standard"},
                s3={"addressing_style": "path" if url else "auto"},
            ),
        )
        try:
            yield client
        finally:
            # close() is younger than botocore 1.29.
            client._endpoint.http_session.close()
    except exceptions.ClientError as error:
        told = error.response.get("Error", {})
        found = f"refuses: {told.get('Code', '?')}: {told.get('Message', '')}"
    except (exceptions.BotoCoreError, ValueError) as error:
        found = f"cannot be asked: {error}"
    if found is not None:
        raise ServiceError(without(shown, found), where=service.upper())
