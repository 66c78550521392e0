"""What the credentials that devices got are good for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from tests.support.s3_server import BUCKET, Key, S3Server, closed


def session_key(script: str) -> Key:
    """The credentials in an upload script, as a device downloaded it."""
    line = next(line for line in script.splitlines() if line.startswith("{"))
    found = json.loads(line)
    return Key(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


def only_puts(s3: S3Server, key: Key) -> bool:
    """Whether they may neither list, read, delete, nor write elsewhere."""
    some = s3.versions()[0]
    asked: Sequence[tuple[str, Mapping[str, Any]]] = (
        ("list_buckets", {}),
        ("list_objects_v2", {"Bucket": BUCKET}),
        ("get_object", {"Bucket": BUCKET, "Key": some}),
        ("delete_object", {"Bucket": BUCKET, "Key": some}),
        ("put_object", {"Bucket": BUCKET, "Key": "elsewhere", "Body": b"x"}),
    )
    with closed(s3.client("s3", key)) as client:
        return all(_denied(client, action, arguments) for action, arguments in asked)


def _denied(client: Any, action: str, arguments: Mapping[str, Any]) -> bool:
    try:
        getattr(client, action)(**arguments)
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "AccessDenied")
    return False
