"""moto's S3, IAM and STS for tests: a server of its own that enforces policies and signatures.

It does not know session policies (``AssumeRole``'s ``Policy`` is ignored), so the role itself has
the write-only policy here. Not checked by it: clocks, expiry. See tests/support/faulty_proxy.py.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config

from scripts.processes import free_port
from updater.upload.names import Destination
from updater.upload.policy import session_policy

START_TIMEOUT_S = 60.0
ACCOUNT = "123456789012"
BUCKET = "pictures"
OTHER_BUCKET = "other-bucket"
PREFIX = "site-7"
DEVICE = "cam-1"
DESTINATION = Destination(BUCKET, PREFIX, DEVICE)
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ANYBODY_MAY_ASSUME = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Key:
    """Credentials, temporary ones if there is a token."""

    key_id: str
    secret: str
    token: str | None = None

    def as_sts_says(self, expiration: str = "2099-01-01T00:00:00Z") -> dict[str, str]:
        """The object of an answer of STS."""
        return {
            "AccessKeyId": self.key_id,
            "SecretAccessKey": self.secret,
            "SessionToken": self.token or "",
            "Expiration": expiration,
        }


class S3Server:
    """The server in a process of its own, with a role that may only put a device's pictures.

    Attributes:
        url: of the server.
        admin: may do everything.
    """

    def __init__(self, log: Path) -> None:
        self._session = botocore.session.Session()
        self._s3: Any = None
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [find_moto(), "-H", "127.0.0.1", "-p", str(port)], stdout=output, stderr=output
            )
        try:
            self._wait(log)
            self.admin = self._furnish()
            self._s3 = self.client("s3", self.admin)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends it; it holds nothing that must be kept."""
        if self._s3 is not None:
            self._s3._endpoint.http_session.close()
        self._process.kill()
        self._process.wait()

    def client(self, service: str, key: Key, *, url: str = "") -> Any:
        """A client of botocore's; close it with :func:`closed`."""
        return self._session.create_client(
            service,
            region_name="us-east-1",
            endpoint_url=url or self.url,
            aws_access_key_id=key.key_id,
            aws_secret_access_key=key.secret,
            aws_session_token=key.token,
            config=Config(
                retries={"total_max_attempts": 1, "mode": "standard"},
                s3={"addressing_style": "path"},
                proxies={},
            ),
        )

    def temporary_key(self) -> Key:
        """What AssumeRole gives for the write-only role, its session policy with it."""
        with closed(self.client("sts", self.admin)) as sts:
            found = sts.assume_role(
                RoleArn=f"arn:aws:iam::{ACCOUNT}:role/uploader",
                RoleSessionName=DEVICE,
                Policy=session_policy(DESTINATION),
            )["Credentials"]
        return Key(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])

    def objects(self, bucket: str = BUCKET) -> dict[str, dict[str, Any]]:
        """Every object: its key, and what is stored of it: body, type, metadata, time."""
        found: dict[str, dict[str, Any]] = {}
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for one in page.get("Contents", ()):
                answer = self._s3.get_object(Bucket=bucket, Key=one["Key"])
                with contextlib.closing(answer["Body"]) as body:
                    found[one["Key"]] = {**answer, "Body": body.read()}
        return found

    def versions(self, bucket: str = BUCKET) -> list[str]:
        """The key of every version ever stored: twice where an object was overwritten."""
        return [one["Key"] for one in self._versions(bucket)]

    def empty(self) -> None:
        """Removes every object and every version of it."""
        for one in self._versions(BUCKET):
            self._s3.delete_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])

    def _versions(self, bucket: str) -> list[dict[str, Any]]:
        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        return [one for page in pages for one in page.get("Versions", ())]

    def _wait(self, log: Path) -> None:
        until_s = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self._post("/moto-api/reset", b"")
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until_s:
                    raise AssertionError(f"moto does not start:\n{log.read_text()}") from None
                time.sleep(0.05)
            else:
                return

    def _furnish(self) -> Key:
        anybody = Key("anybody", "anything")
        with closed(self.client("s3", anybody)) as s3:
            for bucket in (BUCKET, OTHER_BUCKET):
                s3.create_bucket(Bucket=bucket)
            # Versions show what was overwritten.
            s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
            s3.put_object(Bucket=OTHER_BUCKET, Key="theirs", Body=b"not ours")
        with closed(self.client("iam", anybody)) as iam:
            iam.create_user(UserName="admin")
            iam.put_user_policy(
                UserName="admin", PolicyName="all", PolicyDocument=_document(EVERYTHING)
            )
            found = iam.create_access_key(UserName="admin")["AccessKey"]
            iam.create_role(
                RoleName="uploader", AssumeRolePolicyDocument=_document(ANYBODY_MAY_ASSUME)
            )
            iam.put_role_policy(
                RoleName="uploader",
                PolicyName="write-only",
                PolicyDocument=session_policy(DESTINATION),
            )
        self._post("/moto-api/reset-auth", b"0")
        return Key(found["AccessKeyId"], found["SecretAccessKey"])

    def _post(self, path: str, body: bytes) -> None:
        request = urllib.request.Request(
            self.url + path, data=body, method="POST", headers={"Content-Type": "text/plain"}
        )
        with urllib.request.urlopen(request, timeout=START_TIMEOUT_S) as answer:
            answer.read()


@contextlib.contextmanager
def closed(client: Any) -> Iterator[Any]:
    """A client whose connections are closed at the end; close() is younger than botocore 1.29."""
    try:
        yield client
    finally:
        client._endpoint.http_session.close()


def find_moto() -> str:
    """The server's program: of this environment, or of ``.venv`` for those without one.

    It is a process of its own, so its version of botocore need not be the one under test.
    """
    places = [Path(sys.prefix, "bin"), ROOT / ".venv/bin"]
    found = next(
        (found for place in places if (found := shutil.which("moto_server", path=place))), None
    )
    if found is None:
        pytest.skip("moto_server is not installed (scripts/setup)")
    return found


def _document(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
