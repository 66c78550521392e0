from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.errors import UploadError
from updater.upload.credentials import (
    FILE_MAX_BYTES,
    Credentials,
    check_not_expired,
    from_environment,
    parse,
    read,
)

SECRET, TOKEN = "wJalrXUtnFEMI/PLANTED+SECRET", "FQoGZXIvYXdzPLANTED+TOKEN=="
STS = {
    "AccessKeyId": "ASIAPLANTEDKEY000000",
    "SecretAccessKey": SECRET,
    "SessionToken": TOKEN,
    "Expiration": "2026-11-22T22:05:16Z",
}
EXPIRES_UNIX_S = 1795385116.0
INI = f"""\
# made by the weekly flow
[default]
aws_access_key_id = ASIAPLANTEDKEY000000
aws_secret_access_key = {SECRET}
aws_session_token = {TOKEN}
region = eu-north-1
"""


def of(raw: Mapping[str, object]) -> Credentials:
    return parse(json.dumps(raw).encode(), where="sts.json")


def test_what_sts_answers() -> None:
    found = of(STS)
    assert found == of({"Credentials": STS, "AssumedRoleUser": {"Arn": "arn:aws:sts::1:x"}})
    assert (found.access_key_id, found.secret_access_key) == ("ASIAPLANTEDKEY000000", SECRET)
    assert (found.session_token, found.expires_unix_s) == (TOKEN, EXPIRES_UNIX_S)
    assert not found.permanent


@pytest.mark.parametrize("text", ["2026-11-22T23:05:16+01:00", "2026-11-22T22:05:16"])
def test_expiration_in_other_clothes(text: str) -> None:
    assert of(STS | {"Expiration": text}).expires_unix_s == EXPIRES_UNIX_S


def test_an_aws_credentials_file() -> None:
    found = parse(INI.encode(), where="credentials")
    assert (found.secret_access_key, found.session_token) == (SECRET, TOKEN)
    assert found.expires_unix_s is None
    assert parse(INI.replace("default", "camera").encode(), where="x") == found
    assert parse((INI + "[other]\naws_access_key_id=x\n").encode(), where="x") == found
    two = INI.replace("default", "one") + "[two]\n"
    with pytest.raises(UploadError, match=r"has 2 sections, none of them \[default\]"):
        parse(two.encode(), where="x")


def test_percent_signs_mean_nothing() -> None:
    assert parse(INI.replace(SECRET, "a%b%(c)s").encode(), where="x").secret_access_key == (
        "a%b%(c)s"
    )


def test_the_environment() -> None:
    variables = {
        "AWS_ACCESS_KEY_ID": "AKIAPLANTEDKEY000000",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
    }
    found = from_environment(variables)
    assert found is not None
    assert (found.secret_access_key, found.session_token) == (SECRET, TOKEN)
    assert from_environment({"AWS_REGION": "eu-north-1"}) is None
    with pytest.raises(UploadError, match="AWS_ variables: SecretAccessKey is missing"):
        from_environment({**variables, "AWS_SECRET_ACCESS_KEY": ""})
    del variables["AWS_SESSION_TOKEN"]
    permanent = from_environment(variables)
    assert permanent is not None
    assert permanent.permanent


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        ({k: v for k, v in STS.items() if k != "SecretAccessKey"}, "SecretAccessKey is missing"),
        (STS | {"AccessKeyId": ""}, "AccessKeyId is missing"),
        (STS | {"SessionToken": None}, "temporary credentials, but SessionToken is missing"),
        (STS | {"SecretAccessKey": 7}, "SecretAccessKey is not a text of printable characters"),
        (STS | {"SecretAccessKey": SECRET + "\nX-Evil: 1"}, "SecretAccessKey is not a text"),
        (STS | {"SessionToken": "t" * 20_000}, "SessionToken is not a text"),
        (STS | {"Expiration": f"soon {SECRET}"}, "Expiration is not a time like"),
        (STS | {"Expiration": 17}, "Expiration is not a time like"),
        ({"Credentials": [STS]}, "neither STS's JSON nor an AWS credentials file"),
    ],
)
def test_a_wrong_field_is_named_and_not_quoted(raw: Mapping[str, object], what: str) -> None:
    with pytest.raises(UploadError, match=f"^sts.json: {what}") as caught:
        of(raw)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert TOKEN not in shown


@pytest.mark.parametrize(
    "data",
    [
        b"",
        f"{SECRET}\n".encode(),
        f'{{"AccessKeyId": "{SECRET}"'.encode(),
        f"[default]\n{SECRET}\n".encode(),
        f"[default]\naws_secret_access_key={SECRET}\naws_secret_access_key={SECRET}".encode(),
        b"\xff\xfe" + SECRET.encode(),
        b"[" * 5000,
        b"{" * 5000,
    ],
)
def test_something_else_is_not_quoted_either(data: bytes) -> None:
    with pytest.raises(UploadError) as caught:
        parse(data, where="sts.json")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@given(st.binary(max_size=300))
def test_whatever_the_file_holds_it_is_credentials_or_our_error(data: bytes) -> None:
    try:
        parse(data, where="x")
    except UploadError as error:
        assert str(error).startswith("x: ")


def test_nothing_shows_a_secret() -> None:
    shown = f"{of(STS)!r} {of(STS)}"
    assert not any(secret in shown for secret in (SECRET, TOKEN, STS["AccessKeyId"]))


def test_expired_and_not() -> None:
    check_not_expired(of(STS), EXPIRES_UNIX_S - 1)
    check_not_expired(parse(INI.encode(), where="x"), 1e12)
    with pytest.raises(UploadError) as caught:
        check_not_expired(of(STS), EXPIRES_UNIX_S)
    assert str(caught.value) == (
        "the credentials expired at 2026-11-22 22:05:16 UTC, and this device's clock says "
        "2026-11-22 22:05:16 UTC. Bring new ones: the weekly flow makes them"
    )


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_file_of_ones_own(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "sts.json"
    path.write_text(json.dumps(STS))
    path.chmod(mode)
    with path.open("rb") as file:
        assert read(file, where=str(path)) == of(STS)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o620])
def test_a_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "sts.json"
    path.write_text(json.dumps(STS))
    path.chmod(mode)
    with path.open("rb") as file, pytest.raises(UploadError) as caught:
        read(file, where=str(path))
    assert f"others may read or change these credentials (mode {mode:o})" in str(caught.value)
    assert f"chmod 600 {path}" in str(caught.value)


def test_a_file_too_large_to_be_credentials(tmp_path: Path) -> None:
    path = tmp_path / "sts.json"
    path.write_bytes(b" " * (FILE_MAX_BYTES + 1))
    path.chmod(0o600)
    with path.open("rb") as file, pytest.raises(UploadError, match="larger than 65536 bytes"):
        read(file, where=str(path))
