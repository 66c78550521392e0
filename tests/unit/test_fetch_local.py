from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from updater import fetch
from updater.errors import ConfigError, FetchError, StorageError, UsageError
from updater.fetch import FetchPolicy, space

CONTENT = b"bundle" * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


def take(
    source: str, policy: FetchPolicy | None = None, sha256: str | None = None
) -> fetch.Fetched:
    return fetch.fetch(source, Path("/nowhere"), policy or FetchPolicy(), sha256=sha256)


def test_a_file_is_hashed_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.zip"
    path.write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    for source in (str(path), "model.zip"):
        fetched = take(source, sha256=SHA.upper())
        assert fetched == fetch.Fetched(path, SHA, len(CONTENT), str(path))


def test_the_wrong_checksum(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    path.write_bytes(CONTENT)
    with pytest.raises(FetchError, match=f"has the sha256 {SHA}, not {'0' * 64}"):
        take(str(path), sha256="0" * 64)


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64, "0" * 63, "0" * 65])
def test_what_is_no_checksum(sha256: str) -> None:
    with pytest.raises(UsageError, match="--sha256: a sha256 has 64 hex digits"):
        take("model.zip", sha256=sha256)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"No such file.*https://"):
        take(str(tmp_path / "absent"))
    with pytest.raises(FetchError, match="Is a directory"):
        take(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FetchError, match="is no plain file"):
        take(str(tmp_path / "pipe"))


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    path.write_bytes(CONTENT)
    with pytest.raises(FetchError, match="has 6000 bytes, and at most 5999 are allowed"):
        take(str(path), FetchPolicy(max_bytes=5999))
    assert take(str(path), FetchPolicy(max_bytes=6000)).size_bytes == 6000


def test_progress_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    path.write_bytes(CONTENT)
    seen: list[fetch.Received] = []
    fetch.fetch(str(path), tmp_path, FetchPolicy(), progress=seen.append)
    assert seen[-1] == fetch.Received(6000, 6000)


def test_a_cap_below_the_stall_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match="less than twice"):
        FetchPolicy(rate_bytes_per_s=1000.0, stall_bytes_per_s=512.0)
    FetchPolicy(rate_bytes_per_s=1024.0, stall_bytes_per_s=512.0)


def test_free_space(tmp_path: Path) -> None:
    space.require(tmp_path, 0, margin_bytes=0)
    status = os.statvfs(tmp_path)
    free = status.f_bavail * status.f_frsize
    with pytest.raises(StorageError, match=r"too little room: .* MiB to download and 1\.0 MiB"):
        space.require(tmp_path, 2 * free, margin_bytes=1024 * 1024)
    with pytest.raises(StorageError, match="free space cannot be found out"):
        space.require(tmp_path / "absent", 0, margin_bytes=0)
