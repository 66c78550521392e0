"""``sitewatch-update upload``: kept pictures go to S3."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import time
from pathlib import Path
from typing import Any

from updater.commands.context import Context
from updater.errors import UploadError
from updater.upload import credentials as secrets
from updater.upload.body import Pace
from updater.upload.credentials import Credentials
from updater.upload.names import Destination
from updater.upload.plan import Budget
from updater.upload.upload import Report, Upload

SIZE_PATTERN = re.compile(r"([0-9]{1,15})([kMG]?)")
UNITS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}

EPILOG = """\
The credentials are what STS's AssumeRole answers, as JSON, or an AWS credentials file; without
--credentials the environment's AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. They
need s3:PutObject on BUCKET/PREFIX/DEVICE/*, and nothing else.

exit codes: 0 done (also when there was nothing to send), 2 wrong arguments, 3 wrong configuration,
8 the captures cannot be read or marked, 12 another upload is at work, 14 credentials, bucket or
network: what was sent before is marked, everything else is kept for the next run

examples:
  sitewatch-update upload --credentials /run/sitewatch/sts.json --bucket pictures --prefix site-7
  sitewatch-update upload --bucket pictures --prefix site-7 --max-bytes 50M --max-rate 100k --json
"""

_log = logging.getLogger(__name__)


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "upload",
        help="send kept pictures to S3, the most valuable first",
        description="Sends kept pictures with their sidecars to S3, the most valuable first, and "
        "marks them, so that the daemon may free them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--credentials", type=_path, metavar="FILE", help="temporary credentials, mode 600")
    add("--bucket", required=True, metavar="NAME", help="where they go")
    add("--prefix", required=True, help="folder in the bucket, above the devices'")
    add("--device", metavar="ID", help="folder of this device (default: each picture's own device)")
    add("--region", help="of the bucket (default: AWS_REGION, or found out)")
    add("--endpoint-url", metavar="URL", help="of another server that speaks S3")
    add("--captures", type=_path, metavar="DIR", help="where the pictures are kept")
    add("--max-files", type=_count, metavar="N", help="most pictures of this run")
    add("--max-bytes", type=_some_bytes, metavar="N", help="most bytes of this run; 500k, 50M, 2G")
    add("--max-rate", type=_size, metavar="N", help="most bytes a second; 0: no cap")
    add("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=upload, inputs=("credentials",))


def upload(arguments: argparse.Namespace, context: Context) -> int:
    """Sends captures.

    Raises:
        UsageError: bucket, prefix or device cannot be right.
        BusyError: another upload is at work.
        StorageError: the captures cannot be read or marked.
        UploadError: no or bad credentials, S3 refuses, no network.
    """
    settings = context.settings.upload
    destination = Destination(arguments.bucket, arguments.prefix.strip("/"), arguments.device)
    found = _credentials(arguments, context)
    secrets.check_not_expired(found, time.time())
    # Only who uploads needs botocore, and pays for loading it.
    from updater.upload.s3 import Bucket, Endpoint  # noqa: PLC0415

    endpoint = Endpoint(
        region=arguments.region or _variable("AWS_REGION", "AWS_DEFAULT_REGION"),
        url=arguments.endpoint_url or _variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        proxy=settings.proxy,
        ca_file=settings.ca_file,
        connect_timeout_s=settings.connect_timeout_s,
        stall_timeout_s=settings.stall_timeout_s,
    )
    bucket = Bucket(arguments.bucket, endpoint, found)
    rate = settings.max_bytes_per_s if arguments.max_rate is None else arguments.max_rate
    run = Upload(
        arguments.captures or settings.captures,
        destination,
        bucket,
        pace=Pace(rate),
        attempts=settings.attempts,
    )
    try:
        report = run.run(
            Budget(
                arguments.max_files or settings.max_files,
                arguments.max_bytes or settings.max_bytes,
            )
        )
    finally:
        bucket.close()
    print(_as_json(report, destination) if context.as_json else _line(report, destination))
    return 0


def _credentials(arguments: argparse.Namespace, context: Context) -> Credentials:
    """Those of the file, or of the environment.

    Raises:
        UploadError: there are none, or they are not good.
    """
    if (file := context.opened.get("credentials")) is not None:
        found = secrets.read(file, where=str(arguments.credentials))
    else:
        from_environment = secrets.from_environment(os.environ)
        if from_environment is None:
            raise UploadError(
                "no credentials",
                hint="Name a file with --credentials, or set AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
            )
        found = from_environment
    if found.permanent:
        _log.warning(
            "these credentials have no session token: a key that never expires does not belong on "
            "a device"
        )
    return found


def _line(report: Report, destination: Destination) -> str:
    """One line, the last of the output: what Connect's page shows."""
    count = len(report.stored)
    parts = [f"{count} captures stored ({report.size_bytes / 1e6:.1f} MB) in {destination.url}"]
    if report.left:
        parts.append(f"{report.left} left for the next run")
    if report.damaged:
        parts.append(f"{len(report.damaged)} damaged and left out")
    return ", ".join(parts)


def _as_json(report: Report, destination: Destination) -> str:
    return json.dumps(
        {
            "destination": destination.url,
            "stored": len(report.stored),
            "size_bytes": report.size_bytes,
            "already_there": report.already_there,
            "left": report.left,
            "gone": report.gone,
            "damaged": [str(problem) for problem in report.damaged],
        },
        ensure_ascii=False,
    )


def _variable(*names: str) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _path(text: str) -> Path:
    """Absolute: giving up rights changes the working directory."""
    return Path(text).absolute()


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _some_bytes(text: str) -> int:
    if (found := _size(text)) < 1:
        raise argparse.ArgumentTypeError("no byte is no upload")
    return found


def _size(text: str) -> int:
    match = SIZE_PATTERN.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 500000, 500k, 50M or 2G")
    return int(match[1]) * UNITS[match[2]]
