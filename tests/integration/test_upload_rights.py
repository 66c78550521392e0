"""What the device's credentials can do: put objects below its own prefix. Everything else is tried.

The list of what there is to try is botocore's own: every operation of S3 that it knows, each with
parameters that make sense for what is in the bucket.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from tests.support.s3_server import BUCKET, DEVICE, OTHER_BUCKET, PREFIX, Key, S3Server, closed
from tests.support.uploads import bucket_at
from updater import captures as stored
from updater.upload.answers import Action, Answer, judge
from updater.upload.body import Pace, PacedBody
from updater.upload.item import Item
from updater.upload.s3 import Bucket

pytestmark = pytest.mark.once

FOLDER = f"{PREFIX}/{DEVICE}"
THERE = f"{FOLDER}/2026/11/22/there.jpg"
CONTENT = b"what was there before"

ONE_PERMISSION = {"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}
"""IAM knows these as s3:PutObject alone (Service Authorization Reference, "Amazon S3")."""

NOT_TOLD_BY_MOTO = {
    "CopyObject": "it does not ask for s3:GetObject on the source; see the test of its own",
    "UploadPartCopy": "it does not ask for s3:GetObject on the source",
    "PutObjectLegalHold": "it finds fault with the request before it asks for the permission",
    "PutObjectRetention": "it finds fault with the request before it asks for the permission",
    "RenameObject": "it takes it for PutObject",
    "PutObjectAnnotation": "it takes it for PutObject",
    "UpdateObjectEncryption": "it takes it for PutObject",
    "WriteGetObjectResponse": "it is asked of another host",
}
OPERATIONS = [
    name
    for name in botocore.session.Session().get_service_model("s3").operation_names
    if name not in ONE_PERMISSION | NOT_TOLD_BY_MOTO.keys()
]
PARAMETERS: Mapping[str, object] = {
    "Bucket": BUCKET,
    "Key": THERE,
    "PartNumber": 1,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    found = S3Server(tmp_path_factory.mktemp("moto") / "moto.log")
    yield found
    found.stop()


@pytest.fixture(scope="module")
def key(server: S3Server) -> Key:
    return server.temporary_key()


@pytest.fixture(scope="module")
def admin(server: S3Server) -> Iterator[Any]:
    with closed(server.client("s3", server.admin)) as client:
        client.put_object(Bucket=BUCKET, Key=THERE, Body=CONTENT)
        yield client


@pytest.fixture(scope="module")
def upload_id(admin: Any) -> str:
    return str(admin.create_multipart_upload(Bucket=BUCKET, Key=THERE)["UploadId"])


@pytest.fixture(scope="module")
def device(server: S3Server, key: Key) -> Iterator[Any]:
    """S3 with the device's credentials."""
    with closed(server.client("s3", key)) as client:
        yield client


@pytest.fixture
def bucket(server: S3Server, key: Key) -> Iterator[Bucket]:
    with bucket_at(server.url, key) as found:
        yield found


def put(bucket: Bucket, name: str, data: bytes, *, conditional: bool) -> Answer:
    digest = base64.b64encode(bytes.fromhex(stored.sha256_of(data))).decode()
    body = PacedBody(io.BytesIO(data), Pace(0))
    return bucket.put(Item(name, "image/jpeg", digest, {}), body, conditional=conditional)


def status_of(client: Any, operation: str, **parameters: object) -> tuple[int, str]:
    """The answer's status and error code."""
    try:
        answer = getattr(client, xform_name(operation))(**parameters)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    if errors := answer.get("Errors"):  # DeleteObjects says it for each object
        return 403, errors[0]["Code"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], ""


def parameters_of(shape: Any, known: Mapping[str, object]) -> dict[str, object]:
    """What an operation cannot do without."""
    if shape is None:
        return {}
    return {name: _value(shape.members[name], name, known) for name in shape.required_members}


def _value(shape: Any, name: str, known: Mapping[str, object]) -> object:
    if name in known:
        return known[name]
    if shape.type_name == "structure":
        return parameters_of(shape, known)
    if shape.type_name == "list":
        return [_value(shape.member, name, known)]
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else "x"
    return {"map": {}, "blob": b"x", "boolean": True}.get(shape.type_name, 1)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_other_action_is_refused(device: Any, upload_id: str, operation: str) -> None:
    known = {**PARAMETERS, "UploadId": upload_id}
    shape = device.meta.service_model.operation_model(operation).input_shape
    status, _ = status_of(device, operation, **parameters_of(shape, known))
    assert status == 403


def test_all_that_was_left_nothing_changed(server: S3Server, admin: Any) -> None:
    assert {name: found["Body"] for name, found in server.objects().items()} == {THERE: CONTENT}
    assert server.versions() == [THERE]
    names = {found["Name"] for found in admin.list_buckets()["Buckets"]}
    assert names == {BUCKET, OTHER_BUCKET}


def test_the_list_to_try_is_long_and_holds_what_matters() -> None:
    assert len(OPERATIONS) >= 85
    assert {
        "GetObject", "HeadObject", "ListObjects", "ListObjectsV2", "ListObjectVersions",
        "DeleteObject", "DeleteObjects", "PutObjectAcl", "PutObjectTagging",
        "ListMultipartUploads", "ListParts", "AbortMultipartUpload", "ListBuckets", "CreateBucket",
        "DeleteBucket", "PutBucketPolicy", "HeadBucket", "RestoreObject",
    } <= set(OPERATIONS)  # fmt: skip


def test_the_same_requests_are_granted_to_an_administrator(admin: Any) -> None:
    for operation in ("GetObject", "HeadObject", "GetObjectAcl", "GetObjectTagging"):
        assert status_of(admin, operation, Bucket=BUCKET, Key=THERE) == (200, "")
    assert status_of(admin, "ListObjectsV2", Bucket=BUCKET) == (200, "")


def test_what_is_there_is_not_overwritten(server: S3Server, bucket: Bucket, admin: Any) -> None:
    answer = put(bucket, THERE, b"something else", conditional=True)
    assert answer.status == 412
    assert judge(answer, sha256="").action is Action.ALREADY_THERE
    assert server.objects()[THERE]["Body"] == CONTENT


@pytest.mark.parametrize(
    "name",
    [
        f"{PREFIX}/cam-2/x.jpg",
        f"{PREFIX}/{DEVICE}",
        f"{PREFIX}/{DEVICE}-2/x.jpg",
        f"{PREFIX}/x.jpg",
        f"other/{PREFIX}/{DEVICE}/x.jpg",
        "x.jpg",
    ],
)
def test_no_other_place_can_be_written(bucket: Bucket, name: str) -> None:
    answer = put(bucket, name, b"x", conditional=True)
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("target", "name"),
    [(BUCKET, f"{PREFIX}/cam-2/copy.jpg"), (BUCKET, "copy.jpg"), (OTHER_BUCKET, "copy.jpg")],
)
def test_nothing_is_copied_elsewhere(device: Any, target: str, name: str) -> None:
    source = f"{BUCKET}/{THERE}"
    status, code = status_of(device, "CopyObject", Bucket=target, Key=name, CopySource=source)
    assert (status, code) == (403, "AccessDenied")


@pytest.mark.parametrize("other", [OTHER_BUCKET, "no-such-bucket"])
def test_no_other_bucket_can_be_written(server: S3Server, key: Key, other: str) -> None:
    with bucket_at(server.url, key, other) as bucket:
        answer = put(bucket, f"{FOLDER}/x.jpg", b"x", conditional=True)
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("iam", "ListUsers", {}),
        ("iam", "CreateUser", {"UserName": "mallory"}),
        ("iam", "CreateAccessKey", {"UserName": "admin"}),
        ("iam", "PutRolePolicy", {
            "RoleName": "uploader", "PolicyName": "all", "PolicyDocument": "{}"
        }),
        ("ec2", "DescribeInstances", {}),
    ],
)  # fmt: skip
def test_no_other_service_answers(
    server: S3Server, key: Key, service: str, operation: str, parameters: dict[str, object]
) -> None:
    with closed(server.client(service, key)) as client:
        assert status_of(client, operation, **parameters)[0] == 403
