from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.errors import FetchError
from updater.fetch import Credentials, credentials, read_api_key, read_token

SECRET = "hunter2.hunter2"


def written(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.touch(mode=0o600)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def read(path: Path) -> Credentials:
    with path.open("rb") as file:
        return read_token(file, where="--token-file")


def test_a_token_is_sent_as_bearer_and_a_key_as_jfrog_wants_it(tmp_path: Path) -> None:
    path = written(tmp_path, f" {SECRET}\n".encode())
    assert read(path).headers == {"Authorization": f"Bearer {SECRET}"}
    with path.open("rb") as file:
        assert read_api_key(file, where="k").headers == {"X-JFrog-Art-Api": SECRET}


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o660])
def test_owner_and_group_may_read_it(tmp_path: Path, mode: int) -> None:
    assert read(written(tmp_path, SECRET.encode(), mode)).value.endswith(SECRET)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o666])
def test_nobody_else_may(tmp_path: Path, mode: int) -> None:
    with pytest.raises(FetchError, match=r"every user of this device can.*chmod 600"):
        read(written(tmp_path, SECRET.encode(), mode))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"hunter2\r\nX-Evil: 1", "one line of printable ASCII"),
        (b"hunter2 hunter2", "one line of printable ASCII"),
        (b"hunter2\x00", "one line of printable ASCII"),
        ("hünter2".encode(), "one line of printable ASCII"),
        (b"x" * (credentials.SECRET_MAX_BYTES + 1), "credentials larger than 16384 bytes"),
    ],
)
def test_what_is_no_secret_is_refused_and_not_repeated(
    tmp_path: Path, data: bytes, message: str
) -> None:
    with pytest.raises(FetchError) as caught:
        read(written(tmp_path, data))
    assert str(caught.value).startswith("--token-file: ")
    assert message in str(caught.value)
    assert "nter2" not in repr(caught.value)


def test_no_plain_file() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    with (
        os.fdopen(reader, "rb") as file,
        pytest.raises(FetchError, match="must lie in a plain file"),
    ):
        read_token(file, where="pipe")


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=40))
def test_a_secret_never_shows(secret: str) -> None:
    shown = Credentials("Authorization", secret)
    assert secret not in repr(shown) and secret not in str(shown)
