"""The policy of the temporary credentials: a device may add objects under its own prefix. Pure.

It is the session policy of ``AssumeRole``: what the credentials can do is what the role *and* this
document allow (AWS STS API Reference, "AssumeRole").
"""

from __future__ import annotations

import json

from updater.errors import UsageError
from updater.upload.names import Destination

POLICY_MAX_CHARACTERS = 2048
"""Of an inline session policy (AWS STS API Reference, "AssumeRole", ``Policy``)."""

PARTITIONS = ("aws", "aws-cn", "aws-us-gov")


def session_policy(
    destination: Destination, *, create_only: bool = False, partition: str = "aws"
) -> str:
    """The document for ``AssumeRole``'s ``Policy``, as short as JSON can be.

    Args:
        destination: bucket, prefix and device, which must be named.
        create_only: also ask for the header ``If-None-Match``, so that not even the device's own
            objects can be overwritten. The condition key is Amazon's; a server that speaks S3 but
            does not know it may refuse every upload.
        partition: of AWS: ``aws``, ``aws-cn`` or ``aws-us-gov``.

    Raises:
        UsageError: no device, or a partition that does not exist.
    """
    if destination.device is None:
        raise UsageError("a policy is for one device", where="device", hint="Name it")
    if partition not in PARTITIONS:
        raise UsageError(f"{partition[:80]!r} is not one of {', '.join(PARTITIONS)}")
    path = f"{destination.bucket}/{destination.prefix}/{destination.device}"
    statement: dict[str, object] = {
        "Effect": "Allow",
        "Action": "s3:PutObject",
        "Resource": f"arn:{partition}:s3:::{path}/*",
    }
    if create_only:
        statement["Condition"] = {"Null": {"s3:if-none-match": "false"}}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    text = json.dumps(document, separators=(",", ":"))
    assert len(text) <= POLICY_MAX_CHARACTERS, "the names' own limits keep it far below"
    return text
